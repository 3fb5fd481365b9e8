"""A desk on the trading floor: signed messages of its accounts are judged and executed, block by block.

Only what actions need of a block: triggers fire, messages are judged, the governor's actions and everybody's execute.
Account 64 is the first user; `send` gives one message a block of its own.
"""

from typing import Any, NamedTuple

import numpy as np

from engine.allocate import make_outputs
from engine.apply import BatchInput, BlockInput
from engine.authority import judge_messages
from engine.commands import Action, Command
from engine.governance import apply_governance
from engine.intake import decode_batch, gather, order_actions
from engine.results import Code
from engine.stages import apply_actions, run_clock
from engine.tables import (
    CANCELLATION_COUNT,
    FILL_COUNT,
    NOTICE_COUNT,
    TIME_MS,
    UNDERLYING_COUNT,
    WITHDRAWAL_COUNT,
)
from tests.engine.floor import START_MS, Floor, continuous, feed, open_floor


class Sent(NamedTuple):
    """A message before it is signed."""

    account: int
    actions: tuple[Action, ...]
    signer: bytes | None = None
    nonce: int = 0
    expiry_ms: int = 1 << 60


class _State(NamedTuple):
    tables: Any


class Desk:
    """A floor whose clock moves with each block."""

    def __init__(self, floor: Floor, time_ms: int = START_MS) -> None:
        self.tables, self.out, self.time_ms, self.nonce = floor.tables, floor.out, time_ms, 0

    def owner(self, account: int) -> bytes:
        """The 20 bytes that own an account."""
        row = self.tables.accounts[account]
        key = b"".join(int(row[name]).to_bytes(8, "big", signed=True) for name in ("key_a", "key_b", "key_c"))
        return key[:20]

    def subaccount(self, account: int) -> int:
        return int(self.tables.accounts[account]["key_c"]) & 0xFFFFFFFF

    def block(self, *messages: Sent, step_ms: int = 1) -> list[dict[str, int]]:
        """Receipts of all actions, in input order."""
        self.time_ms += step_ms
        self.tables.accounts["dirty"] = 0
        commands, signers = [], []
        for sent in messages:
            self.nonce += 1
            owner = self.owner(sent.account)
            nonce = sent.nonce or self.nonce
            command = Command(owner, nonce, sent.expiry_ms, sent.actions, self.subaccount(sent.account))
            commands.append(command.encode())
            signers.append(sent.signer if sent.signer is not None else owner)
        rows, actions = decode_batch(b"".join(commands))
        recovered = np.frombuffer(b"".join(signers), dtype=np.uint8).reshape(-1, 20)
        batch = BatchInput(0, 1, rows, actions, recovered)
        block = BlockInput(1, self.time_ms, bytes(32), (), (), 0, (batch,))
        intake = gather(block.batches)
        self.out = make_outputs(self.tables, len(actions) + 64)
        run_clock(self.tables, self.out, np.int64(self.time_ms))
        codes, accounts, caps = judge_messages(self.tables, self.out, intake, self.time_ms)
        apply_governance(_State(self.tables), self.out, intake, codes, accounts, self.time_ms)  # type: ignore[arg-type]
        sequence = order_actions(block, intake)
        apply_actions(self.tables, self.out, intake, sequence, codes, accounts, caps, self.time_ms)
        self.tables.counters[TIME_MS] = self.time_ms
        return [read(row) for row in self.out.receipts[: len(actions)]]

    def send(self, account: int, *actions: Action, signer: bytes | None = None) -> list[dict[str, int]]:
        """Receipts of one message in a block of its own."""
        return self.block(Sent(account, actions, signer))

    def code(self, account: int, *actions: Action, signer: bytes | None = None) -> list[Code]:
        """Codes of the same."""
        return [Code(receipt["code"]) for receipt in self.send(account, *actions, signer=signer)]

    def rows(self, name: str) -> list[dict[str, int]]:
        """What the last block wrote into one of its tables of events."""
        counter = {
            "fills": FILL_COUNT, "cancellations": CANCELLATION_COUNT, "notices": NOTICE_COUNT,
            "withdrawals": WITHDRAWAL_COUNT,
        }[name]  # fmt: skip
        return [read(row) for row in getattr(self.out, name)[: int(self.tables.counters[counter])]]

    def balance(self, account: int) -> int:
        return int(self.tables.accounts[account]["balance_quote"])

    def price(self, usd: float, *, step_ms: int = 1) -> None:
        """The index of every underlying moves, and a block without messages follows."""
        feed(Floor(self.tables, self.out), self.time_ms, *[usd] * int(self.tables.counters[UNDERLYING_COUNT]))
        self.block(step_ms=step_ms)

    def lots(self, account: int, market: int = 0) -> int:
        """What an account holds of a market."""
        is_it = (self.tables.positions["account"] == account) & (self.tables.positions["market"] == market)
        return int(self.tables.positions["lots"][is_it].sum())


def read(row: np.void) -> dict[str, int]:
    """A record as a dictionary of plain numbers."""
    return {name: int(row[name]) for name in row.dtype.names or ()}


def open_desk(*markets: Any, **terms: Any) -> Desk:
    """A desk whose markets are continuous and priced at 50,000 USD."""
    floor = continuous(open_floor(*markets, **terms))
    feed(floor)
    run_clock(floor.tables, floor.out, np.int64(START_MS))
    return Desk(floor)
