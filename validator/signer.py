"""The only holder of the voting key. Nothing is signed before the guard has allowed it, and no signature may leave the
process before `sync` has brought the allowance to the disk.

Two slots of one file are written in turn, each whole with a generation and a checksum, so a write torn by a crash
leaves the other slot. Until a slot is synced, further allowances go to the same one: the other keeps what was synced
last, so a crash forgets only signatures that never left. A second process on the same folder is refused by a lock.

One key signs in epoch after epoch, in each under the index of its seat. The guard remembers the newest one that it has
signed in, and refuses all earlier ones.
"""

from pathlib import Path

from consensus import crypto
from consensus.guard import SLOT_BYTES, Allowed, GuardState, Refusal, check, decode_slots, encode_slot
from consensus.messages import Ready, Vote, ready_digest, vote_digest
from consensus.scheme import Scheme
from validator.files import Files


class SignerError(Exception):
    """The guard file cannot be trusted or written: the node must stop."""


def read_guard(path: Path) -> tuple[GuardState, bool]:
    """What a guard knows, and whether a process uses it now; its file is not changed. Raises `SignerError`."""
    files = Files()
    if not files.size(path):
        raise SignerError(f"{path} is missing or empty: there is nothing that this key is known to have signed")
    try:
        files.close(files.open_locked(path))
        is_in_use = False
    except BlockingIOError:
        is_in_use = True
    decoded = decode_slots(files.read(path)[: 2 * SLOT_BYTES])
    if decoded is None:
        raise SignerError(f"{path} is damaged")
    return decoded[0], is_in_use


class Signer:
    """Signs votes of one key; see the module's text."""

    def __init__(
        self, path: Path, secret: bytes, index: int | None, domain: bytes, epoch: int, *, scheme: Scheme = crypto,
        files: Files | None = None,
    ) -> None:  # fmt: skip
        """`index`: the seat in the committee of `epoch`, None without one."""
        self._scheme = scheme
        self._files = files or Files()
        self._secret = secret
        self._index, self._epoch = index, epoch
        self._domain = domain
        self._files.make_folder(path.parent)
        data = self._files.read(path)[: 2 * SLOT_BYTES] if self._files.size(path) else b""
        decoded = decode_slots(data)
        try:
            self._descriptor = self._files.open_locked(path)
        except BlockingIOError:
            raise SignerError(f"another process uses {path}: two validators with one key would be slashed") from None
        self._is_synced = True
        self.refused: dict[str, int] = {}  # how often, by reason
        if decoded is not None:
            self._state, self._generation = decoded
        elif any(data[:SLOT_BYTES]):
            raise SignerError(f"{path} is damaged: stay an observer until the next epoch, or restore it")
        else:
            # The first write, which remembers nothing, goes to the second slot, and the first signature's to the first:
            # while that one is empty no signature has left, whatever a crash made of the rest.
            self._state, self._generation = GuardState.new(epoch), 0
            self._write(self._state)
            self.sync()
            self._files.sync_folder(path.parent)

    def enter(self, epoch: int, index: int | None) -> None:
        """From now on votes are those of this seat; None: there is none."""
        self._epoch, self._index = epoch, index

    def sign_ready(self, epoch: int, committee_hash: bytes, index: int) -> Ready:
        """EP2: no vote, and nothing that a later one could contradict."""
        signature = self._scheme.sign(self._secret, ready_digest(self._domain, epoch, committee_hash))
        return Ready(epoch, committee_hash, index, signature)

    def sign(self, epoch: int, kind: int, view: int, header_hash: bytes) -> Vote | str:
        """The vote, or the reason why the guard refuses it. Signing the same statement again gives the same vote."""
        if epoch != self._epoch or self._index is None:
            return "no seat in that epoch"
        answer = self.sign_statement(epoch, kind, view, header_hash)
        return answer if isinstance(answer, str) else Vote(kind, epoch, view, header_hash, self._index, answer)

    def sign_statement(self, epoch: int, kind: int, view: int, header_hash: bytes) -> bytes | str:
        """A vote's signature, whatever its seat: that is for the committee to know. Or the guard's reason."""
        answer = check(self._state, kind, epoch, view, header_hash)
        if isinstance(answer, Refusal):
            self.refused[answer.reason] = self.refused.get(answer.reason, 0) + 1
            return answer.reason
        if isinstance(answer, Allowed):
            self._write(answer.state)
            self._state = answer.state
        return self._scheme.sign(self._secret, vote_digest(self._domain, kind, epoch, view, header_hash))

    @property
    def highest_view(self) -> int:
        """The highest view this key is known to have signed in, or to have given up, in this epoch; 0: none."""
        epoch, view = self.newest
        return view if epoch == self._epoch else 0

    @property
    def newest(self) -> tuple[int, int]:
        """The last epoch that the guard knows of, and the highest view in it; view 0: none."""
        return self._state.epoch, max((entry.view for entry in self._state.views), default=self._state.floor_view)

    @property
    def state(self) -> GuardState:
        """All that the guard knows."""
        return self._state

    def raise_floor(self, view: int) -> None:
        """Never sign in this view of this epoch or below; durable when it returns. Raises `SignerError`."""
        state = self._state if self._state.epoch == self._epoch else GuardState.new(self._epoch)
        views = tuple(entry for entry in state.views if entry.view > view)
        if view > state.floor_view:
            self.replace(GuardState(self._epoch, view, views))

    def replace(self, state: GuardState) -> None:
        """Know this from now on, which must be no less than before; durable when it returns. Raises `SignerError`."""
        self._state = state
        self._write(state)
        self.sync()

    @property
    def is_up(self) -> bool:
        """The key is here."""
        return True

    @property
    def guard(self) -> "Signer":
        """What must be on the disk before signatures leave."""
        return self

    @property
    def is_synced(self) -> bool:
        """Whether every signature given out so far is covered by the disk."""
        return self._is_synced

    def sync(self) -> None:
        """Signatures given out before may leave once this returns. Raises `SignerError`."""
        if self._is_synced:
            return
        try:
            self._files.sync(self._descriptor)
        except OSError as error:
            self.on_synced(error)
        self.on_synced(None)

    @property
    def descriptor(self) -> int:
        """Of the guard file."""
        return self._descriptor

    def on_synced(self, error: OSError | None) -> None:
        """The disk has answered to a sync of all that was allowed. Raises `SignerError`."""
        if error is not None:
            raise SignerError(f"the signer guard cannot be synced: {error}") from error
        self._is_synced = True

    def close(self) -> None:
        self.sync()
        self._files.close(self._descriptor)

    def _write(self, state: GuardState) -> None:
        """The parity of a generation is its slot: two steps stay in the slot that is not synced yet."""
        self._generation += 1 if self._is_synced else 2
        slot = encode_slot(state, self._generation)
        self._is_synced = False
        try:
            written = self._files.write_at(self._descriptor, slot, (self._generation % 2) * SLOT_BYTES)
        except OSError as error:
            raise SignerError(f"the signer guard cannot be written: {error}") from error
        if written != SLOT_BYTES:
            raise SignerError("the signer guard cannot be written: the disk is full")
