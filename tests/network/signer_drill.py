"""A validator whose voting key moves into a process of its own, and what an operator can get wrong about that."""

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

from testnet import homes
from testnet.local import Child
from tests.network.harness import LocalNetwork, wait_until
from validator.signer import read_guard

SOCKETS = shutil.ignore_patterns("*.sock")


class SignerDrill:
    """Of node `index`, whose API is in its own process."""

    def __init__(self, network: LocalNetwork, index: int) -> None:
        self.network, self.index = network, index
        self.home = homes.node_home(network.folder, index)
        self.folder = network.folder / "signer"
        self.signer: Child

    def run(self) -> None:
        self.move_the_key()
        self.start_a_second_node()
        backup = self.network.folder / "signer-backup"
        shutil.copytree(self.folder, backup, ignore=SOCKETS)
        self.lose_the_signer_for_a_while()
        self.have_a_vote_counted()
        self.restore(backup)

    def move_the_key(self) -> None:
        self.network.kill_node(self.index)
        hansa("signer", "take", "--home", self.folder, "--from", self.home.path)
        self.start_signer()
        self.network.start_node(self.index)
        self.wait_for_votes()
        assert not list(self.home.keys.glob("bls.*")) and not (self.home.data / "guard").exists()

    def start_a_second_node(self) -> None:
        """A copy of the folder beside the running one, as on a second machine that reaches the same signer."""
        twin = self.network.folder / "twin"
        shutil.copytree(self.home.path, twin, ignore=shutil.ignore_patterns("*.sock", "data"))
        told = hansa("start", "--home", twin, "--set", "listen_port=1", "--set", "api_process=none", exit_code=2)
        assert "votes for another node already" in told

    def lose_the_signer_for_a_while(self) -> None:
        self.kill_signer()
        height = self.network.height(self.index)
        wait_until(lambda: self.network.height(self.index) > height + 5, 60, "the node follows without its signer")
        self.start_signer()
        self.wait_for_votes()

    def have_a_vote_counted(self) -> None:
        """A certificate counts a quorum's first votes, perhaps not this node's; with another one stopped it must."""
        view = self.highest_view()
        stopped = self.network.nodes[(self.index + 2) % len(self.network.nodes)].process.pid
        os.killpg(stopped, signal.SIGSTOP)
        try:
            wait_until(lambda: self.is_counted_above(view), 60, "a certificate counts its vote")
        finally:
            os.killpg(stopped, signal.SIGCONT)

    def is_counted_above(self, view: int) -> bool:
        certificate = self.network.client(0).certificate()
        return certificate["view"] > view and self.index in certificate["signers"]

    def restore(self, backup: Path) -> None:
        """An old copy of the signer's folder: the running node notices; one that has lost its own disk, too, hears it
        from the others. Then the newest folders again.
        """
        self.kill_signer()
        newest = self.folder.rename(self.network.folder / "signer-newest")
        shutil.copytree(backup, self.folder)
        self.start_signer()
        self.wait_for_end(3, "an old copy")
        data = self.home.data.rename(self.home.path / "data-aside")
        self.network.start_node(self.index)
        self.wait_for_end(3, "which its guard does not know")
        self.kill_signer()
        for folder, place in ((newest, self.folder), (data, self.home.data)):
            shutil.rmtree(place)
            folder.rename(place)
        self.start_signer()
        self.network.start_node(self.index)
        self.wait_for_votes()

    def start_signer(self) -> None:
        argv = [sys.executable, "-m", "validator", "signer", "--home", str(self.folder)]
        self.signer = self.network.processes.start("signer", argv, self.network.folder / "signer.log")
        wait_until((self.folder / "signer.sock").exists, 60, "the signer listens")

    def kill_signer(self) -> None:
        os.killpg(self.signer.process.pid, signal.SIGKILL)
        self.signer.process.wait()
        (self.folder / "signer.sock").unlink()  # for `start_signer` to wait for the next one

    def wait_for_votes(self) -> None:
        view = self.highest_view()
        wait_until(lambda: self.highest_view() > view + 3, 120, "the key signs")

    def highest_view(self) -> int:
        state, _ = read_guard(self.folder / "data" / "guard")
        return max((entry.view for entry in state.views), default=state.floor_view)

    def wait_for_end(self, exit_code: int, words: str) -> None:
        process = self.network.nodes.pop(self.index).process
        assert process.wait(timeout=120) == exit_code
        assert words in (self.home.path / "log.txt").read_text()[-4000:]


def hansa(*words: object, exit_code: int = 0) -> str:
    """What the command says to people."""
    argv = [sys.executable, "-m", "validator", *map(str, words)]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=120)
    assert done.returncode == exit_code, done
    return done.stderr
