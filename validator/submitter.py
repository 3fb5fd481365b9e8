"""Posts certified headers to the settlement contract. Members take turns; the next one steps in when the one before it
stays silent.
"""

import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import trio

from consensus.messages import Certificate, Header, keccak
from contracts.records import ChainError, Refused
from validator.watcher import POLL_INTERVAL_S, OnChain

if TYPE_CHECKING:  # web3 is imported late: validator/chain_access.py
    from contracts.settlement import Settlement

log = logging.getLogger("hansa.chain")

SUBMIT_TURN_S = 4.0
# Members post headers of these heights, so that all of them still hold the state of a checkpoint when they see it.
CHECKPOINT_HEIGHTS_STEP = 4


@dataclass(frozen=True, slots=True)
class Candidate:
    """A directly finalised header that the contract could take; `me` and `member_count`: in its epoch's committee."""

    header: Header
    certificate: Certificate
    me: int
    member_count: int


class Source(Protocol):
    """What the submitter asks its node."""

    def find_candidate(self, above_height: int) -> Candidate | None:
        """The newest certified header that members post."""

    def is_urgent(self) -> bool:
        """Whether somebody waits for a checkpoint."""

    async def prepare(self, height: int) -> None:
        """Make durable what proves the claims of a header that is about to be posted."""


class Submitter:
    """Posts certified headers. Members take turns; the next one steps in when the one before it stays silent."""

    def __init__(self, settlement: "Settlement", interval_blocks: int) -> None:
        self._settlement = settlement
        self._interval_blocks = interval_blocks
        self._due_since_s: float | None = None

    async def run(self, on_chain: OnChain, source: Source) -> None:
        """Until cancelled."""
        while True:
            await trio.sleep(0.25)
            candidate = source.find_candidate(on_chain.posted_height)
            if candidate is None or not self._is_due(candidate, on_chain.posted_height, source.is_urgent()):
                self._due_since_s = None
                continue
            if self._due_since_s is None:
                self._due_since_s = trio.current_time()
            if trio.current_time() - self._due_since_s < _find_turn(candidate, on_chain.posted_height) * SUBMIT_TURN_S:
                continue
            await source.prepare(candidate.header.height)
            await self._submit(candidate, on_chain)

    def _is_due(self, candidate: Candidate, onchain_height: int, is_withdrawal_waiting: bool) -> bool:
        return is_withdrawal_waiting or candidate.header.height >= onchain_height + self._interval_blocks

    async def _submit(self, candidate: Candidate, on_chain: OnChain) -> None:
        header, certificate = candidate.header, candidate.certificate
        signers = certificate.signers()
        absent = [index for index in range(candidate.member_count) if index not in signers]
        try:
            result = await trio.to_thread.run_sync(
                self._settlement.checkpoint, header.encode(), absent, certificate.signature
            )
            self._due_since_s = None
            on_chain.posted_height = max(on_chain.posted_height, header.height)
            log.info("checkpoint.accepted height=%d gas=%d", header.height, result.gas_used)
        except Refused as refusal:
            # Usually another member was faster; the next poll shows the contract's height.
            log.info("checkpoint.refused height=%d reason=%s", header.height, refusal)
            await trio.sleep(POLL_INTERVAL_S)
        except ChainError as error:
            log.warning("checkpoint.unsent height=%d error=%s", header.height, error)
            await trio.sleep(POLL_INTERVAL_S)


def _find_turn(candidate: Candidate, onchain_height: int) -> int:
    """0 for the member whose turn it is after the checkpoint at `onchain_height`."""
    first = int.from_bytes(keccak(onchain_height.to_bytes(8, "big"))[:4], "big") % candidate.member_count
    return (candidate.me - first) % candidate.member_count
