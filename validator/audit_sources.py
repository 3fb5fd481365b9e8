"""States to compare a replay with: snapshots and claims files of the audited node or of another one."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from contracts.claims_file import MAGIC, ClaimsFile, ClaimsFileError, read_claims
from contracts.digests import account_leaf, encode_sums
from engine import tree
from engine.difference import diff
from engine.errors import SnapshotError
from engine.params import ExchangeParams
from engine.snapshot import decode_snapshot
from engine.state import EngineState
from engine.tables import ACCOUNT_COUNT
from validator.audit_rows import Mismatch


@dataclass(frozen=True, slots=True)
class SnapshotSource:
    """A whole state on disk, read when the replay reaches its height."""

    path: Path
    height: int
    params: ExchangeParams
    table: str = "snapshot"

    @property
    def name(self) -> str:
        return str(self.path)

    def find_difference(self, state: EngineState) -> str | None:
        try:
            other = decode_snapshot(self.path.read_bytes(), self.params)
        except SnapshotError as error:
            return f"a damaged file: {error}"
        except FileNotFoundError:
            return None  # a running node has pruned it meanwhile
        found = diff(state, other)
        if found is None:
            return None
        value, ours = (_show(item) for item in (found.right, found.left))
        return f"{found.where}, {found.field}: {value} instead of {ours} (words {', '.join(found.words)})"


@dataclass(frozen=True, slots=True)
class ClaimsSource:
    """All accounts of one certified header."""

    path: Path
    height: int
    file: ClaimsFile
    table: str = "claims"

    @property
    def name(self) -> str:
        return str(self.path)

    def find_difference(self, state: EngineState) -> str | None:
        if self.file.account_root == state.account_root:
            return None
        count = max(int(state.tables.counters[ACCOUNT_COUNT]), self.file.account_count)
        for index in range(count):
            if self._leaf(index) != _leaf_of(state, index):
                ours, theirs = tree.account_proof(state, index), "no such account"
                if self.file.has_account(index):
                    account = self.file.account(index)
                    theirs = f"claim {account.claim_quote}, debt {account.debt_quote}"
                return f"account {index}: {theirs} instead of claim {ours.claim_quote}, debt {ours.debt_quote}"
        return "another account root over the same accounts"

    def _leaf(self, index: int) -> bytes:
        if not self.file.has_account(index):
            return bytes(32)
        account = self.file.account(index)
        sums = encode_sums(account.claim_quote, account.debt_quote)
        return account_leaf(index, account.owner, account.subaccount, sums, account.digest)


def _leaf_of(state: EngineState, index: int) -> bytes:
    hashes = state.tables.node_hashes
    return bytes(hashes[len(hashes) // 2 + index].tobytes())


# `table` is what kind it is, `name` which one; `find_difference` tells in words what it has that the state of the same
# height has not, None if they agree.
Source = SnapshotSource | ClaimsSource


def find_sources(paths: Iterable[Path], params: ExchangeParams) -> dict[int, list[Source]]:
    """Everything to compare with below the paths, each a file or a node's data folder, by height. Raises `Mismatch`
    for a claims file that does not hold.
    """
    found: dict[int, list[Source]] = {}
    for path in paths:
        files = [path] if path.is_file() else sorted(_list_files(path))
        for file in files:
            source = _open_source(file, params)
            if source is not None:
                found.setdefault(source.height, []).append(source)
    return found


def _list_files(folder: Path) -> Iterable[Path]:
    yield from folder.glob("snapshots/*.snapshot")
    yield from folder.glob("snapshots/*.head")
    yield from (path for path in folder.glob("claims/*") if not path.suffix)


def _open_source(path: Path, params: ExchangeParams) -> Source | None:
    if path.suffix in (".snapshot", ".head"):
        return SnapshotSource(path, int(path.stem), params)
    try:
        data = path.read_bytes()
        if not data.startswith(MAGIC):
            raise Mismatch(0, "(file)", str(path), "it is neither a snapshot (*.snapshot, *.head) nor a claims file")
        file = read_claims(data)
    except ClaimsFileError as error:
        raise Mismatch(0, "claims", str(path), str(error)) from None
    except FileNotFoundError:
        return None
    return ClaimsSource(path, file.height, file)


def _show(value: int | bytes | None) -> str:
    if value is None:
        return "nothing"
    return str(value) if isinstance(value, int) else "0x" + value.hex()
