"""Child processes: none survives the launcher, however it ends."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from testnet.local import ChildDied, Processes

SLEEPER = "import time\ntime.sleep(600)"
STUBBORN = (
    "import signal, time\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\nprint('up', flush=True)\ntime.sleep(600)"
)
PARENT = (
    "import subprocess, sys, time\n"
    "child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)'])\n"
    "print(child.pid, flush=True)\ntime.sleep(600)"
)
LAUNCHER = """
import sys, time
from pathlib import Path
from testnet.local import Processes
processes = Processes()
for index in range(2):
    child = processes.start(f"child{index}", [sys.executable, "-c", "import time; time.sleep(600)"], Path(sys.argv[1]))
    print(child.process.pid, flush=True)
time.sleep(600)
"""


def is_alive(pid: int) -> bool:
    """A zombie has ended; nobody has asked for its exit code yet."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False


def wait_until_gone(pids: list[int], limit_s: float = 10) -> None:
    give_up_at_s = time.monotonic() + limit_s
    while any(map(is_alive, pids)):
        assert time.monotonic() < give_up_at_s, "a process was left behind"
        time.sleep(0.02)


def wait_for_text(path: Path, limit_s: float = 10) -> str:
    give_up_at_s = time.monotonic() + limit_s
    while not path.exists() or not path.read_text().strip():
        assert time.monotonic() < give_up_at_s, "the child said nothing"
        time.sleep(0.02)
    return path.read_text()


def test_leaving_the_block_ends_every_child(tmp_path: Path) -> None:
    with Processes() as processes:
        started = [processes.start(name, [sys.executable, "-c", SLEEPER], tmp_path / name) for name in ("a", "b")]
        pids = [child.process.pid for child in started]
        assert all(map(is_alive, pids))
    assert not any(map(is_alive, pids))


def test_an_error_in_the_block_ends_every_child(tmp_path: Path) -> None:
    pids = []
    with pytest.raises(KeyboardInterrupt), Processes() as processes:
        pids.append(processes.start("a", [sys.executable, "-c", SLEEPER], tmp_path / "a").process.pid)
        raise KeyboardInterrupt
    assert not any(map(is_alive, pids))


def test_a_child_that_ignores_the_request_is_killed(tmp_path: Path) -> None:
    with Processes() as processes:
        child = processes.start("stubborn", [sys.executable, "-c", STUBBORN], tmp_path / "log")
        wait_for_text(tmp_path / "log")
        started_s = time.monotonic()
        processes.stop(child, grace_s=0.3)
        assert time.monotonic() - started_s < 5
    assert child.process.returncode == -signal.SIGKILL


def test_grandchildren_go_with_their_parent(tmp_path: Path) -> None:
    with Processes() as processes:
        processes.start("parent", [sys.executable, "-c", PARENT], tmp_path / "log")
        grandchild_pid = int(wait_for_text(tmp_path / "log"))
        assert is_alive(grandchild_pid)
    wait_until_gone([grandchild_pid])


@pytest.mark.skipif(sys.platform != "linux", reason="the kernel's death guard exists on Linux")
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_children_die_with_a_killed_launcher(tmp_path: Path, number: signal.Signals) -> None:
    argv = [sys.executable, "-c", LAUNCHER, str(tmp_path / "log")]
    launcher = subprocess.Popen(argv, stdout=subprocess.PIPE, text=True)
    try:
        assert launcher.stdout is not None
        pids = [int(launcher.stdout.readline()) for _ in range(2)]
        assert all(map(is_alive, pids))
        os.kill(launcher.pid, number)
    finally:
        launcher.wait()
        launcher.stdout.close()
    wait_until_gone(pids)


def test_a_dead_child_is_reported_with_the_end_of_its_log(tmp_path: Path) -> None:
    with Processes() as processes:
        child = processes.start(
            "node0", [sys.executable, "-c", "print('no key'); raise SystemExit(7)"], tmp_path / "log"
        )
        child.process.wait()
        with pytest.raises(ChildDied, match=r"node0 ended with code 7(.|\n)*no key"):
            processes.check()
