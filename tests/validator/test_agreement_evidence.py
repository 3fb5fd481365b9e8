"""The driver around the core: evidence is on the disk and out before anything else, also when the node stops."""

from pathlib import Path
from typing import Any

import pytest
from chainlet import DOMAIN, FOUNDERS, GENESIS, GENESIS_STATE, MEMBERS, NETWORK_KEYS, PARAMS, SECRETS

from consensus import crypto
from consensus.core import Core, CoreConfig
from consensus.epochs import Instances, Schedule
from consensus.messages import (
    FINALIZE,
    NULLIFY,
    ZERO_HASH,
    Certificate,
    Evidence,
    Vote,
    decode_message,
    encode_message,
    make_bitmap,
    vote_digest,
)
from validator.agreement import Agreement, Outside, Stop
from validator.batches import BatchPool
from validator.clocks import Clocks
from validator.executor import Executor
from validator.inbox import Inbox
from validator.journal import Journal
from validator.oracle import ReportBook
from validator.proposals import Proposals
from validator.prosecutor import read_evidence
from validator.roster import Roster
from validator.signer import Signer
from validator.store import Store

ME = 0
BLOCK = b"x" * 32


class Machine:
    """One node's driver with real disk, keys and engine; what it would send is kept."""

    def __init__(self, folder: Path) -> None:
        self.sent: list[tuple[int | None, bytes]] = []
        self.banned: list[int] = []
        self.journal = Journal(folder / "journal")
        self.store = Store(folder / "blocks.sqlite")
        pool = BatchPool(MEMBERS)
        executor = Executor(PARAMS, pool, GENESIS.hash(), GENESIS_STATE)
        config = CoreConfig(domain=DOMAIN, epoch=1, member_count=MEMBERS, me=ME, genesis=GENESIS)
        outside: dict[str, Any] = dict.fromkeys(Outside.__slots__, lambda *_: None)
        outside |= {
            "send": lambda *message: self.sent.append(message),
            "announce": lambda data: self.sent.append((None, data)),
            "ban": lambda peer, _: self.banned.append(peer),
        }
        self.signer = Signer(folder / "guard", SECRETS[ME], ME, DOMAIN, 1)
        roster = Roster([FOUNDERS])
        holder = Instances(
            config, Schedule(length_ms=0, extension_ms=1), NETWORK_KEYS[ME], FOUNDERS.committee, GENESIS,
            tuple(self.journal.records), make_core=lambda config, _, records: Core(config, (1, 2, 3, 0), records),
        )  # fmt: skip
        self.agreement = Agreement(
            holder, domain=DOMAIN, roster=roster, signer=self.signer, journal=self.journal, store=self.store,
            executor=executor, proposals=Proposals(executor, pool, ReportBook(roster, DOMAIN), Inbox(), 10_000),
            outside=Outside(**outside), clocks=Clocks(),
        )  # fmt: skip
        self.agreement.start(None)

    def receive(self, peer: int, *messages: Vote | Certificate) -> None:
        for message in messages:
            self.agreement.receive(peer, encode_message(message))
        self.agreement.tick()

    def evidence_sent(self) -> list[Evidence]:
        messages = [decode_message(data) for peer, data in self.sent if peer is None]
        return [message for message in messages if isinstance(message, Evidence)]

    def evidence_stored(self) -> list[Evidence]:
        return [read_evidence(data) for _, data, _ in self.store.open_cases()]

    def close(self) -> None:
        self.journal.close()
        self.store.close()
        self.signer.close()


def vote(signer: int, kind: int, block_hash: bytes, view: int = 3) -> Vote:
    signature = crypto.sign(SECRETS[signer], vote_digest(DOMAIN, kind, 1, view, block_hash))
    return Vote(kind, 1, view, block_hash, signer, signature)


def certificate(kind: int, block_hash: bytes, *signers: int) -> Certificate:
    signature = crypto.aggregate([vote(signer, kind, block_hash).signature for signer in signers])
    assert signature is not None
    return Certificate(kind, 1, 3, block_hash, make_bitmap(list(signers), MEMBERS), signature)


def test_a_liar_is_stored_told_of_and_banned_and_a_restart_knows(tmp_path: Path) -> None:
    machine = Machine(tmp_path)
    machine.receive(2, vote(2, NULLIFY, ZERO_HASH), vote(2, FINALIZE, BLOCK))
    (evidence,) = machine.evidence_stored()
    assert machine.evidence_sent() == [evidence]
    assert machine.banned == [2]
    machine.close()
    again = Machine(tmp_path)
    again.agreement.tick()
    assert again.evidence_stored() == again.evidence_sent() == [evidence]
    assert again.banned == [2]
    again.close()


def test_a_forged_vote_accuses_nobody(tmp_path: Path) -> None:
    machine = Machine(tmp_path)
    forged = Vote(FINALIZE, 1, 3, BLOCK, 2, vote(3, FINALIZE, BLOCK).signature)
    machine.receive(2, vote(2, NULLIFY, ZERO_HASH), forged)
    assert machine.evidence_stored() == machine.evidence_sent() == []
    assert machine.banned == [2]
    machine.close()


def test_a_fork_stops_the_node_after_it_has_told_and_stops_it_again(tmp_path: Path) -> None:
    machine = Machine(tmp_path)
    pair = certificate(NULLIFY, ZERO_HASH, 0, 1, 2), certificate(FINALIZE, BLOCK, 1, 2, 3)
    with pytest.raises(Stop, match="contradict each other"):
        machine.receive(1, *pair)
    assert machine.evidence_sent() == machine.evidence_stored() == [Evidence(*pair)]
    assert machine.store.nullifications(10) == [pair[0]]  # kept for weeks, as others may hold the other half
    machine.close()
    again = Machine(tmp_path)
    with pytest.raises(Stop, match="contradict each other"):
        again.agreement.tick()
    assert again.evidence_sent() == [Evidence(*pair)]
    assert [data for _, data in again.sent] == [encode_message(Evidence(*pair))]  # and nothing signed
    again.close()


def test_evidence_against_the_own_key_stops_the_node(tmp_path: Path) -> None:
    machine = Machine(tmp_path)
    pair = [certificate(NULLIFY, ZERO_HASH, ME), certificate(FINALIZE, BLOCK, ME)]
    machine.agreement.receive(1, encode_message(Evidence(pair[0], pair[1])))
    with pytest.raises(Stop, match="this node's key signed contradicting statements"):
        machine.agreement.tick()
    assert machine.evidence_stored() == [Evidence(pair[0], pair[1])]
    machine.close()
