"""Orders from the API's process to the node: judged once by the node, sent again when the line breaks, refused while it
is down.
"""

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st

from engine.commands import CANCEL_ALL, command_id, compute_action_ids
from engine.results import Code, OrderState
from net.feed.orders import Judged, Submission
from net.feed.protocol import FeedError
from net.feed.questions import BY_ID, BY_LABEL, BY_NONCE, Question, Told
from net.gateway.backend import CommandResult, Status
from net.gateway.errors import INTERNAL, QUEUE_FULL, SYNCING
from net.order_frames import RECEIPT_ROW, Receipts
from tests.validator.chainlet import DOMAIN, NETWORK_KEYS, SEPARATOR, Chainlet, seal, sign
from tests.validator.test_ingress import Desk
from validator import order_line
from validator.ingress import Entry, Verdict
from validator.order_desk import OrderDesk
from validator.order_line import OrderLine
from validator.sealing import NO_ORIGIN

ORIGIN = 4


@pytest.fixture(scope="module")
def chain() -> Chainlet:
    made = Chainlet()
    made.fund()
    return made


class Ends:
    """A node's desk and an API's line in one loop; the node's end can go away and come again."""

    def __init__(self, chain: Chainlet, folder: Path) -> None:
        self.path = folder / "orders.sock"
        self.node = Desk(chain)
        self.line = OrderLine(self.path, SEPARATOR)
        self.verdicts: dict[object, Verdict] = {}
        self.known: dict[Question, tuple[CommandResult, ...]] = {}
        self._nursery: trio.Nursery | None = None

    def put(self, name: object, *records: bytes, origin: int = ORIGIN, is_frame: bool = True) -> None:
        deliver = partial(self.verdicts.__setitem__, name)
        self.line.put(Entry(b"".join(records), origin, is_frame, deliver))

    def look_up(self, question: Question) -> tuple[CommandResult, ...]:
        """What the node knows; questions come with tokens of their own."""
        return self.known[replace(question, token=0)]

    async def verdict(self, name: object) -> Verdict:
        with trio.fail_after(30):
            while name not in self.verdicts:
                await trio.sleep(0.005)
        return self.verdicts[name]

    @asynccontextmanager
    async def serving(self, is_judging: bool = True) -> AsyncIterator[None]:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(OrderDesk(self.path, self.node.ingress, self.look_up).run)
            if is_judging:
                nursery.start_soon(self.node.ingress.run)
            with trio.fail_after(30):
                while not self.line.is_open:
                    await trio.sleep(0.005)
            yield
            nursery.cancel_scope.cancel()
        with trio.fail_after(30):
            while self.line.is_open:
                await trio.sleep(0.005)


@pytest.fixture
async def ends(chain: Chainlet, tmp_path: Path, nursery: trio.Nursery) -> Ends:
    made = Ends(chain, tmp_path)
    nursery.start_soon(made.line.run)
    return made


def cancel(nonce: int, trader: int = 0) -> bytes:
    return sign(trader, CANCEL_ALL, nonce, market=0).encode()


async def test_a_frame_gets_the_nodes_own_verdict_and_signature(ends: Ends) -> None:
    forged = replace(sign(0, CANCEL_ALL, 12, market=0), signature=bytes(65)).encode()
    async with ends.serving():
        ends.put("frame", cancel(10), forged, cancel(11))
        verdict = await ends.verdict("frame")
    assert verdict.rows["code"].tolist() == [0, Code.BAD_SIGNATURE, 0]
    assert verdict.counts.tolist() == [1, 1, 1] and not verdict.is_copy.any()
    assert Receipts(1, 0, verdict.rows, verdict.signature).is_signed_by(NETWORK_KEYS[0], DOMAIN, 0)
    assert sum(len(part.headers) for part in ends.node.taken) == 2


async def test_a_lone_command_gets_a_receipt_of_its_own(ends: Ends) -> None:
    async with ends.serving():
        ends.put("lone", cancel(10), is_frame=False, origin=NO_ORIGIN)
        verdict = await ends.verdict("lone")
    name = command_id(sign(0, CANCEL_ALL, 10, market=0), SEPARATOR)
    assert verdict.rows["message_id"][0].tobytes() == name
    signed = b"hansa/receipt/v1" + DOMAIN + name + int(verdict.rows["received_ms"][0]).to_bytes(8, "big")
    from nacl.signing import VerifyKey

    VerifyKey(NETWORK_KEYS[0]).verify(signed, verdict.signature)
    assert ends.line.has_taken_action(name) and ends.line.received_ms(name) == ends.node.now_ms


async def test_what_is_no_message_never_reaches_the_node(ends: Ends) -> None:
    async with ends.serving(is_judging=False):
        for data in (b"", b"12345678", cancel(1)[:-8], cancel(1) * 513):
            ends.put(data, data)
            assert (await ends.verdict(data)).code == Code.MALFORMED
        await trio.sleep(0.02)
        assert not ends.node.ingress._waiting


async def test_without_a_node_orders_are_refused_at_once(ends: Ends) -> None:
    ends.put("early", cancel(1))
    assert ends.verdicts["early"].code == SYNCING.number


async def test_what_has_no_verdict_when_the_node_goes_is_asked_again_and_taken_once(ends: Ends) -> None:
    async with ends.serving(is_judging=False):
        ends.put("frame", cancel(20), cancel(21))
        with trio.fail_after(30):
            while not ends.node.ingress._waiting:
                await trio.sleep(0.005)
    assert "frame" not in ends.verdicts
    async with ends.serving():
        verdict = await ends.verdict("frame")
    assert verdict.rows["code"].tolist() == [0, 0]
    assert sum(len(part.headers) for part in ends.node.taken) == 2, "the node judged both copies and took one of each"


async def test_nobody_waits_for_ever_for_a_node_that_stays_away(ends: Ends, monkeypatch: pytest.MonkeyPatch) -> None:
    async with ends.serving(is_judging=False):
        ends.put("frame", cancel(20))
        await trio.sleep(0.02)
    monkeypatch.setattr(order_line, "UNANSWERED_S_MAX", 0.0)
    assert (await ends.verdict("frame")).code == INTERNAL.number


async def test_the_line_holds_so_many_bytes(ends: Ends, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(order_line, "QUEUE_BYTES_MAX", 3 * len(cancel(1)))
    async with ends.serving(is_judging=False):
        for nonce in range(1, 5):
            ends.put(nonce, cancel(nonce))
        assert list(ends.verdicts) == [4] and ends.verdicts[4].code == QUEUE_FULL.number


async def test_a_batch_knows_which_connection_asked_for_its_messages(ends: Ends) -> None:
    several = sign(1, CANCEL_ALL, 31, market=0)
    async with ends.serving():
        ends.put("one", cancel(30), origin=7)
        ends.put("two", several.encode(), origin=8)
        await ends.verdict("two")
    sources = ends.line.find_sources(seal(0, 1, [cancel(30), several.encode(), cancel(99)]))
    assert sources is not None and sources.origins.tolist() == [7, 8, NO_ORIGIN]
    assert sources.message_ids[1].tobytes() == command_id(several, SEPARATOR)
    assert ends.line.has_taken_action(compute_action_ids(command_id(several, SEPARATOR), 1)[0])


INCLUDED = CommandResult(b"\x01" * 32, Status.INCLUDED, height=9, time_ms=5)
EXECUTED = CommandResult(
    b"\x02" * 32, Status.EXECUTED, Code.OK, OrderState.OPEN, 1 << 30, 2, 3, 10**12, 9, 5, (), 1, 4
)  # fmt: skip
QUESTIONS = (
    Question(0, BY_ID, b"\x01" * 32),
    Question(0, BY_NONCE, bytes(32), b"\x07" * 20, 3, (1 << 63) - 1),
    Question(0, BY_LABEL, bytes(32), b"\x07" * 20, 0, 1),
)


async def test_the_node_is_asked_for_what_it_alone_knows(ends: Ends) -> None:
    ends.known = {QUESTIONS[0]: (INCLUDED,), QUESTIONS[1]: (EXECUTED, INCLUDED)}
    assert await ends.line.ask(QUESTIONS[0]) is None, "nobody is there"
    async with ends.serving(is_judging=False):
        assert await ends.line.ask(QUESTIONS[0]) == (INCLUDED,)
        assert await ends.line.ask(QUESTIONS[1]) == (EXECUTED, INCLUDED)
        assert await ends.line.ask(QUESTIONS[2]) == (), "a look-up that fails ends no node"
        ends.put("frame", cancel(40))  # and the line still serves


async def test_who_asks_too_much_is_answered_from_here(ends: Ends) -> None:
    ends.known = {QUESTIONS[0]: (INCLUDED,)}
    ends.line._questions.rate_per_s = 0.0
    async with ends.serving(is_judging=False):
        answers = [await ends.line.ask(QUESTIONS[0]) for _ in range(order_line.QUESTIONS_BURST + 2)]
    assert answers == [(INCLUDED,)] * order_line.QUESTIONS_BURST + [None] * 2


JUDGED = Judged(3, 0, np.zeros(2, RECEIPT_ROW), np.array([1, 3]), np.array([True, False]), bytes(64))

TOLD = Told(7, (INCLUDED, EXECUTED))


@contextmanager
def as_feed_error() -> Iterator[None]:
    try:
        yield
    except FeedError:
        return


def test_frames_come_back_as_they_went() -> None:
    assert Submission.decode(Submission(9, True, b"abc").encode()[4:]) == Submission(9, True, b"abc")
    back = Judged.decode(JUDGED.encode()[4:])
    assert (back.token, back.code, back.signature) == (3, 0, bytes(64))
    assert back.counts.tolist() == [1, 3] and back.is_copy.tolist() == [True, False]
    for question in QUESTIONS:
        assert Question.decode(question.encode()[4:]) == question
    assert Told.decode(TOLD.encode()[4:]) == TOLD


@given(st.binary(max_size=64), st.integers(0, 200))
def test_damaged_frames_give_frames_or_feed_error(noise: bytes, at: int) -> None:
    for whole in (JUDGED.encode()[4:], TOLD.encode()[4:], QUESTIONS[1].encode()[4:]):
        for data in (noise, whole[:at] + noise + whole[at + len(noise) :], whole[:at]):
            for kind in (Submission, Judged, Question, Told):
                with as_feed_error():
                    kind.decode(data)
