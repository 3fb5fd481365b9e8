"""Faults of processes: one that stands still answers nothing until it goes on; one that is killed is gone."""

import signal
import sys
from pathlib import Path

from testnet.faults.line import hear, tell
from testnet.faults.processes import kill, pause, resume
from testnet.local import Processes

ECHO = "import sys\nfor line in sys.stdin: print(line, end='', flush=True)"


def state_of(pid: int) -> str:
    """One letter (proc(5)): S sleeps, T is stopped."""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]


def test_a_paused_process_keeps_what_it_was_told_until_it_goes_on(tmp_path: Path) -> None:
    with Processes() as processes:
        child = processes.start("echo", [sys.executable, "-c", ECHO], tmp_path / "log", is_piped=True)
        tell(child, {"n": 1})
        assert hear(child) == {"n": 1}
        pause(child)
        while state_of(child.process.pid) != "T":
            pass
        tell(child, {"n": 2})
        resume(child)
        assert hear(child) == {"n": 2}
        kill(processes, child)
        assert child.process.returncode == -signal.SIGKILL
        assert processes.find_dead() == []
