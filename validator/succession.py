"""The host of committee changes in a running node: tells agreement whom the registry appoints, links those who come and
go, and brings the contract from one epoch to the next.

When an epoch is sealed, members of the next committee take turns: the first posts the header that seals it, has the
registry write the keys of the committee that it names, and has the contract begin the epoch. Anybody may; a step that
somebody else was faster with is refused and harmless. Until then no header of the new epoch is accepted.
"""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import trio

from consensus.messages import Certificate, Header
from contracts.records import ChainError, Refused
from validator.appointments import Appointments, AppointmentsReader
from validator.roster import Seats
from validator.store import Store
from validator.submitter import SUBMIT_TURN_S
from validator.watcher import POLL_INTERVAL_S

if TYPE_CHECKING:  # web3 is imported late: validator/chain_access.py
    from contracts.registry import Registry
    from contracts.settlement import Settlement
    from validator.node import Node

log = logging.getLogger("hansa.succession")


@dataclass(frozen=True, slots=True)
class Handover:
    """What the contract needs to leave an epoch: a certified header that names the next committee."""

    header: Header
    certificate: Certificate
    following: Seats


def find_handover(store: Store, epoch: int, following: Seats | None) -> Handover | None:
    """The sealing block if it has a certificate of its own, else the trailing one that proves it."""
    seal = store.seal(epoch)
    final = None if seal is None else store.final(seal.height)
    if seal is None or final is None or following is None:
        return None
    if final.is_direct:
        return Handover(final.block.header, final.certificate, following)
    return Handover(seal.trailing[-1].header, seal.certificate, following)


class Succession:
    """See the module's text."""

    def __init__(self, node: "Node", settlement: "Settlement", registries: "Sequence[Registry]") -> None:
        """A registry per endpoint; the first of them sends."""
        self._node = node
        self._settlement = settlement
        self._registry = registries[0]
        self._reader = AppointmentsReader(registries)
        self._settled_epoch = 0
        self._due_since_s: float | None = None

    async def run(self) -> None:
        """Until cancelled."""
        is_down = False
        while True:
            try:
                found = await self._read()
                self._node.on_appointments(found)
                if found.begun:
                    self._settled_epoch = found.begun[-1].epoch
                await self._hand_over(found.chain_epoch)
                is_down = False
            except (ChainError, Refused) as error:
                if not is_down:
                    log.warning("registry.unreachable error=%s interval_s=%.0f (retrying)", error, POLL_INTERVAL_S)
                is_down = True
            await trio.sleep(POLL_INTERVAL_S)

    async def _read(self) -> Appointments:
        current, block = self._node.agreement.holder.current, self._node.settling.on_chain.block
        closed = current.core.final_header.next_committee_hash if current.core.is_closed else None
        known_epoch = max(current.epoch, self._settled_epoch)
        return await trio.to_thread.run_sync(self._reader.read, block, known_epoch, current.epoch, closed)

    async def _hand_over(self, chain_epoch: int) -> None:
        """Our turn, if the contract is still in an epoch that is over here."""
        node = self._node
        following = node.roster.seats(chain_epoch + 1)
        handover = find_handover(node.store, chain_epoch, following)
        index = None if following is None else following.find(node.config.index)
        if handover is None or following is None or index is None:
            self._due_since_s = None
            return
        now_s = trio.current_time()
        self._due_since_s = self._due_since_s or now_s
        turn = (index - chain_epoch) % len(following.numbers)
        if now_s - self._due_since_s < turn * SUBMIT_TURN_S:
            return
        try:
            await trio.to_thread.run_sync(self._bring, handover, node.roster.count(chain_epoch))
        except Refused as refusal:
            # Usually another member was faster; the next reading shows it.
            log.info("epoch.refused epoch=%d reason=%s", chain_epoch, refusal)

    def _bring(self, handover: Handover, member_count: int) -> None:
        """Blocking: whatever of it is not done yet."""
        settlement, header = self._settlement, handover.header
        if settlement.epoch() != header.epoch:
            return
        signers = handover.certificate.signers()
        absent = [index for index in range(member_count) if index not in signers]
        if settlement.next_committee_hash() != header.next_committee_hash:
            settlement.checkpoint(header.encode(), absent, handover.certificate.signature)
        if not self._registry.is_made(header.next_committee_hash):
            self._registry.make_committee(list(handover.following.numbers))
        result = settlement.advance_epoch()
        log.info("epoch.advanced epoch=%d gas=%d", header.epoch + 1, result.gas_used)
