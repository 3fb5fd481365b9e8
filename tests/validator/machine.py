"""One node's driver of agreement on its own: real disk, keys and engine, and whatever it would send is kept."""

from pathlib import Path
from typing import Any

from chainlet import DOMAIN, FOUNDERS, GENESIS, GENESIS_STATE, MEMBERS, NETWORK_KEYS, PARAMS, SECRETS

from consensus.core import Core, CoreConfig
from consensus.epochs import Instances, Schedule
from consensus.messages import Block, Certificate, Evidence, Message, decode_message, encode_message
from validator.agreement import Agreement, Outside
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
from validator.vote_signer import VoteSigner

ME = 0
LEADERS = (1, 2, 3, 0)  # of views 1, 2, 3, 4


class Machine:
    """`order` has what was announced and which heights became final, as they came."""

    def __init__(self, folder: Path, signer: VoteSigner | None = None) -> None:
        """`signer`: one that holds the key elsewhere."""
        self.sent: list[tuple[int | None, bytes]] = []
        self.banned: list[int] = []
        self.order: list[Message | int] = []
        self.journal = Journal(folder / "journal")
        self.store = Store(folder / "blocks.sqlite")
        pool = BatchPool(MEMBERS)
        self.executor = executor = Executor(PARAMS, pool, GENESIS.hash(), GENESIS_STATE)
        config = CoreConfig(domain=DOMAIN, epoch=1, member_count=MEMBERS, me=ME, genesis=GENESIS)
        outside: dict[str, Any] = dict.fromkeys(Outside.__slots__, lambda *_: None)
        outside |= {
            "send": lambda *message: self.sent.append(message),
            "announce": self._announce,
            "finalise": self._finalise,
            "ban": lambda peer, _: self.banned.append(peer),
        }
        self.signer = signer or Signer(folder / "guard", SECRETS[ME], ME, DOMAIN, 1)
        roster = Roster([FOUNDERS])
        holder = Instances(
            config, Schedule(length_ms=0, extension_ms=1), NETWORK_KEYS[ME], FOUNDERS.committee, GENESIS,
            tuple(self.journal.records), make_core=lambda config, _, records: Core(config, LEADERS, records),
        )  # fmt: skip
        self.agreement = Agreement(
            holder, domain=DOMAIN, roster=roster, signer=self.signer, journal=self.journal, store=self.store,
            executor=executor, proposals=Proposals(executor, pool, ReportBook(roster, DOMAIN), Inbox(), 10_000),
            outside=Outside(**outside), clocks=Clocks(),
        )  # fmt: skip
        self.agreement.start(None)

    def _announce(self, data: bytes) -> None:
        self.sent.append((None, data))
        self.order.append(decode_message(data))

    def _finalise(self, block: Block, certificate: Certificate) -> None:
        self.executor.execute(block)
        self.executor.finalise(block.hash())
        self.store.put_final(block, certificate)
        self.order.append(block.header.height)

    def receive(self, peer: int, *messages: Message) -> None:
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
