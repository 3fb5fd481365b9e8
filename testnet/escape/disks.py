"""What dead validators leave on their disks, and what it is good for: old headers and everybody's proofs. Blocking."""

import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

from contracts.claims_file import ClaimsFile
from contracts.withdrawals_file import FiledWithdrawal, WithdrawalsFileError, read_withdrawals
from engine.units import format_quote
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
        """By the command `hansa claims write`, from the first disk that can; what it said, empty if none can."""
        for node in range(self._node_count):
            home = node_home(self._folder, node).path
            argv = [sys.executable, "-m", "validator", "claims", "write", "--home", str(home), "--height", str(height)]
            ended = subprocess.run([*argv, "--out", str(out)], capture_output=True, text=True, timeout=TOOL_S)
            if ended.returncode == 0:
                return f"node{node}'s: {ended.stdout.strip().partition(': ')[2]}"
        return ""

    def prove_withdrawals(self, claims: ClaimsFile, owner: bytes) -> list[dict[str, Any]]:
        """The owner's withdrawals under a claims file's header, as `public/x_get_withdrawal_proof` gives them; from
        the first disk whose withdrawals file has all of that header.
        """
        for node in range(self._node_count):
            path = node_home(self._folder, node).data / "claims" / "withdrawals.log"
            with suppress(FileNotFoundError, WithdrawalsFileError):
                file = read_withdrawals(path.read_bytes(), claims.header)
                return [_show(claims, row, file.proof(row.index)) for row in file.of_owner(owner)]
        return []

    def _open(self, node: int) -> Store:
        return Store(node_home(self._folder, node).data / "blocks.sqlite", is_read_only=True)


def _show(claims: ClaimsFile, row: FiledWithdrawal, siblings: list[bytes]) -> dict[str, Any]:
    return {
        "index": row.index, "owner": f"0x{row.owner.hex()}", "token": f"0x{row.token.hex()}",
        "amount": format_quote(row.amount), "siblings": [f"0x{node.hex()}" for node in siblings],
        "certificate": {
            "height": claims.height, "header": f"0x{claims.header.hex()}", "bitmap": f"0x{claims.bitmap.hex()}",
            "signature": f"0x{claims.signature.hex()}",
        },
    }  # fmt: skip
