"""What a vote costs with the key in the node and with a signer of its own: from asking to a signature that may leave.

`make bench-signer` prints it and writes build/results/bench-signer.json; exit code 1 if an answer is no vote.
"""

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import trio
import trio.testing

from consensus import crypto
from consensus.messages import NOTARIZE, Ready, Vote, compute_domain
from tests.validator.test_config import NETWORK
from validator.config import Home, address_bytes, save_toml
from validator.disk import Disk, open_queue
from validator.keys import Keys, save_keys
from validator.remote_signer import RemoteSigner
from validator.signer import Signer

VOTES = 500
SECRET = crypto.derive_secret(b"\7" * 32)
RESULT = Path("build/results/bench-signer.json")


class Waiting:
    """A listener for one answer at a time."""

    def __init__(self) -> None:
        self.answer: Vote | str | None = None
        self.came = trio.Event()

    def on_vote_answer(self, epoch: int, kind: int, view: int, answer: Vote | str) -> None:
        self.answer = answer
        self.came.set()

    def on_ready(self, ready: Ready) -> None:
        raise AssertionError("nobody asked for it")

    def wake(self) -> None:
        pass


async def measure_inside(folder: Path) -> list[float]:
    """Milliseconds a vote."""
    signer = Signer(folder / "guard", SECRET, 0, compute_domain(NETWORK.chain_id, address_bytes(NETWORK.contract)), 1)
    disk, took_ms = Disk(open_queue(folder)), []
    for view in range(1, VOTES + 1):
        began_s = time.perf_counter()
        assert isinstance(signer.sign(1, NOTARIZE, view, b"\1" * 32), Vote)
        disk.begin([signer])
        await disk.wait()
        took_ms.append((time.perf_counter() - began_s) * 1_000)
    disk.close()
    signer.close()
    return took_ms


async def measure_outside(home: Home) -> list[float]:
    """Milliseconds a vote."""
    remote = RemoteSigner(home.path / "signer.sock", NETWORK.digest(), 1, 0, crypto.derive_public_key(SECRET))
    waiting, took_ms = Waiting(), []
    async with trio.open_nursery() as nursery:
        nursery.start_soon(remote.run, waiting, waiting.wake)
        await trio.testing.wait_all_tasks_blocked()
        for view in range(1, VOTES + 1):
            began_s = time.perf_counter()
            remote.sign(1, NOTARIZE, view, b"\1" * 32)
            await waiting.came.wait()
            took_ms.append((time.perf_counter() - began_s) * 1_000)
            assert isinstance(waiting.answer, Vote), waiting.answer
            waiting.came = trio.Event()
        nursery.cancel_scope.cancel()
    remote.close()
    return took_ms


def measure_process(folder: Path) -> list[float]:
    """With the real command."""
    home = Home(folder)
    save_toml(home.genesis, NETWORK)
    save_keys(home.keys, Keys(SECRET, bytes(32), bytes(32)))
    argv = [sys.executable, "-m", "validator", "signer", "--home", str(folder)]
    with subprocess.Popen(argv, stderr=subprocess.DEVNULL) as process:
        while not (folder / "signer.sock").exists():
            time.sleep(0.05)
            assert process.poll() is None, "the signer ended"
        try:
            return trio.run(measure_outside, home)
        finally:
            process.terminate()


def main() -> int:
    with tempfile.TemporaryDirectory(dir=Path.cwd()) as scratch:
        found = {
            "inside": trio.run(measure_inside, Path(scratch) / "inside"),
            "signer": measure_process(Path(scratch) / "signer"),
        }
    shown = {
        name: {
            "p50_ms": round(statistics.median(took_ms), 3),
            "p99_ms": round(statistics.quantiles(took_ms, n=100)[98], 3),
        }
        for name, took_ms in found.items()
    }
    load, cpus = os.getloadavg()[0], os.cpu_count()
    print(f"{'a vote':<10}{'p50 ms':>10}{'p99 ms':>10}   of {VOTES}, load {load:.1f} on {cpus} processors")
    for name, row in shown.items():
        print(f"{name:<10}{row['p50_ms']:>10.3f}{row['p99_ms']:>10.3f}")
    RESULT.parent.mkdir(parents=True, exist_ok=True)
    RESULT.write_text(json.dumps({"votes": VOTES, "load": load, "processors": cpus, **shown}, indent=1))
    return 0


if __name__ == "__main__":
    sys.exit(main())
