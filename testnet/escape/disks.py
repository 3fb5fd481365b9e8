"""What dead validators leave on their disks, and what it is good for: old headers and everybody's proofs. Blocking."""

import subprocess
import sys
from pathlib import Path

from testnet.homes import node_home
from validator.store import FinalBlock, Store

TOOL_S = 300
CERTIFICATES = 10_000


class Disks:
    """The homes of a network whose processes have ended."""

    def __init__(self, folder: Path, node_count: int) -> None:
        self._folder = folder
        self._node_count = node_count

    def height(self) -> int:
        """Of the last block that any of them has."""
        heights = []
        for node in range(self._node_count):
            store = self._open(node)
            heights.append(store.height())
            store.close()
        return max(heights)

    def certified_heights(self, node: int, above_height: int) -> list[int]:
        """Heights that the contract would take from this node, ascending."""
        store = self._open(node)
        heights = [height for height, _ in store.direct_certificates(CERTIFICATES) if height > above_height]
        store.close()
        return heights

    def certified(self, node: int, height: int) -> FinalBlock:
        """One of them."""
        store = self._open(node)
        final = store.final(height)
        store.close()
        assert final is not None
        return final

    def write_claims(self, height: int, out: Path) -> str:
        """By the command `hansa claims`, from the first disk that can; what it said, empty if none can."""
        for node in range(self._node_count):
            home = node_home(self._folder, node).path
            argv = [sys.executable, "-m", "validator", "claims", "--home", str(home), "--height", str(height)]
            ended = subprocess.run([*argv, "--out", str(out)], capture_output=True, text=True, timeout=TOOL_S)
            if ended.returncode == 0:
                return f"from the disk of node{node}: {ended.stdout.strip().partition(': ')[2]}"
        return ""

    def _open(self, node: int) -> Store:
        return Store(node_home(self._folder, node).data / "blocks.sqlite", is_read_only=True)
