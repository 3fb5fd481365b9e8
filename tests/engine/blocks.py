"""Builders for engine tests: an exchange, traders, and blocks from plain commands. Owners sign unless said so."""

import numpy as np

from engine.apply import BatchInput, BlockInput, execute
from engine.commands import CANCEL, GOOD_TILL_CANCELLED, PLACE, WITHDRAW, Command
from engine.intake import decode_batch
from engine.params import DEFAULT_MARKETS, ExchangeParams
from engine.payload import KIND_DEPOSIT, InboxEntry, PriceReport
from engine.results import Code
from engine.state import genesis

TOKEN = bytes.fromhex("11" * 20)
CONTRACT = bytes.fromhex("22" * 20)
FOREVER_MS = 1 << 60
BTC, ETH = 0, 1
USD = 1_000_000
START_MS = 1_700_000_000_000
MARK = 500_000  # 50,000.0 USD
ETH_MARK = 300_000  # 3,000.00 USD


def make_params(**changes) -> ExchangeParams:
    return ExchangeParams(
        **{"markets": DEFAULT_MARKETS, "token": TOKEN, "validator_count": 4, "chain_id": 31337, "contract": CONTRACT}
        | changes
    )


def trader(number: int) -> bytes:
    return bytes([0xA0, number]) * 10


ALICE, BOB, POOR, NOBODY = (trader(number) for number in range(1, 5))


def deposit(index: int, owner: bytes, amount_quote: int, **changes) -> InboxEntry:
    values = {
        "index": index, "kind": KIND_DEPOSIT, "token": TOKEN, "beneficiary": owner, "subaccount": 0, "sender": owner,
        "amount": amount_quote, "data": bytes(32), "time_s": 1_700_000_000,
    }  # fmt: skip
    return InboxEntry(**(values | changes))


def reports(time_ms: int, *prices_ticks: int, validators=(0, 1, 2)) -> tuple[PriceReport, ...]:
    """Indexes of the default markets, in their ticks, as feeds in 1e-8 USD."""
    feeds = tuple(price_ticks * market.tick_e8 for price_ticks, market in zip(prices_ticks, DEFAULT_MARKETS))
    return tuple(PriceReport(validator, time_ms, feeds, bytes(64)) for validator in validators)


def batch(author: int, sequence: int, commands: list, signers: list | None = None) -> BatchInput:
    """Messages as `Command` or as raw bytes; by default every owner signed."""
    raw = b"".join(item if isinstance(item, bytes) else item.encode() for item in commands)
    messages, actions = decode_batch(raw)
    own = messages["owner"].copy()
    if signers is not None:
        own = np.frombuffer(b"".join(signers), dtype=np.uint8).reshape(-1, 20)
    return BatchInput(author, sequence, messages, actions, own)


def block(parent, step_ms: int = 1000, price_reports=(), inbox=(), batches=(), seed: bytes = bytes(32)) -> BlockInput:
    """The next block; batches are `BatchInput`s, or a list of commands for one batch of author 0."""
    if isinstance(batches, list):
        batches = (batch(0, int(parent.batch_sequences[0]) + 1, batches),) if batches else ()
    return BlockInput(
        parent.height + 1, parent.time_ms + step_ms, seed, tuple(price_reports), tuple(inbox), parent.l1_block, batches
    )


class Nonces:
    """Every trader's next nonce."""

    def __init__(self) -> None:
        self._next: dict[bytes, int] = {}

    def take(self, owner: bytes) -> int:
        self._next[owner] = self._next.get(owner, 0) + 1
        return self._next[owner]


def place(owner, nonce, side, price_ticks, size_lots, market=BTC, time_in_force=GOOD_TILL_CANCELLED, **rest) -> Command:
    values = {"expiry_ms": FOREVER_MS, "market": market, "side": side, "time_in_force": time_in_force}
    values |= {"price_ticks": price_ticks, "size_lots": size_lots}
    return Command.of(PLACE, owner, nonce, **(values | rest))


def cancel(owner, nonce, order_id=0, market=BTC, client_id=0) -> Command:
    return Command.of(CANCEL, owner, nonce, FOREVER_MS, market=market, order_id=order_id, client_id=client_id)


def withdraw(owner, nonce, amount_quote) -> Command:
    return Command.of(WITHDRAW, owner, nonce, FOREVER_MS, size_lots=amount_quote)


def funded(params=None, price_ticks: int = MARK):
    """Alice and Bob with 100,000 USD each, Poor with 1 USD; fresh prices when given one."""
    state = genesis(params or make_params(), START_MS)
    money = ((ALICE, 100_000 * USD), (BOB, 100_000 * USD), (POOR, USD))
    inbox = [deposit(at, owner, amount_quote) for at, (owner, amount_quote) in enumerate(money)]
    made = block(state, inbox=inbox)
    if price_ticks:
        made = made._replace(price_reports=reports(made.time_ms, price_ticks, ETH_MARK))
    return execute(state, made)[0]


def answers(state, *commands, **rest) -> tuple:
    """The state after a block of one author's commands, and their codes."""
    state, result = execute(state, block(state, batches=list(commands), **rest))
    return state, [Code(code) for code in result.receipts["code"]]
