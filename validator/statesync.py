"""Starting from somebody's snapshot (T3) as a state machine: inputs in, effects out; no clock, network, disk, threads.

For a node that is new, lost its disk, or is further behind than ranges are good for. Every peer is asked for an offer;
an offer counts only with a genuine finalisation certificate of its block. Its chunks are then fetched from all who
offered the same bytes, each chunk checked against its hash, and what was fetched before a restart is not fetched
again. Nothing of the result is believed: the host reads it as it reads a snapshot of its own and recomputes every word
of the block's commitment. If they differ, everybody who offered these bytes is blamed and they are not tried again.

The anchor of trust is the committee as the settlement contract's registry has it, and the contract's last checkpoint:
an offer at its height must be its block, and the host compares the chain when it reaches it.

Host's contract: perform the effects in order; `Load` is answered by `on_loaded`; call `on_timer` at `Wake`. Times are
milliseconds of any monotonic clock.
"""

from collections.abc import Callable
from dataclasses import dataclass, field

from consensus.messages import FINALIZE, Certificate, keccak
from net.wire import Chunk, ChunkRequest, SnapshotOffer, SnapshotRequest
from validator.catchup import Blamed, Wake

OFFER_WAIT_MS = 2_000
CHUNK_TIMEOUT_MS = 5_000
CHUNKS_PER_PEER = 2
# After nobody had anything to offer, ranges are tried for so long.
PAUSE_MS = 60_000
TIMEOUTS_MAX = 3


@dataclass(frozen=True, slots=True)
class AskSnapshot:
    """Send a request to the peer; an answer that does not come is a timeout."""

    peer: int
    request: SnapshotRequest | ChunkRequest


@dataclass(frozen=True, slots=True)
class KeepChunk:
    """A chunk with the right hash, to be written where a restart finds it."""

    offer: SnapshotOffer
    index: int
    data: bytes


@dataclass(frozen=True, slots=True)
class Load:
    """All chunks are there: assemble, recompute, compare with the block's commitment, adopt."""

    offer: SnapshotOffer


@dataclass(frozen=True, slots=True)
class Drop:
    """What was kept is worthless."""


StateSyncEffect = AskSnapshot | KeepChunk | Load | Drop | Blamed | Wake


@dataclass(frozen=True, slots=True)
class Progress:
    """How much of a snapshot is here, in chunks, and from how many peers the rest comes."""

    offer: SnapshotOffer
    held: int
    sources: int


@dataclass(frozen=True, slots=True)
class Anchor:
    """The settlement contract's last checkpoint; height 0 before the first."""

    height: int
    header_hash: bytes


@dataclass(slots=True)
class _Fetch:
    """One snapshot on its way."""

    offer: SnapshotOffer
    name: bytes
    sources: dict[int, None]
    held: dict[int, None]
    asked: dict[int, tuple[int, int]] = field(default_factory=dict)  # chunk -> (peer, when)
    is_loading: bool = False


class StateSync:
    """See the module's text."""

    def __init__(
        self,
        *,
        quorum_of: Callable[[int], int | None],
        is_genuine: Callable[[Certificate], bool],
        anchor: Callable[[], Anchor],
        held: Callable[[SnapshotOffer], list[int]],
        find_root_fault: Callable[[SnapshotOffer], str] = lambda _: "",
    ) -> None:
        """`held` tells which chunks of an offer an earlier run has kept; `quorum_of` an epoch is None when its
        committee is not known; `find_root_fault`: what is wrong with the root of the offer's epoch.
        """
        self._find_root_fault = find_root_fault
        self._quorum_of = quorum_of
        self._is_genuine = is_genuine
        self._anchor = anchor
        self._held = held
        self._peers: dict[int, None] = {}
        self._own_height = 0
        self._asked_ms: int | None = None
        self._asked: dict[int, None] = {}
        self._waiting: dict[int, None] = {}  # peers whose answer to our question for offers is due
        self._offers: dict[int, SnapshotOffer] = {}
        self._refused: dict[bytes, None] = {}
        self._timeouts: dict[int, int] = {}
        self._fetch: _Fetch | None = None
        self._paused_until_ms = 0
        self._fruitless: dict[int, None] = {}  # who was asked in the search that failed
        self._out: list[StateSyncEffect] = []

    @property
    def is_active(self) -> bool:
        """While it is, ranges must wait."""
        return self._asked_ms is not None or self._fetch is not None

    @property
    def progress(self) -> Progress | None:
        """Of the download that is under way; None: there is none."""
        fetch = self._fetch
        return None if fetch is None else Progress(fetch.offer, len(fetch.held), len(fetch.sources))

    # inputs

    def start(self, now_ms: int, own_height: int) -> list[StateSyncEffect]:
        """We are far behind. Nothing happens while a search is under way or one has just failed, unless somebody came
        since: the first peer alone may have nothing.
        """
        is_pausing = now_ms < self._paused_until_ms and all(peer in self._fruitless for peer in self._peers)
        if not self.is_active and not is_pausing and self._peers:
            self._ask_offers(now_ms, own_height)
        return self._finish(now_ms)

    def on_peer(self, now_ms: int, peer: int) -> list[StateSyncEffect]:
        """A link is up."""
        self._peers[peer] = None
        self._timeouts.pop(peer, None)
        if self.is_active:  # it may know of the snapshot we are fetching, or have the only one
            self._out.append(AskSnapshot(peer, SnapshotRequest(self._own_height)))
            self._waiting[peer] = self._asked[peer] = None
        return self._finish(now_ms)

    def on_peer_lost(self, now_ms: int, peer: int) -> list[StateSyncEffect]:
        self._peers.pop(peer, None)
        self._waiting.pop(peer, None)
        self._lose_source(peer)
        return self._go_on(now_ms)

    def on_offer(self, now_ms: int, peer: int, offer: SnapshotOffer | None) -> list[StateSyncEffect]:
        """An answer to our question; None: the peer has nothing for us."""
        if peer not in self._waiting:
            return []
        del self._waiting[peer]
        if offer is not None:
            self._take_offer(peer, offer)
        return self._go_on(now_ms)

    def on_chunk(self, now_ms: int, peer: int, chunk: Chunk) -> list[StateSyncEffect]:
        """An answer; one that was not asked of that peer is ignored."""
        fetch = self._fetch
        if fetch is None or chunk.name != fetch.name or fetch.asked.get(chunk.index, (None, 0))[0] != peer:
            return []
        del fetch.asked[chunk.index]
        if keccak(chunk.data) == fetch.offer.chunk_hashes[chunk.index]:
            fetch.held[chunk.index] = None
            self._out.append(KeepChunk(fetch.offer, chunk.index, chunk.data))
        else:
            self._out.append(Blamed(peer, "a chunk with another hash than was offered"))
            self._lose_source(peer)
        return self._go_on(now_ms)

    def on_missing(self, now_ms: int, peer: int, name: bytes) -> list[StateSyncEffect]:
        """The peer has pruned the snapshot, or never had it."""
        if self._fetch is not None and self._fetch.name == name:
            self._lose_source(peer)
        return self._go_on(now_ms)

    def on_loaded(self, now_ms: int, is_right: bool) -> list[StateSyncEffect]:
        """Answer to `Load`. When it is right the host starts anew from it, and this machine ends."""
        fetch = self._fetch
        if fetch is None or not fetch.is_loading:
            return []
        if is_right:
            fetch.is_loading = False
            return []
        self._refused[fetch.name] = None
        self._out += [Blamed(peer, "a snapshot that does not give the certified root") for peer in fetch.sources]
        self._out.append(Drop())
        self._fetch = None
        self._ask_offers(now_ms, self._own_height)
        return self._finish(now_ms)

    def on_timer(self, now_ms: int) -> list[StateSyncEffect]:
        """Answers that did not come."""
        if self._asked_ms is not None and now_ms >= self._asked_ms + OFFER_WAIT_MS:
            self._waiting.clear()
        if self._fetch is not None:
            late = [peer for peer, asked_ms in self._fetch.asked.values() if now_ms >= asked_ms + CHUNK_TIMEOUT_MS]
            for peer in dict.fromkeys(late):
                self._timeouts[peer] = self._timeouts.get(peer, 0) + 1
                self._lose_source(peer)
        return self._go_on(now_ms)

    # rules

    def _ask_offers(self, now_ms: int, own_height: int) -> None:
        self._own_height, self._asked_ms = own_height, now_ms
        self._offers.clear()
        self._waiting, self._asked = dict(self._peers), dict(self._peers)
        self._out += [AskSnapshot(peer, SnapshotRequest(own_height)) for peer in self._peers]

    def _take_offer(self, peer: int, offer: SnapshotOffer) -> None:
        epoch = offer.certificate.epoch
        if any(self._quorum_of(known) is None for known in (epoch, max(1, epoch - 1))):
            return  # perhaps right, but nothing that we could judge
        fault = self._find_fault(offer)
        if fault:
            self._out.append(Blamed(peer, fault))
        elif offer.name() in self._refused or self._timeouts.get(peer, 0) >= TIMEOUTS_MAX:
            return
        elif self._fetch is None:
            self._offers[peer] = offer
        elif offer.name() == self._fetch.name:
            self._fetch.sources[peer] = None

    def _find_fault(self, offer: SnapshotOffer) -> str:
        """Why no honest peer makes this offer; empty if one may."""
        block, certificate, anchor = offer.block, offer.certificate, self._anchor()
        if block.header.height <= self._own_height:
            return "a snapshot that is no newer than asked for"
        is_of_block = certificate.header_hash == block.hash() and certificate.epoch == block.header.epoch
        if certificate.kind != FINALIZE or not is_of_block:
            return "a snapshot without a certificate of its block"
        if certificate.view != block.header.view or len(certificate.signers()) < (
            self._quorum_of(certificate.epoch) or 0
        ):
            return "a snapshot with a certificate that is none"
        if not self._is_genuine(certificate):
            return "a snapshot with a forged certificate"
        if block.header.height == anchor.height and block.hash() != anchor.header_hash:
            return "a snapshot that contradicts the settlement chain's checkpoint"
        return self._find_root_fault(offer)

    def _choose(self) -> None:
        """The newest bytes that two peers agree on, else the newest of all."""
        sources: dict[bytes, dict[int, None]] = {}
        by_name: dict[bytes, SnapshotOffer] = {}
        for peer, offer in self._offers.items():
            by_name[offer.name()] = offer
            sources.setdefault(offer.name(), {})[peer] = None
        self._asked_ms, self._offers = None, {}
        if by_name:
            best = max(by_name, key=lambda name: (len(sources[name]) > 1, by_name[name].block.header.height, name))
            held = dict.fromkeys(self._held(by_name[best]))
            self._fetch = _Fetch(by_name[best], best, sources[best], held)

    def _lose_source(self, peer: int) -> None:
        if self._fetch is not None:
            self._fetch.sources.pop(peer, None)
            self._fetch.asked = {at: item for at, item in self._fetch.asked.items() if item[0] != peer}

    def _go_on(self, now_ms: int) -> list[StateSyncEffect]:
        if self._asked_ms is not None and not self._waiting:
            self._choose()
            if self._fetch is None:
                self._paused_until_ms, self._fruitless = now_ms + PAUSE_MS, dict(self._asked)
        fetch = self._fetch
        if fetch is not None and not fetch.is_loading:
            if len(fetch.held) == len(fetch.offer.chunk_hashes):
                fetch.is_loading = True
                self._out.append(Load(fetch.offer))
            elif fetch.sources:
                self._ask_chunks(fetch, now_ms)
            else:  # whoever offered it is gone; its chunks stay for when it is offered again
                self._fetch = None
                self._ask_offers(now_ms, self._own_height)
        return self._finish(now_ms)

    def _ask_chunks(self, fetch: _Fetch, now_ms: int) -> None:
        load = dict.fromkeys(fetch.sources, 0)
        for peer, _ in fetch.asked.values():
            load[peer] = load.get(peer, 0) + 1
        for index in range(len(fetch.offer.chunk_hashes)):
            if index in fetch.held or index in fetch.asked:
                continue
            peer = min(fetch.sources, key=lambda item: (load[item], (item + index) % 256))
            if load[peer] >= CHUNKS_PER_PEER:
                return
            load[peer] += 1
            fetch.asked[index] = (peer, now_ms)
            self._out.append(AskSnapshot(peer, ChunkRequest(fetch.name, index)))

    def _finish(self, now_ms: int) -> list[StateSyncEffect]:
        due_ms = [] if self._asked_ms is None else [self._asked_ms + OFFER_WAIT_MS]
        if self._fetch is not None:
            due_ms += [asked_ms + CHUNK_TIMEOUT_MS for _, asked_ms in self._fetch.asked.values()]
        if due_ms:
            self._out.append(Wake(max(now_ms, min(due_ms))))
        out, self._out = self._out, []
        return out
