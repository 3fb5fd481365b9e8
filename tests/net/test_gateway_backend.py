"""A whole exchange in dictionaries: the smallest real `Backend`, for tests of the gateway and the client.

One block per action, final at once unless `is_held`; orders match by price alone; accounts are a real Merkle-sum tree.
"""

from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
import trio
from dict_account_data import DictAccountData
from dict_explorer import DictExplorer
from dict_market_data import DictMarketData
from nacl.signing import SigningKey

from consensus.messages import FINALIZE, ZERO_HASH, Certificate, Commitment, Header, compute_domain, keccak
from engine.commands import (
    ALL_MARKETS,
    BUY,
    CANCEL,
    CANCEL_ALL,
    IMMEDIATE_OR_CANCEL,
    PLACE,
    POST_ONLY,
    SELL,
    WITHDRAW,
    Action,
    Command,
    command_id,
    compute_action_ids,
    recover_signer,
    split_messages,
)
from engine.params import DEFAULT_MARKETS
from engine.results import Code, OrderState
from net.gateway.backend import (
    AccountFill,
    AccountProof,
    AccountView,
    Backend,
    BlockEvent,
    BookView,
    ClaimsView,
    CommandResult,
    EvidenceView,
    FillView,
    FinalisedHeader,
    InboxView,
    LevelChange,
    LinkCounters,
    NetworkInfo,
    NodeCounters,
    NodeStatus,
    OrderView,
    PositionView,
    Receipt,
    Refusal,
    Status,
    Submission,
    UptimeView,
    WithdrawalProof,
    WithdrawalView,
)
from net.gateway.market_data import TickerView, TradeView
from net.order_frames import (
    FLAG_OUTCOMES,
    OUTCOME_ROW,
    RECEIPT_ROW,
    Orders,
    Outcomes,
    Receipts,
    receipts_signing_bytes,
)

CHAIN_ID, CONTRACT, TOKEN = 31337, b"\x11" * 20, b"\x22" * 20
TREE_DEPTH = 20
RECEIPT_KEY = SigningKey(b"\x0b" * 32)


class DictTicket:
    """Judged already."""

    def __init__(self, submission: Submission) -> None:
        self._submission = submission

    async def wait(self) -> Submission:
        return self._submission


class DictOrderStream:
    """Binary order entry, message by message: a receipt frame, then the outcomes of what was queued."""

    def __init__(self, backend: "DictBackend", push: Callable[[bytes], None]) -> None:
        self._backend, self._push = backend, push
        self._wants_outcomes = False

    async def submit(self, orders: Orders) -> None:
        self._backend.order_frames += bool(orders.messages)
        self._wants_outcomes |= bool(orders.flags & FLAG_OUTCOMES)
        backend, commands = self._backend, [Command.decode(data) for data in split_messages(orders.messages)]
        rows = np.zeros(len(commands), RECEIPT_ROW)
        for row, command in zip(rows, commands):
            name = command_id(command, backend.domain.domain_separator)
            known = backend.known.get(compute_action_ids(name, len(command.actions))[0])
            submission = None if known else backend.take(command)
            row["message_id"], row["received_ms"] = np.frombuffer(name, np.uint8), backend.time_ms
            row["code"] = submission.code if submission else 0
        signed = receipts_signing_bytes(backend.domain.network_id, 0, rows)
        signature = RECEIPT_KEY.sign(signed).signature if len(rows) else b""
        self._push(Receipts(orders.tag, 0, rows, signature).encode())
        for row, command in zip(rows, commands):
            if self._wants_outcomes and not row["code"]:
                self._tell(row["message_id"], command)

    def _tell(self, message_id: np.ndarray, command: Command) -> None:
        names = compute_action_ids(message_id.tobytes(), len(command.actions))
        results = [self._backend.known[name] for name in names]
        rows = np.zeros(len(results), OUTCOME_ROW)
        for at, (row, result) in enumerate(zip(rows, results)):
            row["action"], row["code"], row["order_id"], row["order_state"] = (
                at, result.code, result.order_id, result.order_state
            )  # fmt: skip
            row["filled_lots"], row["remaining_lots"], row["filled_quote"] = (
                result.filled_lots, result.remaining_lots, result.filled_value_quote
            )  # fmt: skip
        if all(result.status == Status.CERTIFIED for result in results):
            outcomes = Outcomes(results[0].height, results[0].time_ms, message_id.reshape(1, 32), rows)
            self._push(outcomes.encode())


class DictBackend:
    """See the module's first lines. `submitted` is every command that reached it."""

    def __init__(self) -> None:
        self.domain = NetworkInfo(CHAIN_ID, CONTRACT, compute_domain(CHAIN_ID, CONTRACT), 0, TOKEN, DEFAULT_MARKETS,
                                  node_key=bytes(RECEIPT_KEY.verify_key))  # fmt: skip
        self.market_data = DictMarketData(self)
        self.explorer = DictExplorer(self)
        self.account_data = DictAccountData(self)
        self.submitted: list[Command] = []
        self.order_frames = 0
        self.is_held = False
        self.refusal: Refusal | None = None
        self.precheck: Code = Code.OK
        self.failure: Exception | None = None
        self.balances: dict[tuple[bytes, int], int] = {}
        self.live: dict[tuple[int, int], OrderView] = {}
        self.gone: dict[tuple[int, int], OrderView] = {}
        self.known: dict[bytes, CommandResult] = {}
        self.past_trades: list[TradeView] = []
        self.past_fills: list[AccountFill] = []
        self.payouts: list[WithdrawalView] = []
        self.claims_files: dict[bytes, Path] = {}
        self.posted_height = 0
        self.watched: list[int] = []
        self.height = 0
        self._finalised = trio.Event()
        self._subscribers: list[trio.MemorySendChannel[BlockEvent]] = []

    def submit(self, command: Command) -> "DictTicket":
        return DictTicket(self.take(command))

    def action_ids(self, command: Command) -> tuple[bytes, ...]:
        return compute_action_ids(command_id(command, self.domain.domain_separator), len(command.actions))

    def take(self, command: Command) -> Submission:
        """Judged, queued and, unless it is held, final."""
        name = command_id(command, self.domain.domain_separator)
        if self.failure is not None:
            raise self.failure
        if self.refusal is not None or self.precheck != Code.OK:
            return Submission(name, None, self.precheck, self.refusal)
        if recover_signer(command, self.domain.domain_separator) != command.owner:
            return Submission(name, None, Code.BAD_SIGNATURE)
        if compute_action_ids(name, len(command.actions))[0] not in self.known:
            self.submitted.append(command)
            for action_id in compute_action_ids(name, len(command.actions)):
                self.known[action_id] = CommandResult(action_id, Status.RECEIVED)
            if not self.is_held:
                self.finalise(command)
        return Submission(name, Receipt(0, name, self.time_ms, b"\x01" * 64))

    @contextmanager
    def open_order_stream(self, push: Callable[[bytes], None]) -> Iterator["DictOrderStream"]:
        yield DictOrderStream(self, push)

    def finalise(self, command: Command) -> None:
        """One block with each action of this command."""
        name = command_id(command, self.domain.domain_separator)
        for action, action_id in zip(command.actions, compute_action_ids(name, len(command.actions))):
            self._finalise_action(command, action, action_id)

    def _finalise_action(self, command: Command, action: Action, name: bytes) -> None:
        self.height += 1
        before = {market: self._levels(market) for market in range(len(self.domain.markets))}
        result, fills, orders = self._execute(
            command, action, CommandResult(name, Status.CERTIFIED, height=self.height)
        )
        self.known[name] = replace(result, time_ms=self.time_ms)
        trades = tuple(
            TradeView(f.fill.trade_id, f.fill.market, f.fill.side, f.fill.price_ticks, f.fill.size_lots, self.height,
                      self.time_ms) for f in fills if not f.fill.is_maker
        )  # fmt: skip
        self.past_trades[:0] = trades
        self.past_fills[:0] = fills
        changes = {}
        for market, old in before.items():
            new = self._levels(market)
            changed = {key: new.get(key, 0) for key in {**old, **new} if old.get(key, 0) != new.get(key, 0)}
            changes[market] = tuple(LevelChange(side, price, lots) for (side, price), lots in changed.items())
        event = BlockEvent(
            self.height, keccak(self.height.to_bytes(8, "big")), ZERO_HASH, self.time_ms, 1, len(trades),
            tuple(sorted({trade.market for trade in trades})),
            trades_of=lambda market: [trade for trade in trades if trade.market == market],
            fills_of=lambda owner: [entry for entry in fills if entry.owner == owner],
            orders_of=lambda owner: [order for order in orders if order.owner == owner],
            results_of=lambda owner: [self.known[name]] if owner == command.owner else [],
            book_changes={market: changes[market] for market in self.watched},
        )  # fmt: skip
        for subscriber in list(self._subscribers):
            try:
                subscriber.send_nowait(event)
            except trio.WouldBlock:
                subscriber.close()
                self._subscribers.remove(subscriber)
        self._finalised.set()
        self._finalised = trio.Event()

    @property
    def time_ms(self) -> int:
        return 1_700_000_000_000 + self.height * 200

    def _levels(self, market: int) -> dict[tuple[int, int], int]:
        levels: dict[tuple[int, int], int] = {}
        for order in self.live.values():
            if order.market == market:
                key = (order.side, order.price_ticks)
                levels[key] = levels.get(key, 0) + order.remaining_lots
        return levels

    def _execute(
        self, command: Command, action: Action, result: CommandResult
    ) -> tuple[CommandResult, list[AccountFill], list[OrderView]]:
        if action.kind == PLACE:
            return self._place(command, action, result)
        if action.kind in (CANCEL, CANCEL_ALL):
            return self._cancel(command, action, result)
        if action.kind == WITHDRAW:
            if self.balances.get((command.owner, command.subaccount), 0) < action.size_lots:
                return replace(result, code=Code.INSUFFICIENT_BALANCE), [], []
            self.balances[command.owner, command.subaccount] -= action.size_lots
            index = len(self.payouts)
            self.payouts.append(
                WithdrawalView(index, command.owner, command.subaccount, action.size_lots, self.height, self.time_ms,
                               Status.CERTIFIED)
            )  # fmt: skip
            return replace(result, withdrawal_index=index), [], []
        return replace(result, code=Code.MALFORMED), [], []

    def _place(
        self, command: Command, action: Action, result: CommandResult
    ) -> tuple[CommandResult, list[AccountFill], list[OrderView]]:
        order_id = self.height
        matches = [
            order for order in self.live.values()
            if order.market == action.market and order.side != action.side
            and (order.price_ticks <= action.price_ticks if action.side == BUY
                 else order.price_ticks >= action.price_ticks)
        ]  # fmt: skip
        if matches and action.time_in_force == POST_ONLY:
            return replace(result, code=Code.WOULD_CROSS), [], []
        matches.sort(key=lambda order: order.price_ticks if action.side == BUY else -order.price_ticks)
        remaining, value = action.size_lots, 0
        fills: list[AccountFill] = []
        orders: list[OrderView] = []
        for maker in matches:
            lots = min(remaining, maker.remaining_lots)
            if lots == 0:
                break
            remaining -= lots
            value += lots * maker.price_ticks * self.domain.markets[action.market].quote_per_tick_lot
            taker_fill = FillView(
                len(self.past_fills) + len(fills) + 1, action.market, order_id, action.client_id, maker.order_id,
                action.side, False, maker.price_ticks, lots, 5, self.height, self.time_ms,
            )  # fmt: skip
            maker_fill = replace(
                taker_fill, order_id=maker.order_id, client_id=maker.client_id, counterparty_order_id=order_id,
                side=maker.side, is_maker=True, fee_quote=2,
            )  # fmt: skip
            fills.append(AccountFill(command.owner, command.subaccount, taker_fill))
            fills.append(AccountFill(maker.owner, maker.subaccount, maker_fill))
            left = maker.remaining_lots - lots
            orders.append(self._store(replace(
                maker, remaining_lots=left, state=OrderState.OPEN if left else OrderState.FILLED,
                filled_value_quote=maker.filled_value_quote + lots * maker.price_ticks * 100, updated_ms=self.time_ms,
            )))  # fmt: skip
        is_done = action.time_in_force == IMMEDIATE_OR_CANCEL
        state = OrderState.FILLED if not remaining else OrderState.CANCELLED if is_done else OrderState.OPEN
        order = OrderView(
            order_id, action.client_id, command.owner, command.subaccount, action.market, action.side,
            action.time_in_force, state, action.price_ticks, action.size_lots, remaining, value, self.time_ms,
            self.time_ms,
        )  # fmt: skip
        orders.append(self._store(order))
        own = tuple(entry.fill for entry in fills if not entry.fill.is_maker)
        done = replace(
            result, order_state=state, order_id=order_id, filled_lots=action.size_lots - remaining,
            remaining_lots=remaining, filled_value_quote=value, fills=own,
        )  # fmt: skip
        return done, fills, orders

    def _store(self, order: OrderView) -> OrderView:
        key = (order.market, order.order_id)
        if order.state == OrderState.OPEN:
            self.live[key] = order
        else:
            self.live.pop(key, None)
            self.gone[key] = order
        return order

    def _cancel(
        self, command: Command, action: Action, result: CommandResult
    ) -> tuple[CommandResult, list[AccountFill], list[OrderView]]:
        hits = [
            order for order in self.open_orders(command.owner, command.subaccount)
            if action.market in (order.market, ALL_MARKETS)
            and (action.kind == CANCEL_ALL or action.order_id == order.order_id
                 or (action.client_id and action.client_id == order.client_id))
        ]  # fmt: skip
        if action.kind == CANCEL and not hits:
            return replace(result, code=Code.UNKNOWN_ORDER), [], []
        orders = [self._store(replace(order, state=OrderState.CANCELLED)) for order in hits]
        return replace(result, cancelled_count=len(hits)), [], orders

    async def wait_result(self, command_id: bytes, timeout_s: float) -> CommandResult | None:
        with trio.move_on_after(timeout_s):
            while self.known[command_id].status != Status.CERTIFIED:
                await self._finalised.wait()
            return self.known[command_id]
        return None

    def command_status(self, command_id: bytes) -> CommandResult | None:
        return self.known.get(command_id)

    async def find_command(self, command_id: bytes, patience_s: float = 0.0) -> CommandResult | None:
        return self.known.get(command_id)

    async def find_by_nonce(self, owner: bytes, subaccount: int, nonce: int) -> Sequence[CommandResult]:
        return self.account_data.commands_by_nonce(owner, subaccount, nonce)

    async def find_by_label(self, owner: bytes, subaccount: int, client_id: int) -> Sequence[CommandResult]:
        return self.account_data.commands_by_label(owner, subaccount, client_id)

    def receipt(self, command_id: bytes) -> Receipt | None:
        return Receipt(0, command_id, self.time_ms, b"\x01" * 64) if command_id in self.known else None

    def account(self, owner: bytes, subaccount: int) -> AccountView | None:
        balance = self.balances.get((owner, subaccount))
        if balance is None:
            return None
        index = list(self.balances).index((owner, subaccount))
        sizes: dict[int, int] = {}
        for entry in self.past_fills:
            if (entry.owner, entry.subaccount) == (owner, subaccount):
                lots = entry.fill.size_lots if entry.fill.side == BUY else -entry.fill.size_lots
                sizes[entry.fill.market] = sizes.get(entry.fill.market, 0) + lots
        positions = tuple(PositionView(at, lots, 1000, 1000, lots * 100_000, 1, 1) for at, lots in sizes.items())
        count = len(self.open_orders(owner, subaccount))
        return AccountView(index, owner, subaccount, self.height, balance, balance, 2, 1, balance - 2, count, positions)

    def open_orders(self, owner: bytes, subaccount: int) -> list[OrderView]:
        return [o for o in self.live.values() if (o.owner, o.subaccount) == (owner, subaccount)]

    def order(self, market: int, order_id: int) -> OrderView | None:
        return self.live.get((market, order_id)) or self.gone.get((market, order_id))

    def book(self, market: int, depth: int) -> BookView:
        levels = self._levels(market)
        bids = sorted(((price, lots) for (side, price), lots in levels.items() if side == BUY), reverse=True)
        asks = sorted((price, lots) for (side, price), lots in levels.items() if side == SELL)
        return BookView(market, self.height, self.time_ms, tuple(bids[:depth]), tuple(asks[:depth]))

    def watch_book(self, market: int) -> None:
        self.watched.append(market)

    def forget_book(self, market: int) -> None:
        self.watched.remove(market)

    def ticker(self, market: int) -> TickerView:
        book = self.book(market, 1)
        bid, ask = (book.bids or ((0, 0),))[0], (book.asks or ((0, 0),))[0]
        last = next((trade.price_ticks for trade in self.past_trades if trade.market == market), 0)
        view = TickerView(
            market, self.height, self.time_ms, 640_000, 640_001, last, *bid, *ask, 7, 9, 5_000_000, 640_002, 1, -12_345
        )
        return self.market_data.with_option(view)

    def trades(self, market: int, count: int) -> list[TradeView]:
        return [trade for trade in self.past_trades if trade.market == market][:count]

    def user_trades(self, owner: bytes, subaccount: int, count: int) -> list[FillView]:
        return [f.fill for f in self.past_fills if (f.owner, f.subaccount) == (owner, subaccount)][:count]

    async def account_proof(self, owner: bytes, subaccount: int, height: int | None = None) -> AccountProof | None:
        if (owner, subaccount) not in self.balances or height not in (None, self.height):
            return None
        index = list(self.balances).index((owner, subaccount))
        levels, claims = build_tree(self.balances)
        siblings = tuple(levels[level].get(index >> level ^ 1, empty_node(level)) for level in range(TREE_DEPTH))
        root_hash, total, debt = levels[TREE_DEPTH][0]
        sums = total.to_bytes(16, "big") + debt.to_bytes(16, "big")
        finalised = self._finalise_header(root_hash, sums)
        return AccountProof(
            index, owner, subaccount, claims[index], 0, b"holdings", keccak(b"aux"), siblings, finalised
        )

    def make_finalised(self, height: int) -> FinalisedHeader:
        """Some header of a height, and a certificate of it."""
        commitment = Commitment(ZERO_HASH, 0, ZERO_HASH, 0, ZERO_HASH, ZERO_HASH, ZERO_HASH, ZERO_HASH, 0, 1).encode()
        header = Header(1, height + 1, height, ZERO_HASH, height, 0, self.time_ms, ZERO_HASH, ZERO_HASH, commitment)
        return FinalisedHeader(header, Certificate(FINALIZE, 1, height + 1, header.hash(), b"\x07", b"\x02" * 96))

    def _finalise_header(self, account_root: bytes, account_sums: bytes) -> FinalisedHeader:
        commitment = Commitment(
            ZERO_HASH, 0, ZERO_HASH, 0, ZERO_HASH, account_root, account_sums, ZERO_HASH, 0, 1
        ).encode()
        header = Header(
            1, self.height + 1, self.height, ZERO_HASH, self.height, 0, self.time_ms, ZERO_HASH, ZERO_HASH, commitment
        )
        certificate = Certificate(FINALIZE, 1, self.height + 1, header.hash(), b"\x07", b"\x02" * 96)
        return FinalisedHeader(header, certificate)

    async def withdrawal_proof(self, index: int, height: int | None) -> WithdrawalProof | None:
        if index >= len(self.payouts):
            return None
        view = self.payouts[index]
        finalised = self._finalise_header(ZERO_HASH, ZERO_HASH)
        return WithdrawalProof(index, view.owner, TOKEN, view.amount_quote, (ZERO_HASH,) * 32, finalised)

    def withdrawals(self, owner: bytes) -> list[WithdrawalView]:
        return [view for view in self.payouts if view.owner == owner]

    def inbox(self, owner: bytes, count: int) -> list[InboxView]:
        waiting = InboxView(8, 4, owner, 0, TOKEN, 5, bytes(32), 1_700_000_000, 0, 0, Code.OK, 0)
        return [waiting, replace(waiting, index=7, height=3, time_ms=9, code=Code.INSUFFICIENT_BALANCE)][:count]

    def certificate(self, height: int | None) -> FinalisedHeader | None:
        return self._finalise_header(ZERO_HASH, ZERO_HASH) if height in (None, self.height) else None

    def evidence(self) -> list[EvidenceView]:
        return [EvidenceView(b"k" * 32, b"\x82\x05", 3, 1, 9, (1, 2), True, b"t" * 32)]

    def claims(self) -> list[ClaimsView]:
        return [
            ClaimsView(root, height, bytes([height]) * 32, path.stat().st_size)
            for height, (root, path) in sorted(enumerate(self.claims_files.items(), 1), reverse=True)
        ]

    def claims_path(self, account_root: bytes) -> Path | None:
        return self.claims_files.get(account_root)

    def withdrawals_path(self) -> Path | None:
        return self.claims_files.get(b"withdrawals")

    def uptime(self) -> UptimeView:
        return UptimeView(11, 20, 8, (8, 6, 0, 7))

    def counters(self) -> NodeCounters:
        links = (LinkCounters(1, 10, 20, 1000, 2000, 15),)
        return NodeCounters(self.time_ms, 5_000, self.height, {0: 40, 103: 2}, {31: 6, 250: 1}, links)

    def status(self) -> NodeStatus:
        return NodeStatus(
            self.height,
            self.height + 1,
            1,
            self.time_ms,
            3,
            4,
            False,
            False,
            120,
            180,
            42,
            ZERO_HASH,
            0,
            0,
            "test",
            onchain_posted_height=self.posted_height,
        )

    @asynccontextmanager
    async def subscribe(self) -> AsyncIterator[trio.MemoryReceiveChannel[BlockEvent]]:
        sender, receiver = trio.open_memory_channel[BlockEvent](256)
        self._subscribers.append(sender)
        try:
            yield receiver
        finally:
            if sender in self._subscribers:
                self._subscribers.remove(sender)


def empty_node(level: int) -> tuple[bytes, int, int]:
    """The root of an empty subtree."""
    node = ZERO_HASH
    for _ in range(level):
        node = keccak(node + bytes(32) + node + bytes(32))
    return node, 0, 0


def build_tree(balances: dict[tuple[bytes, int], int]) -> tuple[list[dict[int, tuple[bytes, int, int]]], list[int]]:
    """All nodes by level, and each account's claim."""
    digest = keccak(b"holdings" + keccak(b"aux"))
    nodes: dict[int, tuple[bytes, int, int]] = {}
    for index, ((owner, subaccount), claims) in enumerate(balances.items()):
        words = [1, index, int.from_bytes(owner, "big"), subaccount, claims << 128]
        leaf = keccak(b"".join(word.to_bytes(32, "big") for word in words) + digest)
        nodes[index] = (leaf, claims, 0)
    levels = [nodes]
    for level in range(TREE_DEPTH):
        parents = {}
        for parent in {index >> 1 for index in levels[level]}:
            left, right = (levels[level].get(2 * parent + bit, empty_node(level)) for bit in (0, 1))
            packed = b"".join(n[0] + n[1].to_bytes(16, "big") + n[2].to_bytes(16, "big") for n in (left, right))
            parents[parent] = (keccak(packed), left[1] + right[1], left[2] + right[2])
        levels.append(parents)
    return levels, list(balances.values())


def test_the_dictionary_exchange_is_a_backend() -> None:
    backend: Backend = DictBackend()
    assert backend.status().height == 0
