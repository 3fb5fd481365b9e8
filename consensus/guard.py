"""The signer's guard: the second line of defence, which knows nothing but what this key has signed.

Per view: the block it notarised, whether it nullified, the block it finalised. A statement is allowed when it equals
the stored one (sign again: the signature is deterministic) or when no rule of evidence forbids it (E1-E4). Views at
or below the floor are never signed. The state lives in two slots of one file written in turn; the newest slot with a
right checksum counts, so a write torn by a crash leaves the state before it, whose statement was not yet spoken.

The slot has room for `VIEWS_MAX` views; a further one pushes out the lowest and raises the floor above it.
"""

import struct
import zlib
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

from consensus.messages import FINALIZE, HASH_BYTES, KINDS, NOTARIZE, NULLIFY, ZERO_HASH

SLOT_BYTES = 8192
VIEWS_MAX = 96
_MAGIC = b"HGRD"
_HEAD = struct.Struct(">4sIQIQH")  # magic, crc32 of everything after it, generation, epoch, floor view, views
_ENTRY = struct.Struct(">QB32s32s")  # view, flags (bit = kind), notarised hash, finalised hash
assert _HEAD.size + VIEWS_MAX * _ENTRY.size <= SLOT_BYTES


class SignedView(NamedTuple):
    """What the key has signed in one view."""

    view: int
    notarized: bytes | None = None
    is_nullified: bool = False
    finalized: bytes | None = None


@dataclass(frozen=True, slots=True)
class GuardState:
    epoch: int
    floor_view: int
    views: tuple[SignedView, ...]  # ascending, all above the floor

    @classmethod
    def new(cls, epoch: int, floor_view: int = 0) -> "GuardState":
        """A key that has signed nothing in this epoch, or whose memory of views up to the floor is given up."""
        return cls(epoch, floor_view, ())


@dataclass(frozen=True, slots=True)
class Allowed:
    """Sign after `state` is durable."""

    state: GuardState


@dataclass(frozen=True, slots=True)
class Same:
    """This very statement was signed before: sign it again, nothing to write."""


@dataclass(frozen=True, slots=True)
class Refusal:
    reason: str


def check(state: GuardState, kind: int, epoch: int, view: int, header_hash: bytes) -> Allowed | Same | Refusal:
    """May the key sign this statement? Rows in order of precedence."""
    if kind not in KINDS:
        return Refusal("unknown kind")
    if epoch < state.epoch:
        return Refusal("an epoch that is over")
    if epoch > state.epoch:
        state = GuardState.new(epoch)
    if view <= state.floor_view:
        return Refusal("at or below the floor")
    if (kind == NULLIFY) != (header_hash == ZERO_HASH) or len(header_hash) != HASH_BYTES:
        return Refusal("malformed statement")
    entry = next((known for known in reversed(state.views) if known.view == view), SignedView(view))
    match kind:
        case _ if kind == NOTARIZE:
            verdict = _check_notarize(entry, header_hash)
        case _ if kind == NULLIFY:
            verdict = _check_nullify(entry)
        case _:
            verdict = _check_finalize(entry, header_hash)
    return Allowed(_replace(state, verdict)) if isinstance(verdict, SignedView) else verdict


def _check_notarize(entry: SignedView, header_hash: bytes) -> SignedView | Same | Refusal:
    if entry.notarized == header_hash:
        return Same()
    if entry.notarized is not None:
        return Refusal("notarized another block in this view")  # E1
    if entry.is_nullified:
        return Refusal("nullified this view")  # R3
    if entry.finalized is not None:
        return Refusal("finalized in this view")  # R4: closed for notarizing
    return entry._replace(notarized=header_hash)


def _check_nullify(entry: SignedView) -> SignedView | Same | Refusal:
    if entry.is_nullified:
        return Same()
    if entry.finalized is not None:
        return Refusal("finalized in this view")  # E3
    return entry._replace(is_nullified=True)


def _check_finalize(entry: SignedView, header_hash: bytes) -> SignedView | Same | Refusal:
    if entry.finalized == header_hash:
        return Same()
    if entry.finalized is not None:
        return Refusal("finalized another block in this view")  # E2
    if entry.is_nullified:
        return Refusal("nullified this view")  # E3
    if entry.notarized not in (None, header_hash):
        return Refusal("notarized another block in this view")  # E4
    return entry._replace(finalized=header_hash)


def _replace(state: GuardState, entry: SignedView) -> GuardState:
    others = [known for known in state.views if known.view != entry.view]
    views = sorted([*others, entry])
    if len(views) <= VIEWS_MAX:
        return GuardState(state.epoch, state.floor_view, tuple(views))
    if views[0] == entry:  # lower than all that is remembered: signed once, then below the floor
        return GuardState(state.epoch, entry.view, tuple(views[1:]))
    return GuardState(state.epoch, views[0].view, tuple(views[1:]))


def encode_slot(state: GuardState, generation: int) -> bytes:
    """Exactly `SLOT_BYTES`. Slot `generation % 2` of the file is written, so the other keeps the state before."""
    body = b"".join(map(_encode_entry, state.views))
    head = _HEAD.pack(_MAGIC, 0, generation, state.epoch, state.floor_view, len(state.views))
    crc = zlib.crc32(head[8:] + body)
    head = _HEAD.pack(_MAGIC, crc, generation, state.epoch, state.floor_view, len(state.views))
    return (head + body).ljust(SLOT_BYTES, b"\0")


@lru_cache(2 * VIEWS_MAX)
def _encode_entry(entry: SignedView) -> bytes:
    """Remembered: of all views in a slot, one is new."""
    flags = (
        (entry.notarized is not None) << NOTARIZE
        | entry.is_nullified << NULLIFY
        | (entry.finalized is not None) << FINALIZE
    )
    return _ENTRY.pack(entry.view, flags, entry.notarized or ZERO_HASH, entry.finalized or ZERO_HASH)


def decode_slots(data: bytes) -> tuple[GuardState, int] | None:
    """State and generation of the newest valid slot; None if neither can be trusted."""
    slots = [_decode_slot(data[at : at + SLOT_BYTES]) for at in (0, SLOT_BYTES)]
    return max((slot for slot in slots if slot is not None), key=lambda slot: slot[1], default=None)


def _decode_slot(data: bytes) -> tuple[GuardState, int] | None:
    if len(data) != SLOT_BYTES:
        return None
    magic, crc, generation, epoch, floor_view, count = _HEAD.unpack_from(data)
    end = _HEAD.size + count * _ENTRY.size
    if magic != _MAGIC or count > VIEWS_MAX or crc != zlib.crc32(data[8:end]):
        return None
    views = []
    for view, flags, notarized, finalized in _ENTRY.iter_unpack(data[_HEAD.size : end]):
        views.append(
            SignedView(
                view,
                notarized if flags >> NOTARIZE & 1 else None,
                bool(flags >> NULLIFY & 1),
                finalized if flags >> FINALIZE & 1 else None,
            )
        )
    return GuardState(epoch, floor_view, tuple(views)), generation
