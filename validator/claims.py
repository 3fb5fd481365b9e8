"""Claims files on this node's disk (docs/protocol.md, section 4): `data/claims/ROOT`, one for each checkpoint.

The node that posts a header writes the file before it sends the transaction, all others when they see the header on the
chain. So whoever wants an account's money out finds what proves it at any single honest node, or at any mirror. A
file is written whole or not at all, in a thread: states do not change.

The newest few are kept, and the one of the last checkpoint always: after a freeze it is the only one that pays.
"""

import logging
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import trio

from consensus.messages import DecodeError, Header
from contracts.claims_file import ACCOUNT_BYTES, MAGIC, POSITION_BYTES, encode_claims
from contracts.digests import HEADER_BYTES
from contracts.withdrawals_file import MAGIC as WITHDRAWALS_MAGIC
from contracts.withdrawals_file import ROW_BYTES, FiledWithdrawal
from engine.inbox import read_token
from engine.state import EngineState
from engine.tables import ACCOUNT_COUNT, ASSET_COUNT, POSITIONS_USED
from net.gateway.backend import ClaimsView
from validator.files import write_whole
from validator.store import FinalBlock

log = logging.getLogger("hansa.claims")

KEEP_COUNT = 16
_ROOT_AT = 15 * 32
_ACCOUNT_ROW = np.dtype([
    ("key_a", ">i8"), ("key_b", ">i8"), ("key_c", ">i8"), ("equity_quote", ">i8"), ("aux_hash", "V32"),
    ("position_count", ">u4"), ("balance_quote", ">i8"),
])  # fmt: skip
_POSITION_ROW = np.dtype([("market", ">u4"), ("lots", ">i8")])
assert (_ACCOUNT_ROW.itemsize, _POSITION_ROW.itemsize) == (ACCOUNT_BYTES, POSITION_BYTES)

Proven = tuple[EngineState, FinalBlock]  # a state, and its block with a certificate of its own


def encode_rows(state: EngineState) -> tuple[bytes, bytes]:
    """Account rows and position rows of a claims file."""
    tables = state.tables
    count, capacity = int(tables.counters[ACCOUNT_COUNT]), len(tables.node_sums) // 2
    held = tables.positions[1 : int(tables.counters[POSITIONS_USED])]
    held = held[(held["is_live"] != 0) & (held["lots"] != 0)]
    held = held[np.lexsort((held["market"], held["account"]))]
    rows = np.empty(count, _ACCOUNT_ROW)
    for name in ("key_a", "key_b", "key_c", "balance_quote"):
        rows[name] = tables.accounts[name][:count]
    sums = tables.node_sums[capacity : capacity + count]
    rows["equity_quote"] = sums[:, 0] - sums[:, 1]
    rows["aux_hash"] = np.ascontiguousarray(tables.aux_digests[:count]).view("V32").reshape(count)
    rows["position_count"] = np.bincount(held["account"], minlength=count)
    # The exchange's own accounts that nothing has touched are absent leaves.
    rows.view("u1").reshape(count, ACCOUNT_BYTES)[~tables.node_hashes[capacity : capacity + count].any(axis=1)] = 0
    positions = np.empty(len(held), _POSITION_ROW)
    positions["market"], positions["lots"] = held["market"], held["lots"]
    return rows.tobytes(), positions.tobytes()


def encode_state(state: EngineState, final: FinalBlock) -> bytes:
    """The claims file of the state after a block that has a certificate of its own."""
    certificate = final.certificate
    return encode_claims(
        final.block.header.encode(), certificate.bitmap, certificate.signature, *encode_rows(state)
    )  # fmt: skip


def list_tokens(state: EngineState) -> list[bytes]:
    """Tokens of all assets, by the assets' numbers."""
    return [read_token(state, asset) for asset in range(int(state.tables.counters[ASSET_COUNT]))]


@dataclass(frozen=True, slots=True)
class _Kept:
    view: ClaimsView
    path: Path


class WithdrawalsLog:
    """The withdrawals file, `data/claims/withdrawals.log`: rows are appended, synced before a checkpoint needs them."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / "withdrawals.log"
        self.count = 0
        self.look_again()

    def look_again(self) -> None:
        """How many rows there are now."""
        size_bytes = self._path.stat().st_size if self._path.exists() else 0
        self.count = max(0, size_bytes - len(WITHDRAWALS_MAGIC)) // ROW_BYTES

    def path(self) -> Path | None:
        """None while there is nothing in it."""
        return self._path if self.count else None

    def append(self, rows: Sequence[FiledWithdrawal]) -> None:
        """Blocking. Rows that do not continue the file are left out: a node that started from a peer's snapshot lacks
        the first ones, and others have them.
        """
        if not rows or rows[0].index != self.count:
            return
        self._path.parent.mkdir(parents=True, exist_ok=True)
        with self._path.open("r+b" if self.count else "wb") as file:
            file.seek(0)
            file.write(WITHDRAWALS_MAGIC)
            file.seek(len(WITHDRAWALS_MAGIC) + self.count * ROW_BYTES)
            file.truncate()  # what a crash left of a row
            file.write(b"".join(row.encode() for row in rows))
            file.flush()
            os.fsync(file.fileno())
        self.count += len(rows)


class ClaimsShelf:
    """What is in the folder. Only the node's loop calls it."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.withdrawals = WithdrawalsLog(folder)
        self._kept: dict[bytes, _Kept] = {}
        self._writing = trio.Lock()
        self.look_again()

    def look_again(self) -> None:
        """What is in the folder now: for who only reads beside the node that writes."""
        known = {kept.path: kept for kept in self._kept.values()}
        self._kept = {}
        for path in sorted(self._folder.glob("*")):
            kept = known.get(path) or _read_kept(path)
            if kept is not None:
                self._kept[kept.view.account_root] = kept
        self.withdrawals.look_again()

    def views(self) -> list[ClaimsView]:
        """Newest first."""
        return sorted((kept.view for kept in self._kept.values()), key=lambda view: view.height, reverse=True)

    def path(self, account_root: bytes) -> Path | None:
        """The file that proves the accounts below this root."""
        kept = self._kept.get(account_root)
        return None if kept is None else kept.path

    async def keep(self, height: int, find: Callable[[int], Proven | None], onchain_height: int) -> bool:
        """Write the file of `height` unless it is there; False when `find` does not know the state any more. Then
        drop the oldest, but never the one of the last checkpoint.

        A header that is not on the chain yet does not replace one with the same accounts.
        """
        async with self._writing:
            proven = None if self._holds(height) else find(height)
            if proven is not None and (height <= onchain_height or proven[0].account_root not in self._kept):
                kept = await trio.to_thread.run_sync(self._write, *proven)
                self._kept[kept.view.account_root] = kept
            protected = {height, onchain_height}
            for view in self.views()[KEEP_COUNT:]:
                if view.height not in protected:
                    self._kept.pop(view.account_root).path.unlink(missing_ok=True)
            return proven is not None or self._holds(height)

    def _holds(self, height: int) -> bool:
        return any(kept.view.height == height for kept in self._kept.values())

    def _write(self, state: EngineState, final: FinalBlock) -> _Kept:
        path = self._folder / state.account_root.hex()
        data = encode_state(state, final)
        write_whole(path, data)
        header = final.block.header
        return _Kept(ClaimsView(state.account_root, header.height, header.hash(), len(data)), path)


def _read_kept(path: Path) -> _Kept | None:
    """What a file's own header says; None for what is none. Readers check the rest themselves."""
    try:
        with path.open("rb") as file:
            head = file.read(len(MAGIC) + HEADER_BYTES)
        header = Header.decode(head.removeprefix(MAGIC))
        is_named = path.name == head[len(MAGIC) :][_ROOT_AT : _ROOT_AT + 32].hex()
        size_bytes = path.stat().st_size
    except (DecodeError, FileNotFoundError):  # of another kind, or dropped just now
        return None
    if not head.startswith(MAGIC) or not is_named:
        return None
    return _Kept(ClaimsView(bytes.fromhex(path.name), header.height, header.hash(), size_bytes), path)
