"""What a node gives its API: plain records and one protocol, `Backend`, that `validator` implements.

Everything is an integer in the engine's own units (ticks, lots, quote units, milliseconds) or bytes; decimal text and
instrument names exist only in the gateway. A method without `async` answers at once from memory and never waits. No
method raises for anything a client may ask: what does not exist is `None` or empty.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, AbstractContextManager
from dataclasses import dataclass, field
from enum import IntEnum, StrEnum
from pathlib import Path
from typing import Any, Protocol

import trio

from consensus.messages import Certificate, Header
from engine.commands import Command, compute_domain_separator
from engine.params import MarketParams
from engine.results import Code, OrderState
from net.gateway.account_data import AccountData
from net.gateway.explorer import Explorer
from net.gateway.market_data import MarketData, TickerView, TradeView
from net.order_frames import Orders

# Size of a trigger that closes whatever the position will be when it fires.
WHOLE_POSITION_LOTS = 1 << 62


@dataclass(frozen=True, slots=True)
class NetworkInfo:
    """The constants of one network as one of its nodes serves it."""

    chain_id: int
    contract: bytes  # settlement contract, 20 bytes
    network_id: bytes  # `domain` of docs/protocol.md, section 1
    node_index: int  # committee index of this node; -1 for an observer
    token: bytes  # settlement token, 20 bytes
    markets: tuple[MarketParams, ...]  # of genesis; market number = position
    is_testnet: bool = True
    node_key: bytes = bytes(32)  # the node's network key (ed25519), which signs receipts

    @property
    def domain_separator(self) -> bytes:
        """EIP-712 domain separator of every command."""
        return compute_domain_separator(self.chain_id, self.contract)


class Refusal(IntEnum):
    """Why this node did not take a command although the command itself may be good."""

    SYNCING = 1  # behind the head: cannot judge, cannot include
    NO_QUORUM = 2  # no block was finalised for too long
    QUEUE_FULL = 3  # this node's batch queue
    HALTED = 4  # frozen: the escape hatch is open


class Status(StrEnum):
    """How far a command has come. Each step implies the ones before it; from `CERTIFIED` on nothing can undo it."""

    RECEIVED = "received"  # in this node's queue
    INCLUDED = "included"  # in a proposed block
    EXECUTED = "executed"  # in a notarised block, result known, not final
    CERTIFIED = "certified"  # the block has a finalisation certificate
    ON_CHAIN = "on_chain"  # a checkpoint at or above it is on the settlement chain


@dataclass(frozen=True, slots=True)
class Receipt:
    """The node's promise to put the command into its next batch. `signature` is its network key's (ed25519) over
    `"hansa/receipt/v1" ‖ network_id ‖ command_id ‖ received_ms (8 B BE)`."""

    node_index: int
    command_id: bytes
    received_ms: int
    signature: bytes


@dataclass(frozen=True, slots=True)
class Submission:
    """Answer to `submit`. Exactly one of three: a receipt (queued), a `code` other than OK (refused by the rules as
    judged against the head state, not queued) or a `refusal` (not now, not here, not queued).
    """

    command_id: bytes
    receipt: Receipt | None = None
    code: Code = Code.OK
    refusal: Refusal | None = None


@dataclass(frozen=True, slots=True)
class FillView:
    """One side of one trade, as its account sees it."""

    trade_id: int  # unique on the network; both sides carry the same
    market: int
    order_id: int
    client_id: int
    counterparty_order_id: int
    side: int
    is_maker: bool
    price_ticks: int
    size_lots: int
    fee_quote: int  # negative: rebate
    height: int
    time_ms: int
    is_liquidation: bool = False


@dataclass(frozen=True, slots=True)
class CommandResult:
    """What is known of one command. Before `EXECUTED` only `command_id`, `status` and the `height` of the block that
    includes it mean anything.
    """

    command_id: bytes
    status: Status
    code: Code = Code.OK
    order_state: OrderState = OrderState.NONE
    order_id: int = 0
    filled_lots: int = 0
    remaining_lots: int = 0
    filled_value_quote: int = 0
    height: int = 0
    time_ms: int = 0
    fills: tuple[FillView, ...] = ()
    cancelled_count: int = 0  # orders that a cancel or cancel_all took off the book
    withdrawal_index: int | None = None


@dataclass(frozen=True, slots=True)
class OrderView:
    """One order at head, or as it was when it left the book."""

    order_id: int
    client_id: int
    owner: bytes
    subaccount: int
    market: int
    side: int
    time_in_force: int
    state: OrderState
    price_ticks: int
    size_lots: int
    remaining_lots: int
    filled_value_quote: int
    created_ms: int
    updated_ms: int
    flags: int = 0
    display_lots: int = 0
    good_till_ms: int = 0
    trigger_ticks: int = 0  # above 0: it waits off the book, or did before it fired
    is_waiting: bool = False
    cancel_reason: int | None = None  # BY_... of `engine.tables`; None also for the rest of an order that never rested


@dataclass(frozen=True, slots=True)
class PositionView:
    """One position, valued at the mark."""

    market: int
    size_lots: int  # below zero: short
    mark_price_ticks: int
    index_price_ticks: int
    value_quote: int  # signed: size at mark
    initial_margin_quote: int
    maintenance_margin_quote: int
    delta_quote: int = 0  # what the position gains when the index rises by all of itself
    gamma_quote: int = 0
    vega_quote: int = 0
    theta_quote: int = 0
    liquidation_price_ticks: int = 0  # 0: none
    mark_value_quote: int = 0  # signed, exact mark; options too
    # Average cost of the lots held, signed, and what was realised since none were held; None: not known any more.
    entry_value_quote: int | None = None
    realized_quote: int | None = None


@dataclass(frozen=True, slots=True)
class AccountView:
    """One account at the last finalised block."""

    index: int
    owner: bytes
    subaccount: int
    height: int
    balance_quote: int
    equity_quote: int
    initial_margin_quote: int
    maintenance_margin_quote: int
    withdrawable_quote: int
    open_order_count: int
    positions: tuple[PositionView, ...]
    mode: int = 0  # 0 cross, 1 isolated, 2 portfolio
    delta_quote: int = 0
    vega_quote: int = 0


@dataclass(frozen=True, slots=True)
class BookView:
    """The best `depth` levels of each side, best first, as `(price_ticks, size_lots)`."""

    market: int
    height: int
    time_ms: int
    bids: tuple[tuple[int, int], ...]
    asks: tuple[tuple[int, int], ...]


@dataclass(frozen=True, slots=True)
class FinalisedHeader:
    """A header and the certificate that makes it final."""

    header: Header
    certificate: Certificate


@dataclass(frozen=True, slots=True)
class AccountProof:
    """Path of one leaf of the account tree to `finalised.header`'s account root (docs/protocol.md, section 4).

    `siblings` go from the leaf upwards, 20 of them, each `(hash, claims, debt)`.
    """

    index: int
    owner: bytes
    subaccount: int
    claims: int
    debt: int
    holdings: bytes
    aux_hash: bytes
    siblings: tuple[tuple[bytes, int, int], ...]
    finalised: FinalisedHeader


@dataclass(frozen=True, slots=True)
class WithdrawalProof:
    """Path of one leaf of the withdrawal tree; 32 `siblings` from the leaf upwards."""

    index: int
    owner: bytes
    token: bytes
    amount_quote: int
    siblings: tuple[bytes, ...]
    finalised: FinalisedHeader


@dataclass(frozen=True, slots=True)
class WithdrawalView:
    """One withdrawal. `status` is that of the block that holds it; `is_claimed` once the contract has paid it out."""

    index: int
    owner: bytes
    subaccount: int
    amount_quote: int
    height: int
    time_ms: int
    status: Status
    is_claimed: bool = False
    asset: int = 0


@dataclass(frozen=True, slots=True)
class LevelChange:
    """New total size at one price of one book; 0 lots: the level is gone."""

    side: int
    price_ticks: int
    size_lots: int


@dataclass(frozen=True, slots=True)
class AccountFill:
    """A fill and whose it is."""

    owner: bytes
    subaccount: int
    fill: FillView


def _tell_nothing(_: object) -> Sequence[Any]:
    return ()


@dataclass(frozen=True, slots=True)
class BlockEvent:
    """What one finalised block changed. Heights come in order and without gaps. What somebody is interested in is made
    when it is asked for, at any time later.
    """

    height: int
    header_hash: bytes
    state_root: bytes
    time_ms: int
    command_count: int = 0
    trade_count: int = 0
    traded_markets: Sequence[int] = ()  # ascending
    trades_of: Callable[[int], Sequence[TradeView]] = _tell_nothing  # of a market
    fills_of: Callable[[bytes], Sequence[AccountFill]] = _tell_nothing  # of an owner's accounts
    # Of an owner's accounts, every order that opened, changed or left the book, as it is after the block.
    orders_of: Callable[[bytes], Sequence[OrderView]] = _tell_nothing
    # Of an owner's accounts, what became of every action that the block carried.
    results_of: Callable[[bytes], Sequence[CommandResult]] = _tell_nothing
    book_changes: Mapping[int, tuple[LevelChange, ...]] = field(default_factory=dict)  # of watched markets


@dataclass(frozen=True, slots=True)
class EvidenceView:
    """A proven fault that this node keeps: `data` is the evidence in its wire form, `key` names its case in court."""

    key: bytes
    data: bytes
    offence: int  # 1 to 6
    epoch: int
    view: int
    culprits: tuple[int, ...]  # committee indices
    is_in_court: bool
    transaction_hash: bytes  # empty unless this node brought it there


@dataclass(frozen=True, slots=True)
class InboxView:
    """An entry of the settlement contract's inbox. `height` is that of the final block that consumed it, 0 before;
    `code` and `number` are its answer: docs/spec.md, FRC-6, of a deposit the account, -1 if it was paid straight back.
    """

    index: int
    kind: int
    owner: bytes
    subaccount: int
    token: bytes
    amount_units: int  # the token's units; lots of a close; quote units of a key's cap
    data: bytes
    entered_s: int
    height: int
    time_ms: int
    code: Code
    number: int


@dataclass(frozen=True, slots=True)
class ClaimsView:
    """A file that proves every account below `account_root`, of the certified header `header_hash`."""

    account_root: bytes
    height: int
    header_hash: bytes
    size_bytes: int


@dataclass(frozen=True, slots=True)
class UptimeView:
    """How many of the last `block_count` finalisation certificates each member signed."""

    first_height: int
    last_height: int
    block_count: int
    signed_counts: tuple[int, ...]  # by committee index


@dataclass(frozen=True, slots=True)
class EndpointStatus:
    """One RPC endpoint of the settlement chain, as this node sees it. `fault` says what is wrong with it."""

    name: str
    is_well: bool
    fault: str
    final_block: int


@dataclass(frozen=True, slots=True)
class NodeStatus:
    """The node in numbers."""

    height: int
    view: int
    epoch: int
    time_ms: int  # of the last finalised block
    peer_count: int
    validator_count: int
    is_syncing: bool
    is_halted: bool
    finality_p50_ms: int
    finality_p99_ms: int
    commands_per_s: int
    account_root: bytes  # of the last finalised block
    onchain_height: int  # of the last checkpoint seen on the settlement chain
    onchain_block: int
    version: str = ""
    endpoints: tuple[EndpointStatus, ...] = ()
    onchain_posted_height: int = 0  # of the last checkpoint in the chain's youngest blocks, which may yet go again
    earliest_height: int = 0  # of the first block that this node still has


@dataclass(frozen=True, slots=True)
class LinkCounters:
    """What went over the links to one member since the node started."""

    peer: int
    frames_in: int
    frames_out: int
    bytes_in: int
    bytes_out: int
    writes: int


@dataclass(frozen=True, slots=True)
class NodeCounters:
    """Totals since the node started: who reads them twice knows what happened in between."""

    time_ms: int  # when they were read, by the node's clock
    cpu_us: int  # of the node's process, all threads
    height: int
    actions_by_code: dict[int, int]
    blocks_by_finality_ms: dict[int, int]
    links: tuple[LinkCounters, ...]
    task_count: int = 0  # of the event loop, now
    # Blocks that came by a proposal, by step on the way to finality and the whole milliseconds since the proposal.
    blocks_by_step_ms: dict[str, dict[int, int]] = field(default_factory=dict)


class Ticket(Protocol):
    """A command that is being judged."""

    async def wait(self) -> Submission:
        """The verdict."""


class OrderStream(Protocol):
    """One connection for binary order entry (docs/protocol.md, section 8)."""

    async def submit(self, orders: Orders) -> None:
        """Judge and queue a frame's messages, behind all that came before. Waits while too much of this connection is
        unanswered, and after messages that nobody had signed. The answer is pushed.
        """


class Backend(Protocol):
    """The node, seen from its API."""

    domain: NetworkInfo
    market_data: MarketData
    account_data: AccountData
    explorer: Explorer

    def submit(self, command: Command) -> Ticket:
        """Take the command up, behind all that came before: judge it against the head state and queue it for this
        node's next batch.

        The same command again (same id) answers with its first receipt and queues nothing.
        """

    def open_order_stream(self, push: Callable[[bytes], None]) -> AbstractContextManager[OrderStream]:
        """Everything for the client goes through `push`, which never fails or waits."""

    async def wait_result(self, command_id: bytes, timeout_s: float) -> CommandResult | None:
        """The result once it is `CERTIFIED`; `None` after `timeout_s`."""

    def command_status(self, command_id: bytes) -> CommandResult | None:
        """What is known now, whichever node took it; `None` for a command that this node never saw."""

    async def find_command(self, command_id: bytes, patience_s: float = 0.0) -> CommandResult | None:
        """As `command_status`, asked of the node itself where that is another process: so what is not final yet is
        known, and what is final there is waited for here. `patience_s`: to wait where the node does not say.
        """

    async def find_by_nonce(self, owner: bytes, subaccount: int, nonce: int) -> Sequence[CommandResult]:
        """As `AccountData.commands_by_nonce`, asked as `find_command`."""

    async def find_by_label(self, owner: bytes, subaccount: int, client_id: int) -> Sequence[CommandResult]:
        """As `AccountData.commands_by_label`, asked as `find_command`."""

    def receipt(self, command_id: bytes) -> Receipt | None:
        """What `submit` answered with, of the last commands; `None` for others."""

    def account(self, owner: bytes, subaccount: int) -> AccountView | None: ...

    def open_orders(self, owner: bytes, subaccount: int) -> Sequence[OrderView]: ...

    def order(self, market: int, order_id: int) -> OrderView | None:
        """An open order, or one of those that left the book recently."""

    def book(self, market: int, depth: int) -> BookView: ...

    def watch_book(self, market: int) -> None:
        """From now on block events tell the changes of this book."""

    def forget_book(self, market: int) -> None:
        """As many times as it was watched: nobody needs the changes of this book any more."""

    def ticker(self, market: int) -> TickerView: ...

    def trades(self, market: int, count: int) -> Sequence[TradeView]:
        """Newest first."""

    def user_trades(self, owner: bytes, subaccount: int, count: int) -> Sequence[FillView]:
        """Newest first."""

    async def account_proof(self, owner: bytes, subaccount: int, height: int | None = None) -> AccountProof | None:
        """At `height`, or at the last finalised block."""

    async def withdrawal_proof(self, index: int, height: int | None) -> WithdrawalProof | None:
        """Against the block of `height`; without it, the last one on the settlement chain, else the last finalised one.

        A block that only a later one finalised comes with the certificate of that one.
        """

    def withdrawals(self, owner: bytes) -> Sequence[WithdrawalView]: ...

    def inbox(self, owner: bytes, count: int) -> Sequence[InboxView]:
        """Entries of the owner's accounts, newest first: those that wait and the last that were answered."""

    def certificate(self, height: int | None) -> FinalisedHeader | None: ...

    def evidence(self) -> Sequence[EvidenceView]:
        """Oldest first."""

    def claims(self) -> Sequence[ClaimsView]:
        """The claims files that this node serves, newest first."""

    def claims_path(self, account_root: bytes) -> Path | None:
        """Where a claims file lies; None for one that is not there."""

    def withdrawals_path(self) -> Path | None:
        """Where the withdrawals file lies; None while there is none."""

    def uptime(self) -> UptimeView: ...

    def status(self) -> NodeStatus: ...

    def counters(self) -> NodeCounters: ...

    def subscribe(self) -> AbstractAsyncContextManager[trio.MemoryReceiveChannel[BlockEvent]]:
        """One event per finalised block. The buffer is bounded: a subscriber that lags has its channel closed."""
