"""What the node gives its API (`net.gateway.backend.Backend`): reads from the last finalised state, commands into the
next batch.
"""

from collections import OrderedDict
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import AbstractAsyncContextManager, contextmanager
from pathlib import Path

import trio

from consensus.messages import Commitment
from engine import tree, views
from engine.commands import Command, is_well_formed
from engine.results import Code
from engine.state import EngineState
from net.feed.facts import NodeFacts
from net.feed.questions import BY_ID, BY_LABEL, BY_NONCE, Question
from net.gateway.account_data import AccountData
from net.gateway.backend import (
    AccountProof,
    AccountView,
    BlockEvent,
    BookView,
    ClaimsView,
    CommandResult,
    EvidenceView,
    FillView,
    FinalisedHeader,
    InboxView,
    NetworkInfo,
    NodeCounters,
    NodeStatus,
    OrderStream,
    OrderView,
    Receipt,
    Refusal,
    Status,
    Ticket,
    UptimeView,
    WithdrawalProof,
    WithdrawalView,
)
from net.gateway.explorer import Explorer
from net.gateway.market_data import MarketData, TickerView, TradeView
from validator.account_data import NodeAccountData, is_unspent
from validator.answers import show_answer, show_waiting
from validator.book_levels import list_side
from validator.claims import ClaimsShelf, list_tokens
from validator.evidence_report import show_evidence
from validator.executor import Executed, Executor
from validator.explorer import NodeExplorer
from validator.inbox import Inbox
from validator.ingress import Entry, Intake, refuse_unseen
from validator.ledger import Ledger
from validator.market_data import NodeMarketData
from validator.order_stream import NodeOrderStream
from validator.outcomes import OutcomeBook, Push
from validator.pending import Pending, rows_of_id
from validator.prechecks import account_key
from validator.roster import Roster
from validator.sealing import NO_ORIGIN
from validator.shown import show_fill, show_trade
from validator.store import FinalBlock, Store
from validator.submitter import CHECKPOINT_HEIGHTS_STEP
from validator.tickets import NodeTicket, ReceiptBook
from validator.uptime import Uptime
from validator.watcher import OnChain

# Some seconds of blocks: a checkpoint's height is known only once it is on the settlement chain.
PROOF_STATES_MAX = 24
PROOF_NEWEST = 4
CHECKPOINT_STATES_MAX = 4
FINAL = (Status.CERTIFIED, Status.ON_CHAIN)
# How long a block that the node has is waited for here.
LAG_S_MAX = 5.0
Ask = Callable[[Question], Awaitable[Sequence[CommandResult] | None]]


class Service:
    """Implements `Backend`. Runs in the node's trio loop, so every read sees one whole block."""

    def __init__(
        self,
        info: NetworkInfo,
        *,
        executor: Executor,
        ledger: Ledger,
        store: Store,
        on_chain: OnChain,
        claims: ClaimsShelf,
        inbox: Inbox,
        uptime: Uptime,
        roster: Roster,
        ingress: Intake,
        facts: Callable[[], NodeFacts],
        counters: Callable[[], NodeCounters],
        pending: Pending | None = None,
        ask: Ask | None = None,
    ) -> None:
        """`facts()`, `counters()`: what the node knows beside its blocks, as of now. `pending`: of a process that takes
        part in agreement, what is not final yet; `ask`: of another, the way to ask that one.
        """
        self._ask = ask
        self.domain = info
        self._executor = executor
        self._ledger = ledger
        self._store = store
        self._on_chain = on_chain
        self._claims = claims
        self._inbox = inbox
        self._uptime = uptime
        self._roster = roster
        self._ingress = ingress
        self._facts = facts
        self._pending = pending
        self._counters = counters
        self.market_data: MarketData = NodeMarketData(executor, ledger, store)
        self.explorer: Explorer = NodeExplorer(ledger, store, roster, on_chain)
        self._accounts = NodeAccountData(executor, ledger, store, lambda: on_chain.height, pending)
        self.account_data: AccountData = self._accounts
        self.outcomes = OutcomeBook(self.command_status)
        self._receipts = ReceiptBook(self.domain.node_index)
        self._last_origin = NO_ORIGIN
        self._proof_states: OrderedDict[int, Executed] = OrderedDict()
        self._checkpoint_states: OrderedDict[int, Executed] = OrderedDict()

    def keep_for_proofs(self, executed: Executed) -> None:
        """Remember states of heights with a certificate of their own, so that accounts can be proven: of the last few,
        and before them of those that may be a checkpoint.
        """
        self._proof_states[executed.height] = executed
        heights = list(self._proof_states)
        if len(heights) > PROOF_NEWEST and heights[-1 - PROOF_NEWEST] % CHECKPOINT_HEIGHTS_STEP:
            del self._proof_states[heights[-1 - PROOF_NEWEST]]
        while len(self._proof_states) > PROOF_STATES_MAX:
            self._proof_states.popitem(last=False)

    def keep_checkpoint(self, height: int) -> None:
        """Remember the state of a height that is on the settlement chain for longer."""
        if height in self._proof_states:
            self._checkpoint_states[height] = self._proof_states[height]
        while len(self._checkpoint_states) > CHECKPOINT_STATES_MAX:
            self._checkpoint_states.popitem(last=False)

    # commands

    def submit(self, command: Command) -> Ticket:
        """See `Backend.submit`."""
        ticket = NodeTicket(self._receipts)
        if is_well_formed(command):
            self._ingress.put(Entry(command.encode(), NO_ORIGIN, is_frame=False, deliver=ticket.deliver))
        else:
            ticket.deliver(refuse_unseen(Code.MALFORMED))
        return ticket

    @contextmanager
    def open_order_stream(self, push: Push) -> Iterator[OrderStream]:
        """See `Backend.open_order_stream`."""
        self._last_origin += 1
        origin = self._last_origin
        try:
            yield NodeOrderStream(origin, push, self._ingress, self.outcomes, self.command_status)
        finally:
            self.outcomes.forget(origin)

    async def wait_result(self, command_id: bytes, timeout_s: float) -> CommandResult | None:
        taken_ms = self._ingress.received_ms(command_id)
        is_new = taken_ms is not None and self._ledger.remembers_since(taken_ms)
        return await self._ledger.wait(command_id, timeout_s, self._on_chain.height, is_new)

    def command_status(self, command_id: bytes) -> CommandResult | None:
        known = self._ledger.result(command_id, self._on_chain.height)
        if known is not None:
            return known
        waiting = self._pending.find(rows_of_id(command_id)) if self._pending is not None else []
        if waiting:
            return waiting[0]
        return CommandResult(command_id, Status.RECEIVED) if self._ingress.has_taken_action(command_id) else None

    async def find_command(self, command_id: bytes, patience_s: float = 0.0) -> CommandResult | None:
        """See `Backend.find_command`."""
        known = self.command_status(command_id)
        if self._ask is None or (known is not None and known.status in FINAL):
            return known
        told = await self._ask(Question(0, BY_ID, command_id))
        first = told[0] if told else None
        is_final_there = first is not None and first.status in FINAL
        wait_s = LAG_S_MAX if is_final_there else patience_s if told is None else 0.0
        known = (await self.wait_result(command_id, wait_s) if wait_s else None) or known
        return known if first is None or (known is not None and known.status in FINAL) else first

    async def find_by_nonce(self, owner: bytes, subaccount: int, nonce: int) -> Sequence[CommandResult]:
        """See `Backend.find_by_nonce`."""
        known = self._accounts.commands_by_nonce(owner, subaccount, nonce)
        if self._ask is None or any(not is_unspent(result) for result in known):
            return known
        return await self._ask(Question(0, BY_NONCE, bytes(32), owner, subaccount, nonce)) or known

    async def find_by_label(self, owner: bytes, subaccount: int, client_id: int) -> Sequence[CommandResult]:
        """See `Backend.find_by_label`."""
        known = self._accounts.commands_by_label(owner, subaccount, client_id)
        if self._ask is None:
            return known
        told = await self._ask(Question(0, BY_LABEL, bytes(32), owner, subaccount, client_id)) or ()
        ids = {result.command_id for result in known}
        return [*(item for item in told if item.status not in FINAL and item.command_id not in ids), *known]

    def look_up(self, question: Question) -> Sequence[CommandResult]:
        """What this process knows, for the one that serves the API."""
        if question.kind == BY_ID:
            known = self.command_status(question.action_id)
            return () if known is None else (known,)
        find = self._accounts.commands_by_nonce if question.kind == BY_NONCE else self._accounts.commands_by_label
        return find(question.owner, question.subaccount, question.number)

    def receipt(self, command_id: bytes) -> Receipt | None:
        """See `Backend.receipt`."""
        return self._receipts.get(command_id)

    # accounts

    def account(self, owner: bytes, subaccount: int) -> AccountView | None:
        """See `Backend.account`."""
        return self._accounts.account(owner, subaccount)

    def open_orders(self, owner: bytes, subaccount: int) -> Sequence[OrderView]:
        return self._ledger.orders.open_of(owner, subaccount)

    def order(self, market: int, order_id: int) -> OrderView | None:
        order = self._ledger.orders.get(order_id)
        return order if order is not None and order.market == market else None

    def user_trades(self, owner: bytes, subaccount: int, count: int) -> Sequence[FillView]:
        index = views.find_account(self._executor.final.state, owner, subaccount)
        if index is None:
            return []
        trades = self._ledger.history.fills_of_account(index, count)
        return [show_fill(trade, int(trade.row["maker_account"]) == index) for trade in trades]

    # markets

    def book(self, market: int, depth: int) -> BookView:
        final = self._executor.final
        bids, asks = (
            tuple(zip(*(column.tolist() for column in list_side(final.state, market, side, depth)))) for side in (0, 1)
        )
        return BookView(market, final.height, final.time_ms, bids, asks)

    def watch_book(self, market: int) -> None:
        """See `Backend.watch_book`."""
        self._ledger.watch_book(market)

    def forget_book(self, market: int) -> None:
        """See `Backend.forget_book`."""
        self._ledger.forget_book(market)

    def ticker(self, market: int) -> TickerView:
        return self.market_data.ticker(market)

    def trades(self, market: int, count: int) -> Sequence[TradeView]:
        return [show_trade(trade) for trade in self._ledger.history.fills_of_market(market, count)]

    # proofs

    async def account_proof(self, owner: bytes, subaccount: int, height: int | None = None) -> AccountProof | None:
        """At the highest height that is remembered, or final, with a certificate of its own, or exactly at `height`."""
        executed, final = self._proven_state(height)
        if executed is None or final is None:
            return None
        index = views.find_account(executed.state, owner, subaccount)
        if index is None:
            return None
        # Here and now: a copy of the exchange may execute the next block in the tables of its last state.
        proof = tree.account_proof(executed.state, index)
        siblings = tuple(
            (hash_, int.from_bytes(sums[:16], "big"), int.from_bytes(sums[16:], "big"))
            for hash_, sums in zip(proof.sibling_hashes, proof.sibling_sums)
        )
        return AccountProof(
            index=index, owner=owner, subaccount=subaccount, claims=proof.claim_quote, debt=proof.debt_quote,
            holdings=proof.holdings, aux_hash=proof.aux_digest, siblings=siblings,
            finalised=FinalisedHeader(final.block.header, final.certificate),
        )  # fmt: skip

    def _proven_state(self, height: int | None) -> tuple[Executed | None, FinalBlock | None]:
        newest = self._executor.final
        heights = [height] if height is not None else [newest.height, *sorted(self._proof_states, reverse=True)]
        for candidate in heights:
            executed = self._proof_states.get(candidate) or self._checkpoint_states.get(candidate)
            if executed is None and candidate == newest.height:
                executed = newest
            final = self._store.final(candidate)
            if executed is not None and final is not None and final.is_direct:
                return executed, final
        return None, None

    async def withdrawal_proof(self, index: int, height: int | None) -> WithdrawalProof | None:
        row = self._store.withdrawal(index) if 0 <= index < 1 << 32 else None
        if row is None:
            return None
        final = self._store.final(self._on_chain.height if height is None else height)
        if height is None and (final is None or not final.is_direct or row[1] > self._on_chain.height):
            final = self._store.newest_direct()
        if final is None or row[1] > final.block.header.height:
            return None
        state, rows = self._executor.final.state, self._store.withdrawals(final.block.header.height)
        if rows[0][0] != 0:
            return None  # this node started from a snapshot and lacks the first leaves: another node has them
        tokens = list_tokens(state)

        def compute() -> list[bytes]:
            return tree.withdrawal_proof(
                [tree.withdrawal_leaf(item[0], item[4], tokens[item[6]], item[5]) for item in rows], index
            )

        siblings = await trio.to_thread.run_sync(compute)
        return WithdrawalProof(
            index=index, owner=row[4], token=tokens[row[6]], amount_quote=row[5], siblings=tuple(siblings),
            finalised=FinalisedHeader(final.block.header, final.certificate),
        )  # fmt: skip

    def withdrawals(self, owner: bytes) -> Sequence[WithdrawalView]:
        state = self._executor.final.state
        found = []
        for index, height, time_ms, account, row_owner, amount_quote, asset in self._store.withdrawals_of(owner):
            # A deposit that found no room was paid straight back and belongs to no account.
            subaccount = account_key(state, account)[1] if account >= 0 else 0
            found.append(
                WithdrawalView(
                    index=index, owner=row_owner, subaccount=subaccount, amount_quote=amount_quote, height=height,
                    time_ms=time_ms, status=Status.ON_CHAIN if height <= self._on_chain.height else Status.CERTIFIED,
                    asset=asset,
                )
            )  # fmt: skip
        return found

    def inbox(self, owner: bytes, count: int) -> Sequence[InboxView]:
        """See `Backend.inbox`."""
        waiting = self._inbox.slice(self._executor.final.state.inbox_cursor, self._inbox.count)
        answered = [show_answer(row) for row in self._store.answers_of(owner, count)]
        return show_waiting(waiting, owner)[::-1] + answered

    def certificate(self, height: int | None) -> FinalisedHeader | None:
        """The header and the certificate that covers it; for a height without one of its own, a later one's."""
        head_height = self._executor.final.height
        final = self._store.newest_direct(head_height) if height is None else self._store.final(height)
        return None if final is None else FinalisedHeader(final.block.header, final.certificate)

    # claims files

    def proven(self, height: int) -> tuple[EngineState, FinalBlock] | None:
        """The state of a height, if it is remembered and has a certificate of its own."""
        executed, final = self._proven_state(height)
        return None if executed is None or final is None else (executed.state, final)

    def claims(self) -> Sequence[ClaimsView]:
        """See `Backend.claims`."""
        return self._claims.views()

    def claims_path(self, account_root: bytes) -> Path | None:
        """See `Backend.claims_path`."""
        return self._claims.path(account_root)

    def withdrawals_path(self) -> Path | None:
        """See `Backend.withdrawals_path`."""
        return self._claims.withdrawals.path()

    # the committee

    def evidence(self) -> Sequence[EvidenceView]:
        """See `Backend.evidence`."""
        return [show_evidence(row, self._roster.count) for row in self._store.evidence()]

    def uptime(self) -> UptimeView:
        first_height, last_height = self._uptime.heights
        return UptimeView(first_height, last_height, self._uptime.block_count, tuple(self._uptime.signed_counts))

    # the node

    def status(self) -> NodeStatus:
        final, facts = self._executor.final, self._facts()
        head = self._store.final(final.height)
        root = bytes(32) if head is None else Commitment.decode(head.block.header.commitment).account_root
        return NodeStatus(
            height=final.height, view=facts.view, epoch=facts.epoch, time_ms=final.time_ms,
            peer_count=facts.peer_count, validator_count=self._roster.count(facts.epoch), is_syncing=facts.is_syncing,
            is_halted=facts.refusal == Refusal.HALTED, finality_p50_ms=facts.finality_p50_ms,
            finality_p99_ms=facts.finality_p99_ms, commands_per_s=facts.commands_per_s,
            account_root=root, onchain_height=self._on_chain.height, onchain_block=self._on_chain.block,
            version="0.1.0", endpoints=self._on_chain.endpoints,
            onchain_posted_height=self._on_chain.posted_height, earliest_height=self._store.earliest_height(),
        )  # fmt: skip

    def counters(self) -> NodeCounters:
        """See `Backend.counters`."""
        return self._counters()

    def subscribe(self) -> AbstractAsyncContextManager[trio.MemoryReceiveChannel[BlockEvent]]:
        return self._ledger.subscribe()
