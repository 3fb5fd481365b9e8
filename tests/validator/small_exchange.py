"""A node's API over a real engine, without a network: what the API takes is sealed, executed and certified at once."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, cast

import trio
from nacl.signing import SigningKey

from engine.commands import Action, Command
from engine.payload import InboxEntry
from net.feed.facts import NodeFacts
from net.gateway.api import Api, Call, answer_now
from net.gateway.backend import NetworkInfo, NodeCounters
from net.gateway.limits import Limits
from net.gateway.methods import METHODS
from net.gateway.params import Params
from net.gateway.wire import Request, load_json
from net.gateway.writes import WRITES
from net.identity import NetworkSigner
from tests.validator.chainlet import (
    CHAIN_ID,
    CONTRACT,
    DOMAIN,
    EXPIRY_MS,
    OWNERS,
    PARAMS,
    SEEDS,
    SEPARATOR,
    TOKEN,
    TRADERS,
    Chainlet,
    certify,
)
from validator.claims import ClaimsShelf
from validator.inbox import Inbox
from validator.ingress import Ingress
from validator.ledger import Ledger
from validator.roster import Roster
from validator.sealing import Sealer, Taken
from validator.service import Service
from validator.stats import Stats
from validator.store import Store
from validator.uptime import Uptime
from validator.watcher import OnChain

INFO = NetworkInfo(CHAIN_ID, CONTRACT, DOMAIN, 0, TOKEN, PARAMS.markets)
Answer = dict[str, Any]


class SmallExchange:
    """`ask` is a trader's call; writes are signed by the right key unless another is named."""

    def __init__(self, folder: Path) -> None:
        self.chain = Chainlet()
        self.store, stats = Store(folder / "blocks.sqlite"), Stats(lambda: 0)
        self.ledger = Ledger(self.store, stats, self.chain.executor.final.state)
        self._sealer = Sealer(0, NetworkSigner(SEEDS[0], DOMAIN), SEPARATOR, 1)
        self.ingress = Ingress(
            INFO, receipt_key=SigningKey(SEEDS[0]), state=lambda: self.chain.executor.final.state,
            wall_ms=lambda: self.chain.head.timestamp_ms, refusal=lambda: None, backlog=lambda: 0, enqueue=self._take,
        )  # fmt: skip
        self.service = Service(
            INFO, executor=self.chain.executor, ledger=self.ledger, store=self.store, on_chain=OnChain(),
            claims=cast(ClaimsShelf, None), inbox=cast(Inbox, None), uptime=cast(Uptime, None),
            roster=cast(Roster, None), ingress=self.ingress, facts=lambda: cast(NodeFacts, None),
            counters=lambda: cast(NodeCounters, None),
        )  # fmt: skip
        self.api = Api(self.service, Limits(), METHODS)
        self.is_held = False
        self._held: list[Taken] = []
        self._nonce = 0
        self._apply(self.chain.fund(), [])

    def _apply(self, block: Any, batches: list[Any]) -> None:
        self.ledger.apply(block, certify(block), self.chain.executor.final, batches, is_live=True)
        self.ledger.publish()

    def _take(self, taken: Taken) -> None:
        self._held.append(taken)
        if not self.is_held:
            self.release()

    def release(self) -> None:
        """A block with all that was taken; by itself unless `is_held`."""
        for taken in self._held:
            self._sealer.add_taken(taken)
        self._held.clear()
        batches = []
        while (checked := self._sealer.seal()) is not None:
            batches.append(checked)
        self._apply(self.chain.add(batches, with_prices=True), batches)

    def deposit(self, owner: bytes, subaccount: int, amount_units: int) -> None:
        index = self.chain.executor.final.state.inbox_cursor
        entry = InboxEntry(index, 1, TOKEN, owner, subaccount, owner, amount_units, bytes(32), 0)
        self._apply(self.chain.add([], (entry,), with_prices=True), [])

    def wait_ms(self, step_ms: int) -> None:
        """A block without actions so much later."""
        self._apply(self.chain.add([], with_prices=True, step_ms=step_ms), [])

    def next_nonce(self) -> int:
        self._nonce += 1
        return self._nonce

    async def read(self, method: str, /, **params: object) -> Any:
        """The result of a read, or the whole answer of a refusal."""
        call = Call(self.api, Request(1, method, load_json(json.dumps(params))), 0)
        answer = json.loads((await answer_now(call)).text)
        return answer.get("result", answer)

    def sign(self, method: str, trader: int, params: Answer, *, signer: int | None = None, **who: int) -> Answer:
        """The parameters with the signature that they need. `who`: subaccount, nonce, expiry_ms."""
        nonce, subaccount = who.get("nonce") or self.next_nonce(), who.get("subaccount", 0)
        expiry_ms = who.get("expiry_ms", EXPIRY_MS)
        owner = {"owner": "0x" + OWNERS[trader].hex(), "subaccount": subaccount}
        actions: tuple[Action, ...] = WRITES[method].build(
            Params(load_json(json.dumps(params | owner))), self.api.instruments
        )
        key = TRADERS[trader if signer is None else signer]
        command = Command(OWNERS[trader], nonce, expiry_ms, actions, subaccount).signed(key, SEPARATOR)
        signed = {"nonce": nonce, "expiry_ms": expiry_ms, "signature": "0x" + command.signature.hex()}
        return params | owner | signed

    async def write(self, method: str, trader: int, params: Answer, *, signer: int | None = None, **who: int) -> Answer:
        """The result of a write, or the whole answer of a refusal."""
        answer: Answer = await self.read(method, **self.sign(method, trader, params, signer=signer, **who))
        return answer


@asynccontextmanager
async def small_exchange(folder: Path) -> AsyncIterator[SmallExchange]:
    exchange = SmallExchange(folder)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(exchange.ingress.run)
        yield exchange
        nursery.cancel_scope.cancel()
