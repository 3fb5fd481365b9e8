"""Messages by the round: the same verdicts as message by message, each taken once, and receipts that name them all."""

from dataclasses import replace
from functools import partial

import numpy as np
import pytest
import trio
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from nacl.signing import SigningKey

from engine.commands import (
    ALL_MARKETS,
    AT_MARKET,
    CANCEL,
    CANCEL_ALL,
    COMBO,
    PLACE,
    SET_SESSION,
    TRANSFER,
    WITHDRAW,
    Action,
    Command,
    address_of,
    command_id,
    compute_action_ids,
    is_well_formed,
    recover_signer,
)
from engine.results import Code
from net.gateway.backend import NetworkInfo, Refusal
from net.gateway.errors import QUEUE_FULL, SYNCING
from net.order_frames import Receipts
from tests.validator.chainlet import (
    CHAIN_ID,
    CONTRACT,
    DOMAIN,
    EXPIRY_MS,
    OWNERS,
    PARAMS,
    SEEDS,
    SEPARATOR,
    TOKEN,
    TRADERS,
    Chainlet,
    seal,
    sign,
)
from validator.ingress import QUEUE_BYTES_MAX, QUEUE_COMMANDS_MAX, Entry, Ingress
from validator.prechecks import may_sign, precheck

NOW_MS = 5_000
COMPILE_S_MAX = 180  # the first judgement may wait for a compiler on a busy machine
SESSION_KEY = TRADERS[2]
NODE_KEY = SigningKey(SEEDS[0])


@pytest.fixture(scope="module")
def chain():
    """Two funded accounts; the first admitted a key, and both have spent nonces, the second more than remembered."""
    made = Chainlet()
    made.fund()
    grant = sign(0, SET_SESSION, 5, flags=1, good_till_ms=EXPIRY_MS, data=address_of(SESSION_KEY.public_key) + bytes(4))
    many = [sign(1, CANCEL_ALL, nonce, market=0).encode() for nonce in range(100, 170)]
    made.add([seal(0, 1, [grant.encode(), *many])])
    return made


class Desk:
    """An ingress whose node is a list."""

    def __init__(self, chain, **changes):
        self.taken, self.verdicts, self.now_ms = [], {}, NOW_MS
        info = NetworkInfo(CHAIN_ID, CONTRACT, DOMAIN, 0, TOKEN, PARAMS.markets)
        defaults = {
            "receipt_key": NODE_KEY, "state": lambda: chain.executor.final.state, "wall_ms": lambda: self.now_ms,
            "refusal": lambda: None, "backlog": lambda: 0, "enqueue": self.taken.append,
        }  # fmt: skip
        self.ingress = Ingress(info, **(defaults | changes))

    def put(self, name, data, origin=7):
        deliver = partial(self.verdicts.__setitem__, name)
        self.ingress.put(Entry(data, origin, True, deliver))

    async def judge(self, frames, is_done=lambda: True):
        """The verdicts of frames that arrive together, once that and `is_done` is so."""
        self.verdicts.clear()
        for name, data in enumerate(frames):
            self.put(name, data)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self.ingress.run)
            with trio.fail_after(COMPILE_S_MAX):
                while len(self.verdicts) < len(frames) or not is_done():
                    await trio.sleep(0)
            nursery.cancel_scope.cancel()
        return [self.verdicts[name] for name in range(len(frames))]


def codes_of(verdicts):
    return [verdict.rows["code"].tolist() for verdict in verdicts]


def reference(state, command):
    """What the rules say of one message that nobody knows yet, rule by rule."""
    if not is_well_formed(command) or not has_whole_combinations(command):
        return Code.MALFORMED
    if not may_sign(state, command.owner, command.subaccount, recover_signer(command, SEPARATOR)):
        return Code.BAD_SIGNATURE
    return precheck(state, command, NOW_MS)


def has_whole_combinations(command):
    """Every combination is followed by its legs, all of them PLACE actions (docs/protocol.md, section 5)."""
    at = 0
    while at < len(command.actions):
        legs = command.actions[at].side if command.actions[at].kind == COMBO else 0
        if command.actions[at].kind == COMBO and not legs:
            return False
        found = command.actions[at + 1 : at + 1 + legs]
        if len(found) < legs or any(leg.kind != PLACE for leg in found):
            return False
        at += 1 + legs
    return True


ACTIONS = st.one_of(
    st.builds(
        Action, st.just(PLACE), flags=st.sampled_from((0, AT_MARKET)), market=st.sampled_from((0, 1, 2, ALL_MARKETS)),
        price_ticks=st.sampled_from((-1, 0, 1, 1 << 40)), size_lots=st.sampled_from((-1, 0, 1, 1 << 50)),
    ),
    st.builds(Action, st.sampled_from((CANCEL_ALL, CANCEL)), market=st.sampled_from((0, 2, ALL_MARKETS))),
    st.builds(Action, st.sampled_from((WITHDRAW, TRANSFER)), size_lots=st.sampled_from((-1, 0, 1))),
    st.builds(Action, st.just(COMBO), side=st.integers(0, 2)),
    st.builds(Action, st.sampled_from((0, CANCEL_ALL, 77)), price_ticks=st.integers(0, 1)),
)  # fmt: skip


@st.composite
def commands(draw):
    signer = draw(st.sampled_from((*TRADERS, None)))
    command = Command(
        draw(st.sampled_from((*OWNERS, bytes(20)))), draw(st.sampled_from((0, 1, 5, 99, 101, 105, 106, 150, 169, 170))),
        draw(st.sampled_from((-1, NOW_MS - 1, NOW_MS, EXPIRY_MS))),
        tuple(draw(st.lists(ACTIONS, min_size=1, max_size=4))), draw(st.sampled_from((0, 0, 1))),
    )  # fmt: skip
    is_nameable = is_well_formed(command) or len(command.actions) > 1
    return command.signed(signer, SEPARATOR) if signer and is_nameable else command


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.lists(commands(), min_size=1, max_size=5), min_size=1, max_size=4))
def test_a_round_says_what_the_rules_say_of_each_message(chain, frames):
    desk, state = Desk(chain), chain.executor.final.state
    verdicts = trio.run(desk.judge, [b"".join(command.encode() for command in frame) for frame in frames])
    wanted = [[int(reference(state, command)) for command in frame] for frame in frames]
    assert codes_of(verdicts) == wanted
    good = {
        command_id(command, SEPARATOR): command
        for frame, codes in zip(frames, wanted) for command, code in zip(frame, codes) if not code
    }  # fmt: skip
    taken = [name.tobytes() for part in desk.taken for name in part.message_ids]
    assert taken == list(good), "each once, in the order of arrival"
    assert b"".join(part.data for part in desk.taken) == b"".join(command.encode() for command in good.values())
    ids = [name.tobytes() for part in desk.taken for name in part.action_ids]
    assert ids == [name for key, command in good.items() for name in compute_action_ids(key, len(command.actions))]


async def test_a_session_key_may_sign_for_its_account_only(chain):
    first, second = (
        Command.of(CANCEL_ALL, OWNERS[owner], 1_000, EXPIRY_MS, market=0).signed(SESSION_KEY, SEPARATOR)
        for owner in (0, 1)
    )
    assert codes_of(await Desk(chain).judge([first.encode() + second.encode()])) == [[0, Code.BAD_SIGNATURE]]


async def test_a_copy_is_told_when_the_first_was_taken_and_is_not_taken_again(chain):
    desk, command = Desk(chain), sign(0, CANCEL_ALL, 1_000, market=0)
    one, other = command.encode(), sign(0, CANCEL_ALL, 1_001, market=0).encode()
    first, second = await desk.judge([one + one, one])
    assert codes_of([first, second]) == [[0, 0], [0]] and len(desk.taken[0].headers) == 1
    desk.now_ms += 500
    again, fresh = await desk.judge([one, one + other])
    assert again.rows["received_ms"].tolist() == [NOW_MS] and again.is_copy.tolist() == [True]
    assert fresh.rows["received_ms"].tolist() == [NOW_MS, NOW_MS + 500] and fresh.is_copy.tolist() == [True, False]
    assert [len(part.headers) for part in desk.taken] == [1, 1]
    forged = replace(command, signature=bytes(65)).encode()
    assert codes_of(await desk.judge([forged])) == [[0]], "known by what it says, whoever repeats it"


async def test_a_copy_with_another_signature_does_not_stand_in_for_the_owners(chain):
    own = sign(0, CANCEL_ALL, 1_000, market=0)
    forged = [replace(own, signature=bytes(65)), own.signed(TRADERS[1], SEPARATOR)]
    desk = Desk(chain)
    verdicts = await desk.judge([item.encode() for item in (*forged, own, own)])
    assert codes_of(verdicts) == [[Code.BAD_SIGNATURE], [Code.BAD_SIGNATURE], [0], [0]]
    assert [part.data for part in desk.taken] == [own.encode()]


async def test_a_frame_that_is_no_messages_spoils_no_other(chain):
    good = sign(0, CANCEL_ALL, 1_000, market=0).encode()
    padded = bytearray(good)
    padded[106] = 1
    bad, torn, fine, pad = await Desk(chain).judge([good[:-8], good + good[:96], good, bytes(padded)])
    assert (bad.code, torn.code, fine.code) == (Code.MALFORMED, Code.MALFORMED, 0) and len(bad.rows) == 0
    assert codes_of([fine, pad]) == [[0], [Code.MALFORMED]]


async def test_one_signature_covers_a_frames_receipts(chain):
    frame = b"".join(sign(0, CANCEL_ALL, nonce, market=0).encode() for nonce in (1_000, 5, 1_001))
    (verdict,) = await Desk(chain).judge([frame])
    receipts = Receipts(1, verdict.code, verdict.rows, verdict.signature)
    assert receipts.is_signed_by(bytes(NODE_KEY.verify_key), DOMAIN, 0)
    assert verdict.rows["code"].tolist() == [0, Code.NONCE_REUSED, 0]


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"refusal": lambda: Refusal.SYNCING}, SYNCING.number),
        ({"backlog": lambda: QUEUE_COMMANDS_MAX}, QUEUE_FULL.number),
    ],
)
async def test_a_node_that_takes_nothing_still_knows_what_it_took(chain, changes, code):
    desk, old, new = Desk(chain), *(sign(0, CANCEL_ALL, nonce, market=0).encode() for nonce in (1_000, 1_001))
    await desk.judge([old])
    refusing = Desk(chain, **changes)
    refusing.ingress._memory = desk.ingress._memory
    assert codes_of(await refusing.judge([new + old])) == [[code, 0]] and refusing.taken == []


async def test_too_many_bytes_at_once_are_refused_unseen(chain):
    desk = Desk(chain)
    data = sign(0, CANCEL_ALL, 1_000, market=0).encode() * 256
    for name in range(QUEUE_BYTES_MAX // len(data) + 1):
        desk.put(name, data)
    (last,) = desk.verdicts
    assert desk.verdicts[last].code == QUEUE_FULL.number and last == QUEUE_BYTES_MAX // len(data)


async def test_actions_of_what_was_taken_are_known_by_their_ids(chain):
    desk = Desk(chain)
    pair = Command(OWNERS[0], 1_000, EXPIRY_MS, (Action(CANCEL_ALL, market=0),) * 2).signed(TRADERS[0], SEPARATOR)
    await desk.judge([pair.encode()])
    name = command_id(pair, SEPARATOR)
    assert all(map(desk.ingress.has_taken_action, (name, *compute_action_ids(name, 2))))
    assert not desk.ingress.has_taken_action(compute_action_ids(name, 3)[2])


async def test_a_failure_of_ours_is_answered_and_ends_nothing(chain):
    desk = Desk(chain, state=lambda: None)
    good = sign(0, CANCEL_ALL, 1_000, market=0).encode()
    (verdict,) = await desk.judge([good])
    assert verdict.code == 610 and desk.taken == [] and np.array_equal(verdict.rows, verdict.rows[:0])


@settings(max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_no_bytes_make_a_round_fail(chain, data):
    good = b"".join(sign(0, CANCEL_ALL, nonce, market=0).encode() for nonce in (1_000, 1_001))
    mutated = bytearray(good)
    for at in data.draw(st.lists(st.integers(0, len(good) - 1), max_size=6)):
        mutated[at] = data.draw(st.integers(0, 255))
    other = data.draw(st.one_of(st.binary(min_size=1, max_size=600), st.integers(1, 5).map(lambda n: bytes(208 * n))))
    verdicts = trio.run(Desk(chain).judge, [bytes(mutated), other, good])
    assert all(verdict.code in (0, Code.MALFORMED) for verdict in verdicts)
    assert all(code in {int(item) for item in Code} for rows in codes_of(verdicts) for code in rows)
    assert codes_of(verdicts)[2] == [0, 0]
