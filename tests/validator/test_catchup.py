"""Catching up believes nothing but certificates, parent hashes and its own execution; answering costs bounded work."""

import random
from dataclasses import replace

import pytest

from consensus.messages import NOTARIZE, encode_message
from engine.commands import BUY, PLACE, POST_ONLY
from net.wire import RANGE_RESPONSE_BYTES_TARGET, RangeBlock, RangeRequest, RangeResponse, encode_frame
from tests.validator.chainlet import (
    DOMAIN,
    FOUNDERS,
    GENESIS,
    GENESIS_STATE,
    MARK_TICKS,
    MEMBERS,
    NETWORK_KEYS,
    PARAMS,
    SEPARATOR,
    Chainlet,
    certify,
    seal,
    sign,
)
from validator import catchup, ranges
from validator.batches import BatchPool, check_batch
from validator.catchup import (
    BEHIND_BLOCKS_MIN,
    RANGES_AHEAD_MAX,
    RESPONSE_TIMEOUT_MS,
    Accept,
    Ask,
    Blamed,
    CheckBatches,
    Head,
    RangeSync,
    Wake,
)
from validator.executor import Executor
from validator.ranges import ANSWER_INTERVAL_MS, ANSWERS_BURST, AnswerBudget, answer_range
from validator.roster import Roster
from validator.store import Store

EMPTY = RangeResponse((), None)


@pytest.fixture(scope="module")
def history():
    """Eight blocks, four of them with a batch each."""
    chain = Chainlet()
    blocks = [RangeBlock(chain.fund(), ())]
    for sequence in range(1, 5):
        ticks = MARK_TICKS - sequence
        order = sign(0, PLACE, sequence, side=BUY, time_in_force=POST_ONLY, price_ticks=ticks, size_lots=1)
        sealed = seal(1, sequence, [order.encode()])
        blocks.append(RangeBlock(chain.add([sealed]), (sealed.batch,)))
    blocks += [RangeBlock(chain.add([]), ()) for _ in range(3)]
    return tuple(blocks)


@pytest.fixture(scope="module")
def certificates(history):
    return {entry.block.header.height: certify(entry.block) for entry in history}


@pytest.fixture(autouse=True)
def short_ranges(monkeypatch):
    """Two blocks a range, so that eight blocks are four ranges."""
    monkeypatch.setattr(catchup, "RANGE_BLOCKS", 2)
    monkeypatch.setattr(ranges, "RANGE_BLOCKS", 2)


class Laggard:
    """A node at genesis. `peers[peer](request)` is that peer's answer, None for silence; unanswered requests wait in
    `open`."""

    def __init__(self, peers) -> None:
        self.pool = BatchPool(MEMBERS)
        self.executor = Executor(PARAMS, self.pool, GENESIS.hash(), GENESIS_STATE)
        self.peers, self.now_ms, self.wake_ms = peers, 0, None
        self.kept, self.blamed, self.asked, self.open, self.accepted = [], [], [], [], []
        self.sync = RangeSync(
            quorum_of=Roster([FOUNDERS]).quorum,
            head=lambda: Head(self.executor.final.height, self.executor.final_hash),
            is_genuine=lambda certificate: certificate.signature[:1] != b"\0",
            is_held=lambda batch_hash: self.pool.get(batch_hash) is not None,
        )  # fmt: skip

    @property
    def height(self) -> int:
        return self.executor.final.height

    def perform(self, effects) -> None:
        for effect in effects:
            match effect:
                case Ask(peer, request):
                    self.asked.append((peer, request.from_height, request.limit))
                    self.open.append((peer, request))
                case CheckBatches(token, batches):
                    checked = [check_batch(batch, NETWORK_KEYS[batch.author], DOMAIN, SEPARATOR) for batch in batches]
                    self.perform(self.sync.on_checked(self.now_ms, token, None if None in checked else tuple(checked)))
                case Accept(blocks, batches, certificate):
                    assert certificate.header_hash == blocks[-1].hash()
                    for checked in batches:
                        self.kept.append(checked.batch_hash)
                        self.pool.add_named(checked)
                    for block in blocks:
                        assert block.header.height == self.height + 1
                        assert self.executor.execute(block) == block.header.commitment
                        self.executor.finalise(block.hash())
                    self.perform(self.sync.on_head(self.now_ms))
                case Blamed(peer, reason):
                    self.blamed.append((peer, reason))
                case Wake(at_ms):
                    self.wake_ms = at_ms

    def answer(self, at=0) -> None:
        """The peer of one open request answers, or stays silent."""
        peer, request = self.open.pop(at)
        response = self.peers[peer](request)
        if response is not None:
            self.perform(self.sync.on_response(self.now_ms, peer, response))

    def run(self, steps=200) -> None:
        for _ in range(steps):
            if self.open:
                self.answer()
            elif self.sync.is_active and self.wake_ms is not None:
                self.now_ms, self.wake_ms = max(self.now_ms, self.wake_ms), None
                self.perform(self.sync.on_timer(self.now_ms))
            else:
                return


@pytest.fixture
def honest(history, certificates):
    """Answers as the store would."""

    def answer(request):
        found = history[request.from_height - 1 : request.from_height - 1 + request.limit]
        return RangeResponse(found, certificates[found[-1].block.header.height]) if found else EMPTY

    return answer


def silent(_):
    return None


def connect(laggard, **heights):
    for name, height in heights.items():
        laggard.perform(laggard.sync.on_peer(laggard.now_ms, int(name[1:]), height))


def test_ranges_are_pulled_from_several_peers_at_once(history, honest):
    laggard = Laggard({1: honest, 2: honest, 3: honest})
    connect(laggard, p1=8, p2=8, p3=8)
    assert sorted(peer for peer, _ in laggard.open) == [1, 2, 3]
    assert sorted(from_height for _, from_height, _ in laggard.asked) == [1, 3, 5]
    laggard.run()
    assert laggard.height == 8 and len(laggard.kept) == 4 and laggard.blamed == [] and not laggard.sync.is_active


def test_answers_out_of_order_wait_for_their_parents(honest):
    laggard = Laggard({1: honest, 2: honest, 3: honest})
    connect(laggard, p1=8, p2=8, p3=8)
    laggard.open.sort(key=lambda item: item[1].from_height)
    laggard.answer(2)
    assert laggard.height == 0
    last = max(item[1].from_height for item in laggard.open)
    laggard.answer(next(at for at, item in enumerate(laggard.open) if item[1].from_height == last))
    assert laggard.height == 0
    laggard.answer(0)
    laggard.run()
    assert laggard.height == 8 and laggard.blamed == []


def test_a_range_is_handed_over_once_however_late_the_host_is(honest):
    laggard = Laggard({1: honest, 2: honest})
    laggard.perform(laggard.sync.on_peer(0, 1, 8))
    peer, request = laggard.open.pop()
    effects = laggard.sync.on_response(0, peer, honest(request))
    token = next(effect.token for effect in effects if isinstance(effect, CheckBatches))
    batches = next(effect.batches for effect in effects if isinstance(effect, CheckBatches))
    checked = tuple(check_batch(batch, NETWORK_KEYS[batch.author], DOMAIN, SEPARATOR) for batch in batches)
    first = laggard.sync.on_checked(0, token, checked)
    meanwhile = [*laggard.sync.on_peer(0, 2, 8), *laggard.sync.on_claim(0, 1, 8), *laggard.sync.on_timer(5)]
    assert sum(isinstance(effect, Accept) for effect in first) == 1
    assert not any(isinstance(effect, Accept) for effect in meanwhile)
    laggard.perform(first)
    laggard.run()
    assert laggard.height == 8


FAULTS = [
    "batch missing", "batch forged", "batch unnamed", "batch twice", "gap", "too long",
    "certificate of another block", "certificate missing", "certificate of another kind", "too few signers",
    "forged certificate",
]  # fmt: skip


def spoil(fault, response, history, certificates):
    blocks, certificate = list(response.blocks), response.certificate
    if fault == "batch missing":
        blocks[1] = RangeBlock(blocks[1].block, ())
    elif fault == "batch forged":
        blocks[1] = RangeBlock(blocks[1].block, (replace(blocks[1].batches[0], signature=bytes(64)),))
    elif fault == "batch unnamed":
        blocks[1] = RangeBlock(blocks[1].block, history[3].batches)
    elif fault == "batch twice":
        blocks[1] = RangeBlock(blocks[1].block, blocks[1].batches * 2)
    elif fault == "gap":
        blocks = [blocks[0], history[2]]
        certificate = certificates[3]
    elif fault == "too long":
        blocks, certificate = list(history[:3]), certificates[3]
    elif fault == "certificate of another block":
        certificate = certificates[3]
    elif fault == "certificate missing":
        certificate = None
    elif fault == "certificate of another kind":
        certificate = replace(certificate, kind=NOTARIZE)
    elif fault == "too few signers":
        certificate = certify(blocks[-1].block, (0, 1))
    else:
        certificate = replace(certificate, signature=bytes(96))
    return RangeResponse(tuple(blocks), certificate)


@pytest.mark.parametrize("fault", FAULTS)
def test_an_answer_that_does_not_hold_is_blamed_and_asked_elsewhere(history, certificates, honest, fault):
    def liar(request):
        return spoil(fault, honest(request), history, certificates) if request.from_height == 1 else honest(request)

    laggard = Laggard({1: liar, 2: honest})
    connect(laggard, p1=2)  # alone at first, so that the first range is asked of the liar
    laggard.answer()
    assert laggard.height == 0 and [peer for peer, _ in laggard.blamed] == [1]
    connect(laggard, p2=8)
    laggard.run()
    assert laggard.height == 8 and {peer for peer, _ in laggard.blamed} == {1}


def test_answers_nobody_asked_for_are_ignored(history, certificates, honest):
    whole = RangeResponse(history[:2], certificates[2])
    laggard = Laggard({1: honest, 2: honest})
    laggard.perform(laggard.sync.on_response(0, 1, whole))
    connect(laggard, p1=8)
    laggard.perform(laggard.sync.on_response(0, 2, EMPTY))
    laggard.perform(laggard.sync.on_response(0, 3, whole))
    laggard.perform(laggard.sync.on_response(0, 1, RangeResponse(history[1:3], certificates[3])))
    assert laggard.height == 0 and len(laggard.open) == 1 and laggard.blamed == []
    peer, request = laggard.open[0]
    laggard.answer()
    before = laggard.height
    laggard.perform(laggard.sync.on_response(0, peer, honest(request)))  # twice: no answer to what is asked now
    assert before == 2 and laggard.height >= 2
    laggard.run()
    assert laggard.height == 8


def test_a_late_answer_is_ignored_and_its_range_was_asked_of_another(honest):
    laggard = Laggard({1: honest, 2: honest})
    connect(laggard, p1=8)
    late = laggard.open.pop()
    connect(laggard, p2=8)
    laggard.now_ms = RESPONSE_TIMEOUT_MS
    laggard.perform(laggard.sync.on_timer(laggard.now_ms))
    assert (2, 1, 2) in laggard.asked or any(ask[0] == 2 for ask in laggard.asked)
    laggard.run()
    assert laggard.height == 8 and late[0] == 1


def test_a_claim_is_bounded_and_an_empty_answer_lowers_it(honest):
    laggard = Laggard({1: honest, 2: lambda request: EMPTY})
    connect(laggard, p2=1 << 60)
    assert len(laggard.asked) == 1 and laggard.sync.reach == 1 << 60
    laggard.answer()
    assert laggard.sync.reach == 0 and not laggard.sync.is_active
    connect(laggard, p1=1 << 60)
    laggard.run()
    assert laggard.height == 8 and laggard.sync.reach == 8
    assert max(from_height for _, from_height, _ in laggard.asked) <= 8 + 2 * RANGES_AHEAD_MAX


def test_small_gaps_in_heartbeats_are_left_to_agreement(honest):
    laggard = Laggard({1: honest})
    connect(laggard, p1=1)
    laggard.perform(laggard.sync.on_claim(0, 1, BEHIND_BLOCKS_MIN))
    assert laggard.asked == []
    laggard.perform(laggard.sync.on_claim(0, 1, BEHIND_BLOCKS_MIN + 1))
    assert len(laggard.asked) == 1
    laggard.perform(laggard.sync.on_claim(0, 3, 1 << 50))  # no link to that one
    assert laggard.sync.reach == BEHIND_BLOCKS_MIN + 1


def test_agreement_says_behind_and_everybody_is_asked_once():
    laggard = Laggard({1: silent, 2: silent, 3: silent})
    connect(laggard, p1=0, p2=0, p3=0)
    assert laggard.asked == []
    laggard.perform(laggard.sync.on_behind(0))
    laggard.run()
    assert sorted(peer for peer, _, _ in laggard.asked) == [1, 2, 3] and not laggard.sync.is_active


def test_whoever_is_lost_or_cannot_be_sent_to_is_replaced(honest):
    laggard = Laggard({1: honest, 2: honest})
    connect(laggard, p1=8, p2=8)
    laggard.open = [item for item in laggard.open if item[0] == 2]
    laggard.perform(laggard.sync.on_peer_lost(0, 1))
    laggard.run()
    assert laggard.height == 8
    laggard = Laggard({1: honest, 2: honest})
    connect(laggard, p1=8, p2=8)
    laggard.open = [item for item in laggard.open if item[0] == 2]
    laggard.perform(laggard.sync.on_unsent(0, 1))
    laggard.run()
    assert laggard.height == 8


@pytest.mark.parametrize("seed", range(40))
def test_whatever_peers_do_one_honest_peer_is_enough(history, certificates, honest, seed):
    """Liars, silence, loss, duplicates and wild claims in any order; memory bounded, nobody honest blamed."""
    rng = random.Random(seed)

    def liar(request):
        fault = rng.choice([*FAULTS, "empty", "silent"])
        response = honest(request)
        if fault in ("empty", "silent") or request.from_height != 1 or not response.blocks:
            return rng.choice([EMPTY, None, RangeResponse(history, certificates[8]), response])
        return spoil(fault, response, history, certificates)

    laggard = Laggard({1: liar, 2: honest, 3: liar})
    connect(laggard, p1=rng.choice([0, 8, 1 << 40]), p2=8, p3=rng.choice([0, 8, 1 << 40]))
    for _ in range(400):
        draw = rng.random()
        if draw < 0.6 and laggard.open:
            laggard.answer(rng.randrange(len(laggard.open)))
        elif draw < 0.7 and laggard.open:
            laggard.open.pop(rng.randrange(len(laggard.open)))
        elif draw < 0.8:
            laggard.perform(laggard.sync.on_claim(laggard.now_ms, rng.choice([1, 2, 3]), 8))
        elif draw < 0.85:
            laggard.perform(laggard.sync.on_behind(laggard.now_ms))
        elif draw < 0.9:
            peer = rng.choice([1, 3])
            laggard.perform(laggard.sync.on_peer_lost(laggard.now_ms, peer))
            connect(laggard, **{f"p{peer}": rng.choice([0, 8, 1 << 40])})
        else:
            laggard.now_ms += rng.randint(1, RESPONSE_TIMEOUT_MS)
            laggard.perform(laggard.sync.on_timer(laggard.now_ms))
        assert len(laggard.sync._ranges) <= 2 * RANGES_AHEAD_MAX
    for _ in range(100):
        laggard.perform(laggard.sync.on_behind(laggard.now_ms))
        laggard.run()
    assert laggard.height == 8 and 2 not in {peer for peer, _ in laggard.blamed}


@pytest.fixture
def store(tmp_path, history, certificates):
    """Blocks 4, 6 and 8 carry certificates of their own."""
    store = Store(tmp_path / "blocks.sqlite")
    for height, entry in enumerate(history, start=1):
        store.put_final(entry.block, certificates[height + height % 2])
        for batch in entry.batches:
            store.put_batch(batch.hash(), batch.author, batch.sequence, batch.encode())
    return store


def test_an_answer_ends_at_a_certificate_of_its_own(store, history, monkeypatch):
    monkeypatch.setattr(ranges, "RANGE_BLOCKS", 64)
    answer = answer_range(store, RangeRequest(2, 4))
    assert [entry.block.header.height for entry in answer.blocks] == [2, 3, 4]
    assert answer.certificate.header_hash == history[3].block.hash()
    assert len(encode_frame(answer)) < RANGE_RESPONSE_BYTES_TARGET
    assert answer_range(store, RangeRequest(9, 64)) == EMPTY
    assert encode_message(answer.blocks[0].block) == encode_message(history[1].block)


def test_a_store_that_begins_higher_has_no_answer(tmp_path, history, certificates):
    store = Store(tmp_path / "late.sqlite")
    for height in (5, 6):
        store.put_final(history[height - 1].block, certificates[height])
    assert answer_range(store, RangeRequest(3, 64)) == EMPTY
    assert answer_range(store, RangeRequest(4, 64)) == EMPTY


def test_answers_are_rationed_per_peer():
    budget = AnswerBudget()
    assert [budget.take(1, 0) for _ in range(ANSWERS_BURST + 1)] == [True] * ANSWERS_BURST + [False]
    assert budget.take(2, 0)
    assert not budget.take(1, ANSWER_INTERVAL_MS - 1)
    assert budget.take(1, ANSWER_INTERVAL_MS) and not budget.take(1, ANSWER_INTERVAL_MS)
    assert [budget.take(1, 10**6) for _ in range(ANSWERS_BURST + 1)] == [True] * ANSWERS_BURST + [False]
