"""What can happen to one process: it stands still for a while, or it is gone without warning."""

import os
import signal

from testnet.local import Child, Processes


def pause(child: Child) -> None:
    """SIGSTOP to all of it: sockets stay open, so its peers see silence and not an end."""
    os.killpg(child.process.pid, signal.SIGSTOP)


def resume(child: Child) -> None:
    os.killpg(child.process.pid, signal.SIGCONT)


def kill(processes: Processes, child: Child) -> None:
    """kill -9: nothing is flushed, nothing said, and it is gone when this returns."""
    child.process.kill()
    child.process.wait()
    processes.stop(child)
