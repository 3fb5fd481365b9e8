"""What can happen to one process: it stands still for a while, or it is gone without warning."""

import signal

from testnet.local import Child, Processes


def pause(child: Child) -> None:
    """SIGSTOP: sockets stay open, so its peers see silence and not an end."""
    child.process.send_signal(signal.SIGSTOP)


def resume(child: Child) -> None:
    """It goes on, unless it has ended meanwhile."""
    child.process.send_signal(signal.SIGCONT)


def kill(processes: Processes, child: Child) -> None:
    """kill -9: nothing is flushed, nothing said, and it is gone when this returns."""
    child.process.kill()
    child.process.wait()
    processes.stop(child)
