"""The parts of `hansa gateway` put together."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import trio
from coincurve import PrivateKey

from engine.commands import address_of
from net.client.keeping import keep_proofs
from net.client.operations import Operation, Operations
from net.client.protocol import HansaError
from net.client.records import ProvenAccount
from net.client.verifying import Verifier
from net.gateway.errors import ApiError
from net.trader.access import Access
from net.trader.api_keys import KeyRing, Logins
from net.trader.carrying import carry
from net.trader.certainty import Prover
from net.trader.desk import Account, Desk
from net.trader.hub import Hub
from net.trader.key_watch import KeyWatch
from net.trader.labels import Labels
from net.trader.metrics import metrics_text
from net.trader.pool import Pool
from net.trader.scribe import Scribe
from net.trader.sender import Sender
from net.trader.server import Server
from net.trader.upstream import Upstream

logger = logging.getLogger(__name__)
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class TraderConfig:
    """One gateway. `key` is None for one that only reads; `owner` is then whose account it reads."""

    nodes: Sequence[str]
    folder: Path
    owner: bytes
    key: PrivateKey | None = field(repr=False)
    subaccount: int = 0
    host: str = "127.0.0.1"
    port: int = 8777
    fanout: int = 3
    wait: str = "final"
    expiry_s: int = 60


class TraderGateway:
    """`run` serves until cancelled."""

    def __init__(self, config: TraderConfig, ring: KeyRing, verifier: Verifier | None) -> None:
        self.config = config
        owner = "0x" + config.owner.hex()
        self._labels = Labels(config.folder / "labels.sqlite")
        self._hub = Hub(self._labels, owner, config.subaccount)
        account = {"owner": owner, "subaccount": config.subaccount}
        network_id = None if verifier is None else verifier.network_id
        self.pool = Pool(config.nodes, self._hub.on_notification, self._hub.on_change, account, network_id)
        self._hub.pool = self.pool
        self._reader = Operations(owner=owner, subaccount=config.subaccount, verify=verifier)
        access = Access(Logins(ring))
        scribe, address = None, None
        if config.key is not None:
            scribe = Scribe(config.key, config.owner, config.subaccount, config.expiry_s)
            address = "0x" + address_of(config.key.public_key).hex()
        self.key = KeyWatch(self.pool, owner, config.subaccount, address)
        self._desk = Desk(
            self.pool, self._hub, access, self._labels, Account(owner, config.subaccount),
            Sender(self.pool, config.fanout, config.wait), Prover(self.pool, verifier), scribe, self.key,
        )  # fmt: skip
        self._proof_height = 0
        self._server = Server(
            self._desk, access, self.pool, self._hub, config.host, config.port,
            lambda: {"key": self.key.describe(), "proof_height": self._proof_height},
            lambda: metrics_text(self.pool.nodes, self.key, self._proof_height),
        )  # fmt: skip

    @property
    def proof_folder(self) -> Path:
        """Where the account's newest proof is kept."""
        return self.config.folder / "proofs"

    async def run(self, task_status: Any = trio.TASK_STATUS_IGNORED) -> None:
        """`task_status` receives the URL once the gateway listens; whether a node is there yet is another matter."""
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self.pool.run)
                nursery.start_soon(self._hub.run)
                nursery.start_soon(self._desk.deadman.run)
                nursery.start_soon(self.key.run)
                nursery.start_soon(keep_proofs, self._find_proof, self.proof_folder, self._find_withdrawals)
                task_status.started(await nursery.start(self._server.run))
        finally:
            self._labels.close()

    async def _find_proof(self, above_height: int) -> ProvenAccount | None:
        """The account's proof at the newest checkpoint, from any node. Raises `HansaError`, `ProofError`."""
        found: ProvenAccount | None = await self._carry(self._reader.checkpoint_proof(above_height))
        self._proof_height = self._proof_height if found is None else found.height
        return found

    async def _find_withdrawals(self, height: int) -> list[dict[str, Any]]:
        """Proofs of the owner's last withdrawals by a checkpoint. Raises as `_find_proof`."""
        return await self._carry(self._reader.withdrawals_at(height))

    async def _carry(self, operation: Operation[T]) -> T:
        try:
            return await carry(self.pool, operation)
        except ApiError as error:
            raise HansaError(0, "no node answers", str(error)) from None


def describe(nodes: Sequence[Upstream]) -> list[tuple[str, str, str, str]]:
    """A row a node: URL, state, height, latency."""
    return [
        (
            node.url, "well" if node.is_well else "not well" if node.is_connected else "no connection",
            str(node.height or "-"), f"{node.latency_s * 1000:.1f} ms" if node.latency_s else "-",
        )
        for node in nodes
    ]  # fmt: skip
