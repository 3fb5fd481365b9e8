"""Brings evidence to the court on the settlement chain, so that no committee can keep it quiet (R10).

Members take turns, in an order that each case draws by its key, because the finder may be the only honest one in reach
and any culprit may be among the members. Who comes later finds the case decided and the stakes taken, and only notes
that. A case is closed for good once the court has it and every culprit's stake is taken; until then it is tried again
after every outage and every restart.
"""

import logging
from contextlib import suppress
from typing import TYPE_CHECKING

import trio

from consensus.messages import Certificate, DecodeError, Evidence, decode_message
from contracts.records import ChainError, Refused
from validator.store import Store

if TYPE_CHECKING:  # web3 is imported late: validator/chain_access.py
    from contracts.court import Court, Statement

log = logging.getLogger("hansa.prosecutor")

POLL_INTERVAL_S = 0.5
TURN_S = 4.0
RETRY_INTERVAL_S = 2.0
LAST_CALL_S = 10.0


def read_evidence(data: bytes) -> Evidence:
    """Evidence in its wire form. Raises `DecodeError`."""
    evidence = decode_message(data)
    if not isinstance(evidence, Evidence):
        raise DecodeError(f"a {type(evidence).__name__.lower()} is no evidence")
    return evidence


def make_statement(certificate: Certificate) -> "Statement":
    """As the court reads it; headers stay here."""
    from contracts.court import Statement

    return Statement(
        certificate.kind, certificate.view, certificate.header_hash, int.from_bytes(certificate.bitmap, "little"),
        certificate.signature,
    )  # fmt: skip


def find_turn(key: bytes, me: int, member_count: int) -> int:
    """0 for the member that goes first in this case."""
    return (me - int.from_bytes(key[:4], "big")) % member_count


def find_culprits(evidence: Evidence) -> list[int]:
    """Committee indices of whoever signed both statements."""
    return sorted(set(evidence.first.signers()) & set(evidence.second.signers()))


class Prosecutor:
    """One node's share of the work. Runs in the node's loop, which owns the store; calls of the chain in threads."""

    def __init__(self, court: "Court", store: Store, me: int, member_count: int) -> None:
        self._court = court
        self._store = store
        self._me = me
        self._member_count = member_count
        self._seen_s: dict[bytes, float] = {}
        self._not_before_s: dict[bytes, float] = {}
        self._sent: dict[bytes, bytes] = {}  # our transactions of cases that are not closed yet
        self.is_urgent = False  # the node is about to end: no waiting for turns

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            for key, data, _ in self._store.open_cases():
                if self._is_due(key):
                    await self._prosecute(key, read_evidence(data))
            await trio.sleep(POLL_INTERVAL_S)

    def _is_due(self, key: bytes) -> bool:
        now_s = trio.current_time()
        waited_s = now_s - self._seen_s.setdefault(key, now_s)
        if now_s < self._not_before_s.get(key, 0.0):
            return False
        return self.is_urgent or waited_s >= find_turn(key, self._me, self._member_count) * TURN_S

    async def _prosecute(self, key: bytes, evidence: Evidence) -> None:
        epoch = evidence.first.epoch
        pair = make_statement(evidence.first), make_statement(evidence.second)
        transaction = self._sent.get(key, b"")
        try:
            if await trio.to_thread.run_sync(self._court.is_decided, key):
                log.info("evidence.decided key=%s by=%s", key.hex(), "us" if transaction else "another")
            else:
                result = await trio.to_thread.run_sync(self._court.submit, epoch, *pair)
                self._sent[key] = transaction = result.tx_hash
                log.info(
                    "evidence.accepted key=%s transaction=%s gas=%d", key.hex(), transaction.hex(), result.gas_used
                )
            for member in find_culprits(evidence):
                await trio.to_thread.run_sync(self._slash, epoch, member)
        except Refused as refusal:
            # It was verified here, so the court lacks something, such as this epoch's committee: later, perhaps.
            self._not_before_s[key] = trio.current_time() + 30 * RETRY_INTERVAL_S
            log.error("evidence.refused key=%s reason=%s", key.hex(), refusal)
        except ChainError as error:
            self._not_before_s[key] = trio.current_time() + RETRY_INTERVAL_S
            log.warning("evidence.unsent key=%s error=%s (retrying)", key.hex(), error)
        else:
            self._store.close_case(key, transaction)

    def _slash(self, epoch: int, member: int) -> None:
        """Blocking. Whoever is faster gets the reporter's part, which is no reason to fail."""
        if self._court.is_jailed(epoch, member):
            return
        try:
            result = self._court.slash(epoch, member)
        except Refused:
            if not self._court.is_jailed(epoch, member):
                raise
        else:
            log.info("stake.slashed epoch=%d member=%d transaction=%s", epoch, member, result.tx_hash.hex())
            with suppress(Refused):  # somebody was faster, or the custody takes no deposits: the registry keeps it
                self._court.bring_to_insurance()


async def wait_for_court(store: Store, prosecutor: Prosecutor | None) -> None:
    """Before a stopped node ends: a moment for what it has found to reach the court and its peers."""
    if prosecutor is not None:
        prosecutor.is_urgent = True
    with trio.move_on_after(LAST_CALL_S):
        while store.open_cases():
            await trio.sleep(POLL_INTERVAL_S)
