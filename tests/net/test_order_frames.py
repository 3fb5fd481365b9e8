"""The frames of binary order entry: fixed bytes, total decoders, one signature for all rows."""

import json
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from nacl.signing import SigningKey

from engine.commands import CANCEL_ALL, Action, Command
from net.order_frames import (
    FLAG_OUTCOMES,
    OUTCOME_ROW,
    RECEIPT_ROW,
    FrameError,
    Orders,
    Outcomes,
    Receipts,
    count_messages,
    decode_answer,
    receipts_signing_bytes,
    refuse,
)

KEY, NETWORK_ID = SigningKey(b"\7" * 32), b"\x0a" * 32
VECTORS = Path(__file__).parent.parent / "vectors" / "order_frames.json"


def receipt_rows():
    rows = np.zeros(2, RECEIPT_ROW)
    rows["message_id"][0], rows["message_id"][1] = 1, 2
    rows["received_ms"], rows["code"] = [1_700_000_000_000, 1_700_000_000_007], [0, 203]
    return rows


def outcomes():
    rows = np.zeros(3, OUTCOME_ROW)
    rows["message"], rows["action"], rows["code"], rows["order_state"] = [0, 1, 1], [0, 0, 1], [0, 0, 307], [1, 2, 0]
    rows["order_id"], rows["filled_lots"], rows["remaining_lots"] = [1 << 24, 2 << 24, 0], [0, 5, 0], [9, 0, 0]
    rows["filled_quote"], rows["withdrawal_index"] = [0, 320_000_000, 0], -1
    return Outcomes(1234, 1_700_000_000_100, np.repeat(np.array([[1], [2]], np.uint8), 32, axis=1), rows)


def make_vectors():
    rows = receipt_rows()
    message = Command.of(CANCEL_ALL, b"\x11" * 20, 1, 2, market=0).encode()
    signature = KEY.sign(receipts_signing_bytes(NETWORK_ID, 3, rows)).signature
    return {
        "network_id": NETWORK_ID.hex(), "node_index": 3, "network_key": bytes(KEY.verify_key).hex(),
        "orders": Orders(0x0102030405060708, FLAG_OUTCOMES, message).encode().hex(),
        "signed": receipts_signing_bytes(NETWORK_ID, 3, rows).hex(),
        "receipts": Receipts(0x0102030405060708, 0, rows, signature).encode().hex(),
        "refused": refuse(9, 605).hex(),
        "outcomes": outcomes().encode().hex(),
    }  # fmt: skip


def test_the_bytes_are_those_of_the_golden_vectors():
    assert make_vectors() == json.loads(VECTORS.read_text())


def test_what_was_encoded_is_decoded():
    vectors = json.loads(VECTORS.read_text())
    orders = Orders.decode(bytes.fromhex(vectors["orders"]))
    assert (orders.tag, orders.flags, len(orders.messages)) == (0x0102030405060708, FLAG_OUTCOMES, 208)
    receipts = decode_answer(bytes.fromhex(vectors["receipts"]))
    assert (receipts.rows == receipt_rows()).all() and receipts.tag == orders.tag and receipts.code == 0
    refused = decode_answer(bytes.fromhex(vectors["refused"]))
    assert (refused.tag, refused.code, len(refused.rows)) == (9, 605, 0)
    told = decode_answer(bytes.fromhex(vectors["outcomes"]))
    assert (told.rows == outcomes().rows).all() and (told.height, told.time_ms) == (1234, 1_700_000_000_100)
    assert (told.message_ids == outcomes().message_ids).all()


def test_one_signature_answers_for_every_row():
    vectors = json.loads(VECTORS.read_text())
    receipts, key = Receipts.decode(bytes.fromhex(vectors["receipts"])), bytes(KEY.verify_key)
    assert receipts.is_signed_by(key, NETWORK_ID, 3)
    assert not receipts.is_signed_by(key, NETWORK_ID, 2) and not receipts.is_signed_by(key, bytes(32), 3)
    assert not receipts.is_signed_by(bytes(SigningKey(b"\1" * 32).verify_key), NETWORK_ID, 3)
    for name, value in (("code", 1), ("received_ms", 1), ("message_id", 9)):
        rows = receipts.rows.copy()
        rows[name][1] = value
        assert not Receipts(receipts.tag, 0, rows, receipts.signature).is_signed_by(key, NETWORK_ID, 3), name


@given(st.binary(max_size=300))
def test_any_bytes_are_a_frame_or_an_error(data):
    for decode in (Orders.decode, Receipts.decode, Outcomes.decode, decode_answer):
        with suppress(FrameError):
            assert decode(data).encode() == data or decode is not Orders.decode


@pytest.mark.parametrize("at", range(0, 24, 3))
def test_a_frame_of_another_length_is_none(at):
    whole = outcomes().encode()
    for data in (whole[:at], whole[:-1], whole + b"\0"):
        with pytest.raises(FrameError):
            decode_answer(data)


def test_an_outcome_names_a_message_of_its_frame():
    told = outcomes()
    told.rows["message"][2] = 2
    with pytest.raises(FrameError, match="not named"):
        Outcomes.decode(told.encode())


def test_messages_are_counted_by_their_headers():
    one, many = (Command(bytes(20), 1, 2, (Action(CANCEL_ALL),) * count).encode() for count in (1, 7))
    assert [count_messages(data) for data in (b"", one, one + many + one, one[:-1], b"\0" * 50)] == [0, 1, 3, 1, 0]
