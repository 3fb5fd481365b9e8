"""A node far behind starts from a snapshot that it recomputes, whoever offers what."""

import random
from dataclasses import replace

import pytest

from consensus.messages import NOTARIZE, keccak
from engine.snapshot import decode_snapshot, encode_snapshot
from net import wire
from net.wire import Chunk, ChunkRequest, SnapshotOffer, SnapshotRequest
from tests.validator.chainlet import FOUNDERS, GENESIS_STATE, PARAMS, Chainlet, certify
from validator import snapshots
from validator.catchup import Blamed, Wake
from validator.roster import Roster
from validator.snapshots import (
    HEAD_BLOCKS_MIN,
    KEEP_COUNT,
    PINNED_MS,
    HeadPace,
    IncomingChunks,
    SnapshotShelf,
    is_state_of,
    read_snapshots,
    write_head,
    write_snapshot,
)
from validator.statesync import (
    CHUNK_TIMEOUT_MS,
    OFFER_WAIT_MS,
    PAUSE_MS,
    Anchor,
    AskSnapshot,
    Drop,
    KeepChunk,
    Load,
    StateSync,
)
from validator.store import Store

CHUNK_BYTES = 4_096
NO_ANCHOR = Anchor(0, b"")


@pytest.fixture(autouse=True)
def small_chunks(monkeypatch):
    for module in (wire, snapshots):
        monkeypatch.setattr(module, "SNAPSHOT_CHUNK_BYTES", CHUNK_BYTES)


class Source:
    """A peer that has the snapshot of one block."""

    def __init__(self, block, data) -> None:
        self.data = data
        hashes = tuple(keccak(data[at : at + CHUNK_BYTES]) for at in range(0, len(data), CHUNK_BYTES))
        self.offer = SnapshotOffer(block, certify(block), len(data), hashes)

    def chunk(self, index) -> Chunk:
        return Chunk(self.offer.name(), index, self.data[index * CHUNK_BYTES : (index + 1) * CHUNK_BYTES])


@pytest.fixture(scope="module")
def history():
    """Blocks 1 to 5 and the states after them."""
    chain = Chainlet()
    blocks, states = [chain.fund()], []
    states.append(chain.executor.final.state)
    for _ in range(4):
        blocks.append(chain.add([]))
        states.append(chain.executor.final.state)
    return blocks, states


@pytest.fixture
def newest(history):
    return Source(history[0][4], encode_snapshot(history[1][4]))


@pytest.fixture
def older(history):
    return Source(history[0][2], encode_snapshot(history[1][2]))


class Laggard:
    """Keeps chunks in memory. `sources[peer]` answers as a `Source`; None is silent."""

    def __init__(self, sources, kept=None, anchor=NO_ANCHOR) -> None:
        self.sources, self.kept, self.now_ms, self.wake_ms = sources, {} if kept is None else kept, 0, None
        self.asked, self.blamed, self.adopted, self.queue = [], [], None, []
        self.sync = StateSync(
            quorum_of=Roster([FOUNDERS]).quorum, is_genuine=lambda certificate: certificate.signature[:1] != b"\0",
            anchor=lambda: anchor,
            held=lambda offer: [at for name, at in self.kept if name == offer.name()],
        )  # fmt: skip

    def connect(self, *peers) -> None:
        for peer in peers:
            self.perform(self.sync.on_peer(self.now_ms, peer))

    def start(self, own_height=0) -> None:
        self.perform(self.sync.start(self.now_ms, own_height))

    def perform(self, effects) -> None:
        for effect in effects:
            match effect:
                case AskSnapshot(peer, request):
                    self.asked.append((peer, request))
                    self.queue.append((peer, request))
                case KeepChunk(offer, index, data):
                    self.kept[offer.name(), index] = data
                case Load(offer):
                    data = b"".join(self.kept[offer.name(), at] for at in range(len(offer.chunk_hashes)))
                    is_right = is_state_of(data, PARAMS, offer.block.header)
                    self.adopted = offer.block.header.height if is_right else None
                    self.perform(self.sync.on_loaded(self.now_ms, is_right))
                case Drop():
                    self.kept.clear()
                case Blamed(peer, reason):
                    self.blamed.append((peer, reason))
                case Wake(at_ms):
                    self.wake_ms = at_ms

    def answer(self, at=0) -> None:
        peer, request = self.queue.pop(at)
        source = self.sources.get(peer)
        if source is None:
            return
        if isinstance(request, SnapshotRequest):
            self.perform(self.sync.on_offer(self.now_ms, peer, source.offer))
        elif request.name == source.offer.name():
            self.perform(self.sync.on_chunk(self.now_ms, peer, source.chunk(request.index)))
        else:
            self.perform(self.sync.on_missing(self.now_ms, peer, request.name))

    def run(self, steps=600) -> None:
        for _ in range(steps):
            if self.adopted is not None or not self.sync.is_active:
                return
            if self.queue:
                self.answer()
            else:
                self.now_ms = max(self.now_ms + 1, self.wake_ms or 0)
                self.perform(self.sync.on_timer(self.now_ms))


def test_chunks_come_from_all_who_offer_the_same_bytes(newest):
    assert len(newest.offer.chunk_hashes) > 4
    laggard = Laggard({1: newest, 2: newest, 3: newest})
    laggard.connect(1, 2, 3)
    laggard.start()
    laggard.run()
    chunks = [(peer, request.index) for peer, request in laggard.asked if isinstance(request, ChunkRequest)]
    assert laggard.adopted == 5 and laggard.blamed == []
    assert {peer for peer, _ in chunks} == {1, 2, 3}
    assert sorted(index for _, index in chunks) == list(range(len(newest.offer.chunk_hashes)))


def test_what_was_kept_before_a_restart_is_not_fetched_again(newest):
    first = Laggard({1: newest})
    first.connect(1)
    first.start()
    for _ in range(4):
        first.answer()
    held = len(first.kept)
    assert held >= 2
    second = Laggard({1: newest}, kept=first.kept)
    second.connect(1)
    second.start()
    second.run()
    fetched = [request for _, request in second.asked if isinstance(request, ChunkRequest)]
    assert second.adopted == 5 and len(fetched) == len(newest.offer.chunk_hashes) - held


def test_the_newest_that_two_agree_on_is_taken(newest, older):
    laggard = Laggard({1: newest, 2: older, 3: older})
    laggard.connect(1, 2, 3)
    laggard.start()
    laggard.run()
    assert laggard.adopted == 3
    alone = Laggard({1: newest, 2: older})
    alone.connect(1, 2)
    alone.start()
    alone.run()
    assert alone.adopted == 5


@pytest.mark.parametrize("fault", ["kind", "signers", "signature", "view", "block", "not newer", "anchor"])
def test_an_offer_without_a_genuine_certificate_is_blamed(history, newest, fault):
    offer, own_height, anchor = newest.offer, 0, NO_ANCHOR
    if fault == "kind":
        offer = replace(offer, certificate=replace(offer.certificate, kind=NOTARIZE))
    elif fault == "signers":
        offer = replace(offer, certificate=certify(offer.block, (0, 1)))
    elif fault == "signature":
        offer = replace(offer, certificate=replace(offer.certificate, signature=bytes(96)))
    elif fault == "view":
        offer = replace(offer, certificate=replace(offer.certificate, view=77))
    elif fault == "block":
        offer = replace(offer, block=history[0][1])
    elif fault == "not newer":
        own_height = 5
    else:
        anchor = Anchor(5, bytes(32))
    newest.offer = offer
    laggard = Laggard({1: newest}, anchor=anchor)
    laggard.connect(1)
    laggard.start(own_height)
    laggard.run(50)
    assert laggard.adopted is None and [peer for peer, _ in laggard.blamed] == [1]


def test_the_contracts_own_checkpoint_is_accepted(newest):
    laggard = Laggard({1: newest}, anchor=Anchor(5, newest.offer.block.hash()))
    laggard.connect(1)
    laggard.start()
    laggard.run()
    assert laggard.adopted == 5


def test_a_state_that_does_not_give_the_root_is_blamed_dropped_and_not_tried_again(history, newest):
    block, states = history[0][4], history[1]
    liar = Source(block, encode_snapshot(states[3]))  # another height's state under this block's certificate
    laggard = Laggard({1: liar, 2: newest, 3: liar})
    laggard.connect(1, 3)
    laggard.start()
    laggard.run()
    assert laggard.adopted is None and sorted(peer for peer, _ in laggard.blamed) == [1, 3] and laggard.kept == {}
    laggard.connect(2)
    laggard.now_ms += PAUSE_MS
    laggard.start()
    laggard.run()
    assert laggard.adopted == 5


def test_a_state_of_junk_is_no_state(history):
    header = history[0][4].header
    data = encode_snapshot(history[1][4])
    assert is_state_of(data, PARAMS, header)
    assert not is_state_of(data[:-1], PARAMS, header) and not is_state_of(b"junk" * 100, PARAMS, header)
    assert not is_state_of(data, PARAMS, history[0][3].header)


def test_a_wrong_chunk_costs_its_sender_the_transfer(newest):
    liar = Source(newest.offer.block, newest.data)
    liar.chunk = lambda index: Chunk(liar.offer.name(), index, b"x")
    laggard = Laggard({1: liar, 2: newest})
    laggard.connect(1, 2)
    laggard.start()
    laggard.run()
    assert laggard.adopted == 5 and {peer for peer, _ in laggard.blamed} == {1}


def test_chunks_nobody_asked_for_are_ignored(newest):
    laggard = Laggard({1: newest, 2: newest})
    laggard.perform(laggard.sync.on_chunk(0, 1, newest.chunk(0)))
    laggard.connect(1)
    laggard.start()
    laggard.perform(laggard.sync.on_offer(0, 2, newest.offer))
    laggard.answer()
    before = dict(laggard.kept)
    laggard.perform(laggard.sync.on_chunk(0, 2, newest.chunk(0)))
    laggard.perform(laggard.sync.on_chunk(0, 1, newest.chunk(len(newest.offer.chunk_hashes) - 1)))
    assert laggard.kept == before


def test_silence_makes_way_and_leads_to_a_pause(newest):
    laggard = Laggard({1: None, 2: newest})
    laggard.connect(1, 2)
    laggard.start()
    laggard.run()
    assert laggard.adopted == 5 and laggard.now_ms >= OFFER_WAIT_MS
    silent = Laggard({1: None})
    silent.connect(1)
    silent.start()
    silent.run()
    assert not silent.sync.is_active and silent.blamed == []
    silent.start()
    assert not silent.sync.is_active
    silent.now_ms += PAUSE_MS
    silent.start()
    assert silent.sync.is_active


def test_whoever_comes_after_a_fruitless_search_is_asked_at_once(newest):
    laggard = Laggard({1: None, 2: newest})
    laggard.connect(1)
    laggard.start()
    laggard.perform(laggard.sync.on_offer(0, 1, None))
    assert not laggard.sync.is_active
    laggard.connect(1)  # its link came up again: it still has nothing
    laggard.start()
    assert not laggard.sync.is_active
    laggard.connect(2)
    laggard.start()
    laggard.run()
    assert laggard.adopted == 5


def test_a_peer_that_offers_and_never_delivers_is_given_up(newest):
    class Tease(Source):
        pass

    tease = Tease(newest.offer.block, newest.data)
    laggard = Laggard({1: tease})
    laggard.connect(1)
    laggard.start()
    for _ in range(60):
        laggard.queue = [item for item in laggard.queue if isinstance(item[1], SnapshotRequest)]
        if laggard.queue:
            laggard.answer()
        else:
            laggard.now_ms += CHUNK_TIMEOUT_MS
            laggard.perform(laggard.sync.on_timer(laggard.now_ms))
    assert not laggard.sync.is_active and laggard.adopted is None


@pytest.mark.parametrize("seed", range(20))
def test_any_order_of_answers_losses_and_links_ends_well(newest, older, seed):
    rng = random.Random(seed)
    liar = Source(newest.offer.block, newest.data)
    liar.chunk = lambda index: rng.choice([newest.chunk(index), Chunk(newest.offer.name(), index, b"junk")])
    laggard = Laggard({1: liar, 2: newest, 3: rng.choice([older, liar, None])})
    laggard.connect(1, 2, 3)
    laggard.start()
    for _ in range(300):
        draw = rng.random()
        if draw < 0.6 and laggard.queue:
            laggard.answer(rng.randrange(len(laggard.queue)))
        elif draw < 0.7 and laggard.queue:
            laggard.queue.pop(rng.randrange(len(laggard.queue)))
        elif draw < 0.8:
            peer = rng.choice([1, 3])
            laggard.perform(laggard.sync.on_peer_lost(laggard.now_ms, peer))
            laggard.connect(peer)
        else:
            laggard.now_ms += rng.randint(1, CHUNK_TIMEOUT_MS)
            laggard.perform(laggard.sync.on_timer(laggard.now_ms))
        if laggard.adopted is not None:
            break
    for _ in range(50):
        if laggard.adopted is None:
            laggard.connect(2)
            laggard.now_ms += PAUSE_MS
            laggard.start()
            laggard.run()
    assert laggard.adopted in (3, 5) and 2 not in {peer for peer, _ in laggard.blamed}


@pytest.fixture
def store(tmp_path, history):
    store = Store(tmp_path / "blocks.sqlite")
    for block in history[0]:
        store.put_final(block, certify(history[0][4] if block.header.height == 4 else block))
    return store


def test_the_shelf_offers_what_it_has_certificates_for_in_chunks_that_make_the_state(tmp_path, history, store):
    folder = tmp_path / "snapshots"
    for state in history[1][1:4]:
        write_snapshot(folder, state)
    shelf = SnapshotShelf(folder)
    offer = shelf.offer(store, 0, 0)
    assert offer.block.header.height == 3  # that of 4 has only a descendant's certificate
    assert shelf.offer(store, 3, 0) is None
    chunks = [shelf.chunk(offer.name(), index, 0) for index in range(len(offer.chunk_hashes))]
    assert [keccak(chunk.data) for chunk in chunks] == list(offer.chunk_hashes)
    data = b"".join(chunk.data for chunk in chunks)
    assert len(data) == offer.size_bytes and is_state_of(data, PARAMS, history[0][2].header)
    assert shelf.chunk(offer.name(), len(chunks), 0) is None and shelf.chunk(bytes(32), 0, 0) is None


def test_a_snapshot_that_is_being_fetched_is_not_pruned(tmp_path, history, store):
    folder = tmp_path / "snapshots"
    write_snapshot(folder, history[1][0])
    shelf = SnapshotShelf(folder)
    offer = shelf.offer(store, 0, 0)
    for state in history[1][1:]:
        write_snapshot(folder, state, shelf.pinned(PINNED_MS - 1))
    assert shelf.chunk(offer.name(), 0, 0) is not None
    assert len(list(folder.glob("*.snapshot"))) == KEEP_COUNT + 1
    write_snapshot(folder, history[1][4], shelf.pinned(PINNED_MS))
    assert shelf.chunk(offer.name(), 0, 0) is None
    assert [state.height for state in read_snapshots(folder, PARAMS)] == [5, 4, 3]


def test_the_head_is_read_first_kept_once_and_offered_to_nobody(tmp_path, history, store):
    folder = tmp_path / "snapshots"
    write_snapshot(folder, history[1][1])
    for state in history[1][2:5]:
        write_head(folder, state)
    assert [state.height for state in read_snapshots(folder, PARAMS)] == [5, 2]
    assert SnapshotShelf(folder).offer(store, 0, 0).block.header.height == 2
    write_snapshot(folder, history[1][4])
    next(folder.glob("*.head")).write_bytes(b"torn")
    assert [state.height for state in read_snapshots(folder, PARAMS)] == [5, 2]


def test_heads_come_after_enough_blocks_and_a_hundred_times_as_seldom_as_they_take():
    pace = HeadPace()
    assert [pace.is_due(height, 0) for height in (HEAD_BLOCKS_MIN - 1, HEAD_BLOCKS_MIN)] == [False, True]
    pace.on_written(30, began_ms=1_000, ended_ms=1_040)
    assert not pace.is_due(30 + HEAD_BLOCKS_MIN, 1_040 + 3_999)
    assert not pace.is_due(30 + HEAD_BLOCKS_MIN - 1, 1_040 + 4_000)
    assert pace.is_due(30 + HEAD_BLOCKS_MIN, 1_040 + 4_000)


def test_incoming_chunks_survive_damage_and_other_offers(tmp_path, newest, older):
    incoming = IncomingChunks(tmp_path / "incoming")
    assert incoming.held(newest.offer) == []
    for index in range(len(newest.offer.chunk_hashes)):
        incoming.keep(newest.offer, index, newest.chunk(index).data)
    (tmp_path / "incoming" / newest.offer.name().hex() / "1").write_bytes(b"damaged")
    assert incoming.held(newest.offer) == [at for at in range(len(newest.offer.chunk_hashes)) if at != 1]
    incoming.keep(newest.offer, 1, newest.chunk(1).data)
    assert decode_snapshot(incoming.assemble(newest.offer), PARAMS).height == 5
    incoming.keep(older.offer, 0, older.chunk(0).data)
    assert incoming.held(older.offer) == [0] and incoming.held(newest.offer) == []
    incoming.clear()
    assert not (tmp_path / "incoming").exists() and GENESIS_STATE.height == 0
