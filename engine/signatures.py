"""Who signed the messages of a batch, and what they and their actions are called: whole batches in compiled code.

The same results as `engine.commands.recover_signer` and `command_id`, message by message, which is what they are
tested against. Nothing here holds the interpreter while it works, so batches are verified in threads side by side.
Curve arithmetic is libsecp256k1's own, called by address; without a compiler (`NUMBA_DISABLE_JIT=1`) the plain
functions do the work.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from coincurve._libsecp256k1 import ffi, lib  # type: ignore[import-not-found]
from coincurve.context import GLOBAL_CONTEXT
from llvmlite import ir
from numba import njit, types
from numba.extending import intrinsic

from engine.commands import (
    ACTION_BYTES,
    HEADER_BYTES,
    MANY_TYPE_HASH,
    MEMBERS_BY_KIND,
    SECP256K1_HALF_ORDER,
    TYPE_HASHES,
    recover_address,
)
from engine.compiling import allocating
from engine.fixed import IS_COMPILED
from engine.intake import ACTION_WORDS, COUNT_WORD, EXPIRY_WORD, HEADER_WORDS, NONCE_WORD, is_action_malformed
from engine.lanes import hash_fixed, hash_spans, load_word, store_word, swap_bytes
from engine.tables import Number, Truth

WORD_BYTES, HASH_BYTES, ADDRESS_BYTES = 32, 32, 20
_SIGNATURE_AT, _COUNT_AT, _DATA_AT = 40, 105, 72
_SIDE, _TIME_IN_FORCE, _FLAGS, _MARKET, _FIRST_LONG, _ADDRESS, _BYTES24, _END = 0, 1, 2, 3, 4, 12, 13, 14
_MEMBERS_MAX = 13
_STRUCT_BYTES_MAX = WORD_BYTES * (1 + 2 + _MEMBERS_MAX + 2)
_UNCOMPRESSED = 2  # libsecp256k1's flag
_FIELDS = (
    "side", "time_in_force", "flags", "market", "price_ticks", "size_lots", "client_id", "order_id", "trigger_ticks",
    "display_lots", "good_till_ms", "link",
)  # fmt: skip


def _make_recipes() -> np.ndarray:
    """By kind: which words its struct has between `subaccount` and `nonce`, ended by `_END`."""
    recipes = np.full((256, _MEMBERS_MAX + 1), _END, dtype=np.int64)
    for kind, members in MEMBERS_BY_KIND.items():
        for at, (eip_type, field) in enumerate(members):
            if field == "data":
                recipes[kind, at] = _ADDRESS if eip_type == "address" else _BYTES24
            else:
                recipes[kind, at] = _FIELDS.index(field)
    return recipes


def _make_type_hashes() -> np.ndarray:
    """By kind; kind 0, which is none, stands for several actions."""
    hashes = np.zeros((256, HASH_BYTES), dtype=np.uint8)
    for kind, digest in (TYPE_HASHES | {0: MANY_TYPE_HASH}).items():
        hashes[kind] = np.frombuffer(digest, dtype=np.uint8)
    return hashes


_RECIPES = _make_recipes()
_TYPE_HASHES = _make_type_hashes()
_HALF_ORDER = np.frombuffer(SECP256K1_HALF_ORDER.to_bytes(WORD_BYTES, "big"), dtype=np.uint8).copy()


@intrinsic
def _call_four(_typing: Any, function: Any, a: Any, b: Any, c: Any, d: Any) -> Any:
    """Call a C function of four words, pointers or numbers, by its address; returns its `int`."""

    def generate(_context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        word = ir.IntType(64)
        kind = ir.FunctionType(ir.IntType(32), [word] * 4)
        target = builder.inttoptr(arguments[0], kind.as_pointer())
        return builder.sext(builder.call(target, arguments[1:]), word)

    return types.int64(*[types.int64] * 5), generate


@intrinsic
def _call_five(_typing: Any, function: Any, a: Any, b: Any, c: Any, d: Any, e: Any) -> Any:
    """The same with five words."""

    def generate(_context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        word = ir.IntType(64)
        kind = ir.FunctionType(ir.IntType(32), [word] * 5)
        target = builder.inttoptr(arguments[0], kind.as_pointer())
        return builder.sext(builder.call(target, arguments[1:]), word)

    return types.int64(*[types.int64] * 6), generate


def _address_of(name: str) -> int:
    return int(ffi.cast("intptr_t", ffi.addressof(lib, name)))


_CONTEXT = int(ffi.cast("intptr_t", GLOBAL_CONTEXT.ctx))
_FUNCTIONS = (
    _address_of("secp256k1_ecdsa_recoverable_signature_parse_compact"),
    _address_of("secp256k1_ecdsa_recover"),
    _address_of("secp256k1_ec_pubkey_serialize"),
)


call_four: Callable[..., Any] = _call_four
call_five: Callable[..., Any] = _call_five


@allocating
def _put_number(buffer: np.ndarray, at: Number, number: Number) -> Number:
    """An int64 as one big-endian word of 32 bytes, two's complement; returns the position behind it."""
    sign = number >> 63
    store_word(buffer, at, sign)
    store_word(buffer, at + 8, sign)
    store_word(buffer, at + 16, sign)
    store_word(buffer, at + 24, swap_bytes(number))
    return at + WORD_BYTES


@allocating
def _put_address(buffer: np.ndarray, at: Number, data: np.ndarray, start: Number) -> Number:
    """20 bytes of `data` in the low end of a word."""
    zero = np.int64(0)
    store_word(buffer, at, zero)
    store_word(buffer, at + 4, zero)
    store_word(buffer, at + 12, load_word(data, start))
    store_word(buffer, at + 20, load_word(data, start + 8))
    store_word(buffer, at + 24, load_word(data, start + 12))
    return at + WORD_BYTES


@allocating
def _put_hash(buffer: np.ndarray, at: Number, data: np.ndarray, start: Number) -> Number:
    for offset in range(0, HASH_BYTES, 8):
        store_word(buffer, at + offset, load_word(data, start + offset))
    return at + HASH_BYTES


@allocating
def _put_members(buffer: np.ndarray, at: Number, words: np.ndarray, data: np.ndarray, start: Number) -> Number:
    """The members of an action's kind; `words` is the action, `data[start:]` the same as bytes."""
    head = words[0]
    for member in _RECIPES[head & 255]:
        if member == _END:
            break
        if member == _SIDE:
            at = _put_number(buffer, at, head >> 8 & 255)
        elif member == _TIME_IN_FORCE:
            at = _put_number(buffer, at, head >> 16 & 255)
        elif member == _FLAGS:
            at = _put_number(buffer, at, head >> 24 & 255)
        elif member == _MARKET:
            at = _put_number(buffer, at, head >> 32 & 0xFFFFFFFF)
        elif member == _ADDRESS:
            at = _put_address(buffer, at, data, start + _DATA_AT)
        elif member == _BYTES24:
            for offset in range(0, 24, 8):
                store_word(buffer, at + offset, load_word(data, start + _DATA_AT + offset))
            store_word(buffer, at + 24, np.int64(0))
            at += WORD_BYTES
        else:
            at = _put_number(buffer, at, words[member - _FIRST_LONG + 1])
    return at


@njit(cache=True, nogil=True)
def name_messages(
    headers: np.ndarray, actions: np.ndarray, separator: np.ndarray, digests: np.ndarray, is_signable: np.ndarray
) -> None:
    """EIP-712 digests (m, 32) of messages (m, 14) and actions (n, 12) in words; `separator` has 32 bytes.

    `is_signable` (m,) is false where one action is malformed, since its struct would not cover all its bytes; the
    digest means nothing there.
    """
    count = headers.shape[0]
    header_bytes, action_bytes = headers.ravel().view(np.uint8), actions.ravel().view(np.uint8)
    type_hashes = _TYPE_HASHES.ravel()
    starts, lengths, rows = np.empty((3, count), dtype=np.int64)
    firsts = np.empty(count, dtype=np.int64)
    first: Number = 0
    several = 0
    for at in range(count):
        firsts[at] = first
        actions_here = headers[at, COUNT_WORD] >> 8 & 255
        if actions_here > 1:
            starts[several], lengths[several], rows[several] = first * ACTION_BYTES, actions_here * ACTION_BYTES, at
            several += 1
        first += actions_here
    bodies = np.empty((count, HASH_BYTES), dtype=np.uint8)
    hash_spans(action_bytes, starts, lengths, several, bodies, rows)
    structs = np.empty(count * _STRUCT_BYTES_MAX, dtype=np.uint8)
    for at in range(count):
        header, first = headers[at], firsts[at]
        is_one = header[COUNT_WORD] >> 8 & 255 == 1
        is_signable[at] = not (is_one and is_action_malformed(actions[first]))
        begin = at * _STRUCT_BYTES_MAX
        kind = actions[first, 0] & 255 if is_one else 0
        end = _put_hash(structs, begin, type_hashes, kind * HASH_BYTES)
        end = _put_address(structs, end, header_bytes, at * HEADER_BYTES)
        end = _put_number(structs, end, header[2] >> 32 & 0xFFFFFFFF)
        if is_one:
            end = _put_members(structs, end, actions[first], action_bytes, first * ACTION_BYTES)
        else:
            end = _put_hash(structs, end, bodies.ravel(), at * HASH_BYTES)
        end = _put_number(structs, end, header[NONCE_WORD])
        end = _put_number(structs, end, header[EXPIRY_WORD])
        starts[at], lengths[at], rows[at] = begin, end - begin, at
    hash_spans(structs, starts, lengths, count, bodies, rows)
    finals = np.empty((count, 2 + 2 * HASH_BYTES), dtype=np.uint8)
    for at in range(count):
        finals[at, 0], finals[at, 1] = 0x19, 0x01
        end = _put_hash(finals.ravel(), at * finals.shape[1] + 2, separator, np.int64(0))
        _put_hash(finals.ravel(), end, bodies.ravel(), at * HASH_BYTES)
    hash_fixed(finals, finals.shape[1], digests)


@allocating
def _is_low(signature: np.ndarray) -> Truth:
    """Recovery id 0 or 1 and s at most half the order: one signature has one form."""
    if signature[64] > 1:
        return False
    for byte in range(WORD_BYTES):
        if signature[WORD_BYTES + byte] != _HALF_ORDER[byte]:
            is_below: Truth = signature[WORD_BYTES + byte] < _HALF_ORDER[byte]
            return is_below
    return True


@njit(cache=True, nogil=True)
def _recover_by_address(
    context: Number, functions: tuple[Number, Number, Number], headers: np.ndarray, digests: np.ndarray,
    is_signable: np.ndarray, signers: np.ndarray,
) -> None:  # fmt: skip
    """See `_recover_plainly`. `functions` are the addresses of libsecp256k1's parse, recover and serialize."""
    parse, recover, serialize = functions
    count = headers.shape[0]
    parsed, key, text = np.empty(128, dtype=np.uint8), np.empty(128, dtype=np.uint8), np.empty(72, dtype=np.uint8)
    text_length = np.empty(1, dtype=np.int64)
    keys = np.zeros((count, 64), dtype=np.uint8)
    is_known = np.zeros(count, dtype=np.bool_)
    for at in range(count):
        signature = headers[at, _SIGNATURE_AT:_COUNT_AT]
        if not is_signable[at] or not _is_low(signature):
            continue
        parsed_at, key_at = np.int64(parsed.ctypes.data), np.int64(key.ctypes.data)
        signature_at, digest_at = np.int64(signature.ctypes.data), np.int64(digests[at].ctypes.data)
        if call_four(parse, context, parsed_at, signature_at, np.int64(signature[64])) != 1:
            continue
        if call_four(recover, context, key_at, parsed_at, digest_at) != 1:
            continue
        text_length[0] = 65
        text_at, length_at = np.int64(text.ctypes.data), np.int64(text_length.ctypes.data)
        call_five(serialize, context, text_at, length_at, key_at, np.int64(_UNCOMPRESSED))
        for byte in range(64):
            keys[at, byte] = text[1 + byte]
        is_known[at] = True
    hashes = np.empty((count, HASH_BYTES), dtype=np.uint8)
    hash_fixed(keys, 64, hashes)
    for at in range(count):
        for byte in range(ADDRESS_BYTES):
            signers[at, byte] = hashes[at, HASH_BYTES - ADDRESS_BYTES + byte] if is_known[at] else 0


def _recover_plainly(
    _context: int, _functions: tuple[int, int, int], headers: np.ndarray, digests: np.ndarray,
    is_signable: np.ndarray, signers: np.ndarray,
) -> None:  # fmt: skip
    """Fill `signers` (m, 20) with the address that made the signature in each header (m, 112) over its digest
    (m, 32), zero for nobody and where `is_signable` is false.
    """
    for at in range(len(headers)):
        signature = headers[at, _SIGNATURE_AT:_COUNT_AT].tobytes()
        signer = recover_address(signature, digests[at].tobytes()) if is_signable[at] else bytes(ADDRESS_BYTES)
        signers[at] = np.frombuffer(signer, dtype=np.uint8)


_recover: Callable[..., None] = _recover_by_address if IS_COMPILED else _recover_plainly


@njit(cache=True, nogil=True)
def name_actions(
    headers: np.ndarray, actions: np.ndarray, digests: np.ndarray, signers: np.ndarray, ids: np.ndarray
) -> None:
    """Ids (n, 32) of all actions: see `engine.commands.compute_action_ids`.

    A message that nobody signed, or whose padding is not zero, has as its id the keccak of its bytes: else a copy of a
    command with other bytes could speak for it.
    """
    count = headers.shape[0]
    header_bytes, action_bytes = headers.ravel().view(np.uint8), actions.ravel().view(np.uint8)
    starts, lengths, rows = np.empty((3, actions.shape[0]), dtype=np.int64)
    names = digests.copy()
    first: Number = 0
    for at in range(count):
        actions_here = headers[at, COUNT_WORD] >> 8 & 255
        if headers[at, COUNT_WORD] >> 16 != 0 or not signers[at].any():
            record = np.concatenate(
                (
                    header_bytes[at * HEADER_BYTES : (at + 1) * HEADER_BYTES],
                    action_bytes[first * ACTION_BYTES : (first + actions_here) * ACTION_BYTES],
                )
            )
            starts[0], lengths[0], rows[0] = 0, record.shape[0], at
            hash_spans(record, starts, lengths, np.int64(1), names, rows)
        first += actions_here
    texts = np.empty(actions.shape[0] * (HASH_BYTES + 4), dtype=np.uint8)
    several, first = 0, 0
    for at in range(count):
        actions_here = headers[at, COUNT_WORD] >> 8 & 255
        if actions_here == 1:
            _put_hash(ids.ravel(), first * HASH_BYTES, names.ravel(), at * HASH_BYTES)
        for number in range(actions_here if actions_here > 1 else 0):
            begin = several * (HASH_BYTES + 4)
            end = _put_hash(texts, begin, names.ravel(), at * HASH_BYTES)
            texts[end] = texts[end + 1] = texts[end + 2] = 0
            texts[end + 3] = number
            starts[several], lengths[several] = begin, HASH_BYTES + 4
            rows[several] = first + number
            several += 1
        first += actions_here
    hash_spans(texts, starts, lengths, several, ids, rows)


class Verified(NamedTuple):
    """Who signed each message, (m, 20) uint8, zero for nobody; and the id of each action, (n, 32) uint8."""

    signers: np.ndarray
    ids: np.ndarray


def verify_messages(
    messages: np.ndarray, actions: np.ndarray, domain_separator: bytes, signers: np.ndarray | None = None
) -> Verified:
    """Verify a batch as `engine.intake.decode_batch` gives it; `signers` that are known already are believed."""
    headers = np.ascontiguousarray(messages).view("<i8").reshape(len(messages), HEADER_WORDS)
    words = np.ascontiguousarray(actions).view("<i8").reshape(len(actions), ACTION_WORDS)
    separator = np.frombuffer(domain_separator, dtype=np.uint8).copy()
    digests = np.empty((len(messages), HASH_BYTES), dtype=np.uint8)
    is_signable = np.empty(len(messages), dtype=np.bool_)
    name_messages(headers, words, separator, digests, is_signable)
    if signers is None:
        signers = np.empty((len(messages), ADDRESS_BYTES), dtype=np.uint8)
        header_bytes = headers.view(np.uint8).reshape(len(messages), HEADER_BYTES)
        _recover(_CONTEXT, _FUNCTIONS, header_bytes, digests, is_signable, signers)
    ids = np.empty((len(actions), HASH_BYTES), dtype=np.uint8)
    name_actions(headers, words, digests, signers, ids)
    return Verified(signers, ids)
