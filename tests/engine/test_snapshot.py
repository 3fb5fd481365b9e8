"""A snapshot restores the very state, and nothing but a whole and honest one is accepted."""

import cbor2
import pytest
from tests.engine.test_rules import ALICE, BOB, MARK, POOR, answers, funded, place, withdraw

from engine.apply import execute
from engine.commands import BUY, SELL
from engine.state import SnapshotError, decode_snapshot, encode_snapshot, genesis
from tests.engine.blocks import START_MS, USD, block, make_params


@pytest.fixture(scope="module")
def busy():
    orders = [place(ALICE, n, SELL, MARK + n % 3, 5, client_id=n) for n in range(1, 8)]
    state, _ = answers(funded(), *orders, place(BOB, 1, BUY, MARK + 1, 12), withdraw(POOR, 1, USD // 2))
    return answers(state, place(BOB, 2, BUY, MARK - 5, 3))[0]


def test_a_restored_state_continues_alike(busy) -> None:
    data = encode_snapshot(busy)
    restored = decode_snapshot(data, busy.params)
    assert restored.state_root == busy.state_root and encode_snapshot(restored) == data
    commands = [place(BOB, 3, BUY, MARK + 2, 30), place(ALICE, 9, BUY, MARK - 5, 1), withdraw(BOB, 4, USD)]
    one, two = (execute(state, block(state, batches=commands))[1] for state in (busy, restored))
    assert one.commitment == two.commitment and (one.fills == two.fills).all()


def test_genesis_restores() -> None:
    state = genesis(make_params(), START_MS)
    assert decode_snapshot(encode_snapshot(state), state.params).state_root == state.state_root


def test_other_parameters_are_refused(busy) -> None:
    with pytest.raises(SnapshotError, match="other parameters"):
        decode_snapshot(encode_snapshot(busy), make_params(chain_id=1))


def test_every_damaged_byte_is_refused(busy) -> None:
    data = encode_snapshot(busy)
    for at in range(0, len(data), 11):
        damaged = bytearray(data)
        damaged[at] ^= 1 << at % 8
        with pytest.raises(SnapshotError):
            decode_snapshot(bytes(damaged), busy.params)
    for cut in (b"", data[:-1], data + b"\0", b"\x80", b"\xff"):
        with pytest.raises(SnapshotError):
            decode_snapshot(cut, busy.params)


def test_every_wrong_item_is_refused(busy) -> None:
    """Well-formed CBOR with one item of another type, size or value."""
    items = cbor2.loads(encode_snapshot(busy))
    for at, item in enumerate(items):
        if isinstance(item, int):
            others = [b"", -1, item + 1, 1 << 130, None, True]
        else:
            others = [0, b"", item[:-8], item + bytes(8), b"\xff" * len(item), bytes(len(item)), None]
        for other in others:
            if other != item or type(other) is not type(item):
                wrong = [*items[:at], other, *items[at + 1 :]]
                with pytest.raises(SnapshotError):
                    decode_snapshot(cbor2.dumps(wrong, canonical=True), busy.params)
