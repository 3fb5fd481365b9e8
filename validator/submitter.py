"""Posts certified headers to the settlement contract. Members take turns; the next one steps in when the one before it
stays silent, so any live one suffices. That somebody else was faster is no error, and a checkpoint that the chain takes
back is sent again as it was.
"""

import logging
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import trio

from consensus.messages import Certificate, Header, keccak
from contracts.records import ChainError, Refused, TxResult
from validator.watcher import POLL_INTERVAL_S, OnChain

log = logging.getLogger("hansa.chain")

LOOK_INTERVAL_S = 0.25
SUBMIT_TURN_S = 4.0
# Endpoints lag, so what they do not show at once is not lost yet: three blocks of Ethereum.
RESEND_AFTER_S = 36.0
# Members post headers of these heights, so that all of them still hold the state of a checkpoint when they see it.
CHECKPOINT_HEIGHTS_STEP = 4


@dataclass(frozen=True, slots=True)
class Candidate:
    """A directly finalised header that the contract could take; `me` and `member_count`: in its epoch's committee."""

    header: Header
    certificate: Certificate
    me: int
    member_count: int


# Posts a header (640 bytes) without these members' signatures. Raises `Refused` or `ChainError`.
Post = Callable[[bytes, list[int], bytes], Awaitable[TxResult]]


class Source(Protocol):
    """What the submitter asks its node."""

    def find_candidate(self, above_height: int) -> Candidate | None:
        """The newest certified header that members post."""

    def is_urgent(self, candidate: Candidate, posted_height: int) -> bool:
        """Whether somebody waits for this checkpoint after the one at `posted_height`."""

    async def wait_final(self) -> None:
        """Until another block is final."""

    async def prepare(self, height: int) -> None:
        """Make durable what proves the claims of a header that is about to be posted."""


@dataclass(frozen=True, slots=True)
class Cadence:
    """A checkpoint every so many blocks, or after this time when there are fewer; sooner only when somebody waits."""

    interval_blocks: int
    interval_s: float


class Submitter:
    """See the module's text."""

    def __init__(self, posts: Sequence[Post], cadence: Cadence) -> None:
        """`posts`: through one endpoint after the other, for when the first does not answer."""
        self._posts = list(posts)
        self._cadence = cadence
        self._due_since_s: float | None = None
        self._last = (0, trio.current_time())  # posted height, and since when it is that
        self._sent: tuple[Candidate, float] | None = None  # what the contract took from us, and when

    async def run(self, on_chain: OnChain, source: Source) -> None:
        """Until cancelled."""
        while True:
            with trio.move_on_after(LOOK_INTERVAL_S):
                await source.wait_final()
            candidate = self._find_dropped(on_chain) or self._find_due(on_chain, source)
            if candidate is not None:
                await source.prepare(candidate.header.height)
                await self._submit(candidate, on_chain)

    def _find_dropped(self, on_chain: OnChain) -> Candidate | None:
        """Our checkpoint that was in a block and is not any more: the chain took it back. It is as good as before."""
        if self._sent is None or on_chain.height >= self._sent[0].header.height:
            self._sent = None
            return None
        candidate, sent_s = self._sent
        is_gone = on_chain.posted_height < candidate.header.height
        return candidate if is_gone and trio.current_time() - sent_s >= RESEND_AFTER_S else None

    def _find_due(self, on_chain: OnChain, source: Source) -> Candidate | None:
        """The newest header, if it is time for it and our turn."""
        now_s, posted_height = trio.current_time(), self._posted_height(on_chain)
        if posted_height != self._last[0]:
            self._last = posted_height, now_s
        candidate = source.find_candidate(posted_height)
        if candidate is None or not self._is_due(candidate, now_s, source.is_urgent(candidate, posted_height)):
            self._due_since_s = None
            return None
        if self._due_since_s is None:
            self._due_since_s = now_s
        waited_s = now_s - self._due_since_s
        return candidate if waited_s >= _find_turn(candidate, posted_height) * SUBMIT_TURN_S else None

    def _posted_height(self, on_chain: OnChain) -> int:
        """The endpoints may lag behind what the contract has just taken from us."""
        return max(on_chain.posted_height, 0 if self._sent is None else self._sent[0].header.height)

    def _is_due(self, candidate: Candidate, now_s: float, is_urgent: bool) -> bool:
        posted_height, since_s = self._last
        is_many = candidate.header.height >= posted_height + self._cadence.interval_blocks
        return is_urgent or is_many or now_s - since_s >= self._cadence.interval_s

    async def _submit(self, candidate: Candidate, on_chain: OnChain) -> None:
        header, certificate = candidate.header, candidate.certificate
        signers = certificate.signers()
        absent = [index for index in range(candidate.member_count) if index not in signers]
        try:
            result = await self._posts[0](header.encode(), absent, certificate.signature)
            self._due_since_s = None
            self._sent = candidate, trio.current_time()
            on_chain.posted_height = max(on_chain.posted_height, header.height)
            log.info("checkpoint.accepted height=%d gas=%d", header.height, result.gas_used)
        except Refused as refusal:
            # Usually another member was faster; the next poll shows the contract's height.
            self._sent = None
            log.info("checkpoint.refused height=%d reason=%s", header.height, refusal)
            await trio.sleep(POLL_INTERVAL_S)
        except ChainError as error:
            self._posts.append(self._posts.pop(0))
            log.warning("checkpoint.unsent height=%d error=%s (next: another endpoint)", header.height, error)
            await trio.sleep(POLL_INTERVAL_S)


def _find_turn(candidate: Candidate, onchain_height: int) -> int:
    """0 for the member whose turn it is after the checkpoint at `onchain_height`."""
    first = int.from_bytes(keccak(onchain_height.to_bytes(8, "big"))[:4], "big") % candidate.member_count
    return (candidate.me - first) % candidate.member_count
