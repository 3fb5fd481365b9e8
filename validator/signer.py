"""The only holder of the voting key. Nothing is signed before the guard has allowed it and the allowance is on disk.

Two slots of one file are written in turn, each whole with a generation and a checksum, so a write torn by a crash
leaves the other slot. A second process on the same folder is refused by a lock.
"""

import fcntl
import os
from pathlib import Path

from consensus import crypto
from consensus.guard import SLOT_BYTES, Allowed, GuardState, Refusal, check, decode_slots, encode_slot
from consensus.messages import Vote, vote_digest


class SignerError(Exception):
    """The guard file cannot be trusted or written: the node must stop."""


class Signer:
    """Signs votes of one key; see the module's text."""

    def __init__(self, path: Path, secret: bytes, index: int, domain: bytes, epoch: int) -> None:
        self._secret = secret
        self._index = index
        self._domain = domain
        path.parent.mkdir(parents=True, exist_ok=True)
        # Empty: a crash came between creating the file and its first write, so nothing was ever signed.
        is_new = not path.exists() or path.stat().st_size == 0
        self._descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise SignerError(f"another process uses {path}: two validators with one key would be slashed") from None
        if is_new:
            self._state, self._generation = GuardState.new(epoch), 0
            self._write(self._state)
            self._sync_folder(path.parent)
        else:
            data = os.pread(self._descriptor, 2 * SLOT_BYTES, 0)
            decoded = decode_slots(data)
            if decoded is None:
                raise SignerError(f"{path} is damaged: stay an observer until the next epoch, or restore it")
            self._state, self._generation = decoded

    def sign(self, kind: int, view: int, header_hash: bytes) -> Vote | str:
        """The vote, or the reason why the guard refuses it. Signing the same statement again gives the same vote."""
        epoch = self._state.epoch
        answer = check(self._state, kind, epoch, view, header_hash)
        if isinstance(answer, Refusal):
            return answer.reason
        if isinstance(answer, Allowed):
            self._write(answer.state)
            self._state = answer.state
        digest = vote_digest(self._domain, kind, epoch, view, header_hash)
        return Vote(kind, epoch, view, header_hash, self._index, crypto.sign(self._secret, digest))

    def close(self) -> None:
        os.close(self._descriptor)

    def _write(self, state: GuardState) -> None:
        self._generation += 1
        slot = encode_slot(state, self._generation)
        try:
            written = os.pwrite(self._descriptor, slot, (self._generation % 2) * SLOT_BYTES)
            os.fdatasync(self._descriptor)
        except OSError as error:
            raise SignerError(f"the signer guard cannot be written: {error}") from error
        if written != SLOT_BYTES:
            raise SignerError("the signer guard cannot be written: the disk is full")

    @staticmethod
    def _sync_folder(folder: Path) -> None:
        descriptor = os.open(folder, os.O_RDONLY)
        os.fsync(descriptor)
        os.close(descriptor)
