"""Messages of several actions: what is one, what is malformed in it, in which order it runs, what it spends."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.apply import execute
from engine.commands import (
    ACCEPT,
    ACTION_BYTES,
    ACTIONS_MAX,
    AMEND,
    BUY,
    CANCEL,
    CANCEL_ALL,
    COMBO,
    COUNT_OFFSET,
    HEADER_BYTES,
    PLACE,
    POST_ONLY,
    SELL,
    SET_SESSION,
    TRANSFER,
    WITHDRAW,
    Action,
    Command,
    is_well_formed,
    split_messages,
)
from engine.intake import CLASSES, decode_batch, gather, interleave
from engine.payload import BATCH_ACTIONS_MAX, BATCH_BYTES_MAX, BATCH_MESSAGES_MAX, Batch, DecodeError
from engine.results import Code
from engine.state import genesis
from tests.engine.blocks import FOREVER_MS, START_MS, USD, batch, block, deposit, make_params, reports, trader

ALICE, BOB = trader(1), trader(2)
MARK = 500_000
I64 = st.integers(-(1 << 63), (1 << 63) - 1) | st.integers(-1, 1)
ACTIONS = st.builds(
    Action, kind=st.integers(0, 40), side=st.integers(0, 3), time_in_force=st.integers(0, 6), flags=st.integers(0, 1),
    market=st.integers(0, 2), price_ticks=I64, size_lots=I64, client_id=I64, order_id=st.sampled_from([0, 0, 5, -1]),
    trigger_ticks=st.sampled_from([0, 0, 5]), display_lots=st.sampled_from([0, 0, 5]),
    good_till_ms=st.sampled_from([0, 0, 5]), link=st.sampled_from([0, 0, 5]),
    data=st.sampled_from([bytes(24), bytes(24), b"\1" * 20 + bytes(4), b"\1" * 24]),
)  # fmt: skip
MESSAGES = st.builds(
    Command, owner=st.just(ALICE), nonce=st.integers(-1, 9), expiry_ms=st.integers(-1, 9),
    actions=st.lists(ACTIONS, min_size=1, max_size=5).map(tuple), subaccount=st.integers(0, 9),
)  # fmt: skip


def message(nonce: int, *actions: Action, owner: bytes = ALICE) -> Command:
    return Command(owner, nonce, FOREVER_MS, actions)


def order(side: int, price_ticks: int, size_lots: int, **rest: int) -> Action:
    return Action(PLACE, side=side, price_ticks=price_ticks, size_lots=size_lots, **rest)


@pytest.fixture(scope="module")
def world():
    state = genesis(make_params(), START_MS)
    inbox = [deposit(at, owner, 100_000 * USD) for at, owner in enumerate((ALICE, BOB))]
    made = block(state, inbox=inbox)
    return execute(state, made._replace(price_reports=reports(made.time_ms, MARK, 300_000)))[0]


def answers(state, *commands: Command) -> tuple:
    state, result = execute(state, block(state, batches=list(commands)))
    return state, result, [Code(code) for code in result.receipts["code"]]


@settings(max_examples=100, deadline=None)
@given(st.lists(MESSAGES, min_size=1, max_size=4))
def test_a_batch_decodes_to_what_was_encoded(messages: list[Command]) -> None:
    blob = b"".join(item.encode() for item in messages)
    headers, actions = decode_batch(blob)
    assert [Command.decode(record) for record in split_messages(blob)] == messages
    assert headers["count"].tolist() == [len(item.actions) for item in messages]
    assert actions.tobytes() == b"".join(item.encode_actions() for item in messages)
    assert headers["nonce"].tolist() == [item.nonce for item in messages]


@settings(max_examples=200, deadline=None)
@given(MESSAGES.filter(lambda item: all(action.kind != COMBO for action in item.actions)))
def test_arrays_and_nouns_agree_on_what_is_malformed(command: Command) -> None:
    codes = gather((batch(0, 1, [command]),)).codes
    alone = [is_well_formed(replace(command, actions=(action,))) for action in command.actions]
    assert codes.tolist() == [0 if is_good else Code.MALFORMED for is_good in alone]


GOOD = message(1, order(BUY, 1, 1)).encode()
UNPARSABLE = [
    ("nothing whole", GOOD[:-8]),
    ("a tail", GOOD + bytes(8)),
    ("an odd byte", GOOD + b"\0"),
    ("a header without an action", GOOD[:HEADER_BYTES]),
    ("a message that counts none", GOOD[:COUNT_OFFSET] + b"\0" + GOOD[COUNT_OFFSET + 1 : HEADER_BYTES]),
    (
        "a message of too many actions",
        GOOD[:COUNT_OFFSET] + bytes([ACTIONS_MAX + 1]) + bytes(6 + (ACTIONS_MAX + 1) * ACTION_BYTES),
    ),
]


@pytest.mark.parametrize("blob", [row[1] for row in UNPARSABLE], ids=[row[0] for row in UNPARSABLE])
def test_what_is_no_batch(blob: bytes) -> None:
    with pytest.raises(ValueError, match="whole"):
        decode_batch(blob)
    with pytest.raises(DecodeError):
        Batch.decode(Batch(0, 1, blob, bytes(64)).encode())


def test_batches_have_limits() -> None:
    wide = message(1, *[Action(CANCEL_ALL)] * ACTIONS_MAX).encode()
    for blob, is_good in (
        (GOOD * BATCH_MESSAGES_MAX, True),
        (GOOD * (BATCH_MESSAGES_MAX + 1), False),
        (wide * (BATCH_ACTIONS_MAX // ACTIONS_MAX), True),
        (wide * (BATCH_ACTIONS_MAX // ACTIONS_MAX) + GOOD, False),
        (GOOD * (BATCH_BYTES_MAX // len(GOOD) + 1), False),
        (b"", False),
    ):
        made = Batch(0, 1, blob, bytes(64))
        if is_good:
            assert Batch.decode(made.encode()) == made
        else:
            with pytest.raises(DecodeError):
                Batch.decode(made.encode())


KINDS = [
    ("an address and no more", Action(TRANSFER, size_lots=1, data=ALICE + bytes(4)), True),
    ("more than an address", Action(TRANSFER, size_lots=1, data=ALICE + b"\1" + bytes(3)), False),
    ("a session", Action(SET_SESSION, flags=1, good_till_ms=5, data=ALICE + bytes(4)), True),
    ("a session with a price", Action(SET_SESSION, price_ticks=1), False),
    ("an amendment", Action(AMEND, order_id=5, price_ticks=1), True),
    ("an amendment with a side", Action(AMEND, order_id=5, side=1), False),
    ("an iceberg", order(BUY, 1, 1, display_lots=1), True),
    ("a negative link", order(BUY, 1, 1, link=-1), False),
    ("an acceptance", Action(ACCEPT, order_id=1, side=1), True),
]


@pytest.mark.parametrize(("action", "is_good"), [row[1:] for row in KINDS], ids=[row[0] for row in KINDS])
def test_every_kind_has_its_own_fields(action: Action, is_good: bool) -> None:
    command = message(1, action)
    assert is_well_formed(command) == is_good == (gather((batch(0, 1, [command]),)).codes[0] == 0)


LEG, BAD_LEG = order(BUY, 1, 1), order(BUY, 1, 1, order_id=1)
BAD = Code.MALFORMED
COMBINATIONS = [
    ("two legs", (Action(COMBO, side=2), LEG, LEG, LEG), [0, 0, 0, 0]),
    ("a leg that is no order", (Action(COMBO, side=2), LEG, Action(CANCEL), LEG), [BAD, BAD, BAD, 0]),
    ("a malformed leg", (Action(COMBO, side=2), BAD_LEG, LEG, LEG), [BAD, BAD, BAD, 0]),
    ("a malformed combination", (Action(COMBO, side=1, flags=1), LEG, LEG), [BAD, BAD, 0]),
    ("too few legs", (LEG, Action(COMBO, side=3), LEG, LEG), [0, BAD, BAD, BAD]),
    ("no legs", (Action(COMBO), LEG), [BAD, 0]),
    ("a combination in a combination", (Action(COMBO, side=1), Action(COMBO, side=1), LEG), [BAD, BAD, 0]),
]


@pytest.mark.parametrize(("actions", "codes"), [row[1:] for row in COMBINATIONS], ids=[row[0] for row in COMBINATIONS])
def test_combinations_stand_and_fall_with_their_legs(actions: tuple, codes: list) -> None:
    assert gather((batch(0, 1, [message(1, *actions)]),)).codes.tolist() == codes


@settings(max_examples=100, deadline=None)
@given(st.lists(st.tuples(st.integers(0, CLASSES - 1), st.integers(0, 3)), max_size=40))
def test_authors_take_turns_inside_a_class(items: list[tuple[int, int]]) -> None:
    classes, ranks = (np.array([item[part] for item in items], dtype=np.int64) for part in (0, 1))
    sequence = np.full(len(items), -1, dtype=np.int64)
    interleave(classes, ranks, 4, sequence)
    turns = [sum(other == item for other in items[:at]) for at, item in enumerate(items)]
    expected = sorted(range(len(items)), key=lambda at: (items[at][0], turns[at], items[at][1]))
    assert sequence.tolist() == expected


def test_one_nonce_covers_a_message_and_every_action_has_its_receipt(world) -> None:
    quotes = message(1, order(BUY, MARK - 1, 1, client_id=1), order(SELL, MARK + 1, 1, client_id=2), order(BUY, 0, 1))
    state, result, codes = answers(world, quotes, message(1, Action(CANCEL_ALL)), message(2, Action(CANCEL_ALL)))
    assert codes == [Code.OK, Code.OK, Code.PRICE_OUT_OF_RANGE, Code.NONCE_REUSED, Code.OK]
    assert result.receipts["command_index"].tolist() == [0, 1, 2, 3, 4]
    assert answers(state, quotes)[2] == [Code.NONCE_REUSED] * 3


def test_one_malformed_action_spoils_its_message_and_spends_nothing(world) -> None:
    mixed = message(1, order(BUY, MARK - 1, 1), Action(99))
    state, _, codes = answers(world, mixed, message(2, Action(CANCEL_ALL)))
    assert codes == [Code.MALFORMED, Code.MALFORMED, Code.OK]
    assert answers(state, message(1, Action(CANCEL_ALL)))[2] == [Code.OK]


def test_actions_of_one_message_run_in_their_classes(world) -> None:
    """The cancel at the end runs first, the withdrawal before it, the post-only order before the taker."""
    state, _, _ = answers(world, message(1, order(SELL, MARK, 5), owner=BOB))
    requote = (
        message(1, order(BUY, MARK, 5), order(BUY, MARK, 1, time_in_force=POST_ONLY), Action(WITHDRAW, size_lots=1)),
        message(2, Action(CANCEL, order_id=1 << 24 | 1), owner=BOB),
    )
    _, result, codes = answers(state, *requote)
    assert codes == [Code.OK] * 4 and len(result.fills) == 0
