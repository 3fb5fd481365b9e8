"""Catching up by ranges (T2) as a state machine: inputs in, effects out, no clock, no network, no threads.

Several ranges are asked for at once, each of another peer. A response is trusted in nothing: it must be an answer to
the question asked of exactly that peer, of the length asked for; the last block's finalisation certificate is checked
against the committee, the parent hashes bind the rest to it and to our own head, every batch to its hash and its
author, and the host executes every block and compares the commitment. Who sends what does not hold is blamed, and its
range is asked of another. Heights that peers claim only choose whom to ask: an answer that falls short of a claim
lowers it, and nothing further ahead than `RANGES_AHEAD_MAX` ranges is ever asked for or kept.

A range is of one epoch. Where the epoch ends, the trailing blocks that a certificate needs to prove its last block come
along, and the next range is checked against the next committee. An answer of an epoch whose committee is not known here
is neither taken nor held against anybody: it is asked for again until the settlement chain has told.

Host's contract: perform the effects in order; `Accept` means execute what is still new, store, and tell agreement,
after which `on_head` goes on; answer `CheckBatches` by `on_checked`; call `on_timer` at `Wake` (early or again harms
nothing). Times are milliseconds of any monotonic clock.
"""

from collections.abc import Callable
from dataclasses import dataclass, field

from consensus.messages import FINALIZE, Block, Certificate
from consensus.sealing import are_trailing, split_at_seal
from consensus.sync import Blame, verify_range
from engine.payload import Batch, DecodeError, Payload
from net.wire import RangeBlock, RangeRequest, RangeResponse
from validator.batches import CheckedBatch
from validator.ranges import RANGE_BLOCKS

RANGES_AHEAD_MAX = 4
RESPONSE_TIMEOUT_MS = 2_000
# Agreement repairs small gaps by itself.
BEHIND_BLOCKS_MIN = 16


@dataclass(frozen=True, slots=True)
class Ask:
    """Send the request to the peer; if that cannot be done now, say so by `on_unsent`."""

    peer: int
    request: RangeRequest


@dataclass(frozen=True, slots=True)
class CheckBatches:
    """Check authors' signatures and recover the signers, in whatever thread; answered by `on_checked`."""

    token: int
    batches: tuple[Batch, ...]


@dataclass(frozen=True, slots=True)
class Accept:
    """Verified blocks that follow our head. A result of our own that differs from a header is a broken invariant. With
    `trailing` blocks, which nobody executes, the certificate is that of the last of them.
    """

    blocks: tuple[Block, ...]
    batches: tuple[CheckedBatch, ...]
    certificate: Certificate
    trailing: tuple[Block, ...] = ()


@dataclass(frozen=True, slots=True)
class Blamed:
    """The peer sent what no honest peer sends."""

    peer: int
    reason: str


@dataclass(frozen=True, slots=True)
class Wake:
    at_ms: int


SyncEffect = Ask | CheckBatches | Accept | Blamed | Wake


@dataclass(frozen=True, slots=True)
class Head:
    """Our last final block."""

    height: int
    block_hash: bytes


@dataclass(slots=True)
class _Range:
    """One run of heights and how far it has come: unasked, asked, being checked, ready."""

    from_height: int
    count: int
    peer: int | None = None
    asked_ms: int = 0
    token: int = 0
    response: RangeResponse | None = None
    batches: tuple[CheckedBatch, ...] | None = None
    tried: dict[int, None] = field(default_factory=dict)

    @property
    def last_height(self) -> int:
        return self.from_height + self.count - 1

    def reset(self) -> None:
        """To be asked again, of somebody else while there is somebody else."""
        if self.peer is not None:
            self.tried[self.peer] = None
        self.peer, self.token, self.response, self.batches = None, 0, None, None


class RangeSync:
    """See the module's text."""

    def __init__(
        self,
        *,
        quorum_of: Callable[[int], int | None],
        head: Callable[[], Head],
        is_genuine: Callable[[Certificate], bool],
        is_held: Callable[[bytes], bool],
    ) -> None:
        """`is_held` tells whether a batch was checked before; `is_genuine` checks the aggregate signature;
        `quorum_of` an epoch is None when its committee is not known.
        """
        self._quorum_of = quorum_of
        self._head = head
        self._is_genuine = is_genuine
        self._is_held = is_held
        self._claims: dict[int, int] = {}  # connected peers and how far they say they are
        self._stated: dict[int, int] = {}  # what they last said, whatever their answers showed
        self._lacking: dict[int, int] = {}  # peer -> height that it said to have passed and could not give
        self._failures: dict[int, int] = {}
        self.is_paused = False  # set by the host while it looks for a snapshot
        self._ranges: list[_Range] = []
        self._is_needed = False
        self._is_chasing = False
        self._is_accepting = False  # from `Accept` until `on_head`
        self._token = 0
        self._out: list[SyncEffect] = []

    @property
    def is_active(self) -> bool:
        """Whether anything is asked for."""
        return bool(self._ranges)

    @property
    def reach(self) -> int:
        """The highest height that anybody claims to have; a claim, not a fact."""
        return max(self._claims.values(), default=0)

    @property
    def is_stranded(self) -> bool:
        """Everybody who says to be ahead lacks the block after our head: only a snapshot helps."""
        next_height = self._head().height + 1
        ahead = [peer for peer, height in self._stated.items() if height > next_height]
        return bool(ahead) and all(self._lacking.get(peer) == next_height for peer in ahead)

    # inputs

    def on_peer(self, now_ms: int, peer: int, claimed_height: int) -> list[SyncEffect]:
        """A link is up. Whoever was away asks at once, however small the gap is."""
        self._claims[peer] = self._stated[peer] = claimed_height
        self._lacking.pop(peer, None)
        self._failures.pop(peer, None)
        self._is_chasing |= claimed_height > self._head().height + 1
        return self._go_on(now_ms)

    def on_claim(self, now_ms: int, peer: int, claimed_height: int) -> list[SyncEffect]:
        """What a peer's heartbeat says."""
        if peer not in self._claims:
            return []
        self._claims[peer] = max(self._claims[peer], claimed_height)
        self._stated[peer] = claimed_height
        self._is_chasing |= claimed_height > self._head().height + BEHIND_BLOCKS_MIN
        return self._go_on(now_ms)

    def on_peer_lost(self, now_ms: int, peer: int) -> list[SyncEffect]:
        self._claims.pop(peer, None)
        self._stated.pop(peer, None)
        for entry in self._ranges:
            if entry.peer == peer and entry.response is None:
                entry.reset()
        return self._go_on(now_ms)

    def on_behind(self, now_ms: int) -> list[SyncEffect]:
        """A verified finalisation lies out of agreement's reach: somebody has what we lack, whatever they claim."""
        self._is_needed = True
        return self._go_on(now_ms)

    def on_unsent(self, now_ms: int, peer: int) -> list[SyncEffect]:
        """An `Ask` could not be sent."""
        self._fail(peer)
        for entry in self._ranges:
            if entry.peer == peer and entry.response is None:
                entry.reset()
        return self._go_on(now_ms)

    def on_response(self, now_ms: int, peer: int, response: RangeResponse) -> list[SyncEffect]:
        """An answer; one that nobody asked that peer for, or that comes too late or twice, is ignored."""
        entry = next((item for item in self._ranges if item.peer == peer and item.response is None), None)
        if entry is None or (response.blocks and response.blocks[0].block.header.height != entry.from_height):
            return []
        if not response.blocks:
            self._lacking[peer] = entry.from_height
            self._claims[peer] = min(self._claims.get(peer, 0), entry.from_height - 1)
            entry.reset()
            return self._go_on(now_ms)
        if response.certificate is not None and self._quorum_of(response.certificate.epoch) is None:
            return []  # as if it had not come: its timeout asks again
        reason = self._find_fault(entry, response)
        if reason:
            self._blame(entry, reason)
        else:
            self._failures.pop(peer, None)
            self._take(entry, response)
        return self._go_on(now_ms)

    def on_checked(self, now_ms: int, token: int, batches: tuple[CheckedBatch, ...] | None) -> list[SyncEffect]:
        """Answer to `CheckBatches`; None when one of them is forged."""
        entry = next((item for item in self._ranges if item.token == token), None)
        if entry is None:
            return []
        if batches is None:
            self._blame(entry, "range with a forged batch")
        else:
            entry.batches = batches
        return self._go_on(now_ms)

    def on_head(self, now_ms: int) -> list[SyncEffect]:
        """Our head moved, or an `Accept` was performed."""
        self._is_accepting = False
        return self._go_on(now_ms)

    def on_timer(self, now_ms: int) -> list[SyncEffect]:
        """Somebody kept us waiting."""
        for entry in self._ranges:
            is_waiting = entry.peer is not None and entry.response is None
            if entry.peer is not None and is_waiting and now_ms >= entry.asked_ms + RESPONSE_TIMEOUT_MS:
                self._fail(entry.peer)
                entry.reset()
        return self._go_on(now_ms)

    # rules for a response

    def _find_fault(self, entry: _Range, response: RangeResponse) -> str:
        """Why the response cannot be an honest answer; empty if it can."""
        certificate, blocks = response.certificate, [item.block for item in response.blocks]
        if certificate is None or certificate.kind != FINALIZE:
            return "range without certificate"
        if any(block.header.epoch != certificate.epoch for block in blocks):
            return "a range of several epochs"
        kept, trailing = split_at_seal(tuple(blocks), certificate.epoch)
        if len(kept) > entry.count:
            return "a longer range than was asked for"
        if trailing and not are_trailing(kept[-1].header, trailing):
            return "blocks after the end of an epoch"
        verdict = verify_range(blocks[0].header.parent_hash, entry.from_height - 1, blocks, certificate)
        if isinstance(verdict, Blame):
            return verdict.reason
        if len(certificate.signers()) < (self._quorum_of(certificate.epoch) or 0) or not self._is_genuine(certificate):
            return "range with a forged certificate"
        is_complete = all(self._is_complete(item) for item in response.blocks[: len(kept)])
        is_complete &= not any(item.batches for item in response.blocks[len(kept) :])
        return "" if is_complete else "range with a wrong set of batches"

    def _is_complete(self, item: RangeBlock) -> bool:
        """Exactly the batches that the block names: none missing that we lack, none unnamed, none twice."""
        try:
            named = [ref[2] for ref in Payload.decode(item.block.payload).batch_refs]
        except DecodeError:
            return False
        given = [batch.hash() for batch in item.batches]
        if len(given) > len(named) or any(batch_hash not in named for batch_hash in given):
            return False
        return all(batch_hash in given or self._is_held(batch_hash) for batch_hash in named)

    def _take(self, entry: _Range, response: RangeResponse) -> None:
        """Keep a response that may be right; what it leaves open of the range becomes a range of its own."""
        taken = len(_split(response)[0])
        left = entry.count - taken
        entry.response, entry.count = response, taken
        if left:
            self._ranges.insert(self._ranges.index(entry) + 1, _Range(entry.from_height + taken, left))
        batches = tuple(batch for item in response.blocks for batch in item.batches if not self._is_held(batch.hash()))
        if batches:
            self._token += 1
            entry.token = self._token
            self._out.append(CheckBatches(entry.token, batches))
        else:
            entry.batches = ()

    def _blame(self, entry: _Range, reason: str) -> None:
        if entry.peer is not None:
            self._out.append(Blamed(entry.peer, reason))
            self._fail(entry.peer)
            self._claims[entry.peer] = min(self._claims.get(entry.peer, 0), self._head().height)
        entry.reset()

    def _fail(self, peer: int) -> None:
        self._failures[peer] = self._failures.get(peer, 0) + 1

    # what follows

    def _go_on(self, now_ms: int) -> list[SyncEffect]:
        head = self._head()
        self._ranges = [entry for entry in self._ranges if entry.last_height > head.height]
        for entry in self._ranges[:1]:
            if entry.peer is None and entry.from_height <= head.height:
                entry.from_height, entry.count = head.height + 1, entry.last_height - head.height
        if not self._try_accept(head):
            self._plan(head)
            self._assign(now_ms)
        asked_ms = [entry.asked_ms for entry in self._ranges if entry.peer is not None and entry.response is None]
        if asked_ms:
            self._out.append(Wake(min(asked_ms) + RESPONSE_TIMEOUT_MS))
        out, self._out = self._out, []
        return out

    def _try_accept(self, head: Head) -> bool:
        """Hand over the first range once it follows our head. Nothing else happens until that is done."""
        if self._is_accepting:
            return True
        entry = self._ranges[0] if self._ranges else None
        if entry is None or entry.response is None or entry.batches is None or entry.from_height > head.height + 1:
            return False
        certificate = entry.response.certificate
        assert certificate is not None, "checked when it came"
        blocks = [item.block for item in entry.response.blocks]
        verdict = verify_range(head.block_hash, head.height, blocks, certificate)
        if isinstance(verdict, Blame):
            self._blame(entry, verdict.reason)
            return False
        self._is_accepting = True
        trailing = _split(entry.response)[1]
        self._out.append(Accept(verdict[: len(verdict) - len(trailing)], entry.batches, certificate, trailing))
        return True

    def _plan(self, head: Head) -> None:
        """Which ranges to have under way: as far as anybody claims, and the next if we know that we lack it."""
        reach = self.reach
        self._is_chasing &= reach > head.height + 1
        if self.is_paused or (not self._is_needed and not self._is_chasing):
            self._ranges = []
            return
        self._ranges = [entry for entry in self._ranges if entry.from_height <= max(reach, head.height + 1)]
        next_height = self._ranges[-1].last_height + 1 if self._ranges else head.height + 1
        while len(self._ranges) < RANGES_AHEAD_MAX and (next_height <= reach or not self._ranges):
            self._ranges.append(_Range(next_height, RANGE_BLOCKS))
            next_height += RANGE_BLOCKS

    def _assign(self, now_ms: int) -> None:
        """Ask an idle peer for every range that nobody was asked for, the least failing peer first."""
        head = self._head()
        for entry in list(self._ranges):
            if entry.peer is not None:
                continue
            is_next = entry.from_height <= head.height + 1
            able = [peer for peer, height in self._claims.items() if height >= entry.from_height]
            if is_next and self._is_needed:
                able = [peer for peer in self._claims if peer not in entry.tried]
                if not able:
                    self._give_up()
                    return
            elif not [peer for peer in able if peer not in entry.tried]:
                entry.tried.clear()
            busy = {item.peer for item in self._ranges if item.response is None}
            idle = [peer for peer in able if peer not in busy and peer not in entry.tried]
            if idle:
                entry.peer, entry.asked_ms = min(idle, key=lambda peer: self._preference(peer, entry)), now_ms
                self._out.append(Ask(entry.peer, RangeRequest(entry.from_height, entry.count)))

    def _preference(self, peer: int, entry: _Range) -> tuple[int, int]:
        """Lowest first: who failed least; among equals another one for every range."""
        peers = sorted(self._claims)
        turn = (peers.index(peer) + entry.from_height // RANGE_BLOCKS) % len(peers) if peer in self._claims else 0
        return self._failures.get(peer, 0), turn

    def _give_up(self) -> None:
        """Everybody was asked in vain. Agreement says again that we are behind while it lasts."""
        self._is_needed = self._is_chasing = False
        self._ranges = []


def _split(response: RangeResponse) -> tuple[tuple[Block, ...], tuple[Block, ...]]:
    """What is executed, and what only proves the end of an epoch."""
    certificate = response.certificate
    assert certificate is not None, "checked when it came"
    return split_at_seal(tuple(item.block for item in response.blocks), certificate.epoch)
