"""Blocks made from small integers: whatever a generator draws becomes a valid block of good and bad commands."""

from dataclasses import replace

from engine.apply import BlockInput
from engine.commands import (
    ALL_MARKETS,
    BUY,
    CANCEL,
    CANCEL_ALL,
    COMBO,
    GOOD_TILL_CANCELLED,
    HEADER_BYTES,
    IMMEDIATE_OR_CANCEL,
    PLACE,
    POST_ONLY,
    SELL,
    WITHDRAW,
    Action,
    Command,
)
from engine.payload import PriceReport
from tests.engine.blocks import FOREVER_MS, USD, batch, deposit, trader

TRADERS = 6
EXTREMES = (0, 1, -1, (1 << 63) - 1, -(1 << 63), 1 << 40, 180143985, 180143986, 500_001, 1_000_001)

BIG_FIELDS = (
    "price_ticks", "size_lots", "client_id", "order_id", "trigger_ticks", "display_lots", "good_till_ms", "link",
)  # fmt: skip


class World:
    """Remembers what a generator needs to make commands that often succeed: prices, nonces, order ids."""

    def __init__(self) -> None:
        self.prices_ticks = [500_000, 300_000]
        self.nonce = 0
        self.past: list[Command] = []
        self.inbox_index = 0
        self.sequences = [0] * 4

    def next_nonce(self, twist: int) -> int:
        self.nonce += 1
        return self.nonce if twist % 16 else max(self.nonce - twist % 160, 0)

    def make_place(self, owner: bytes, number: int, twist: int) -> Command:
        market = number % 2
        side = BUY if (number >> 1) % 2 else SELL
        near_ticks = self.prices_ticks[market] * ((number >> 2) % 240 - 120) // 10_000
        far_ticks = self.prices_ticks[market] * ((number >> 2) % 2400 - 1200) // 10_000
        time_in_force = (GOOD_TILL_CANCELLED, GOOD_TILL_CANCELLED, IMMEDIATE_OR_CANCEL, POST_ONLY)[(number >> 10) % 4]
        return Command.of(
            PLACE, owner, self.next_nonce(twist), FOREVER_MS, market=market, side=side, time_in_force=time_in_force,
            price_ticks=self.prices_ticks[market] + (near_ticks if twist % 8 else far_ticks),
            size_lots=1 + (number >> 3) % (400 if twist % 4 else 4000), client_id=twist % 40 if twist % 3 == 0 else 0,
        )  # fmt: skip

    def make_command(self, kind: int, who: int, number: int, twist: int) -> Command:
        owner = trader(who % TRADERS)
        kind %= 32
        if kind < 18 or not self.past:
            command = self.make_place(owner, number, twist)
        elif kind < 22:
            aim = self.past[-1 - number % min(len(self.past), 24)]
            command = Command.of(
                CANCEL, aim.owner, self.next_nonce(twist), FOREVER_MS, market=aim.action.market % 4,
                order_id=0 if aim.action.client_id or twist % 9 == 0 else max(self.nonce // 2 - number % 24, 0),
                client_id=max(aim.action.client_id, 0),
            )  # fmt: skip
        elif kind < 23:
            market = (ALL_MARKETS, 0, 1, 2)[number % 4]
            command = Command.of(CANCEL_ALL, owner, self.next_nonce(twist), FOREVER_MS, market=market)
        elif kind < 26:
            command = Command.of(
                WITHDRAW, owner, self.next_nonce(twist), FOREVER_MS, size_lots=(number - 4000) * USD // 100
            )
        elif kind < 28:
            command = self.past[number % len(self.past)]
        else:
            command = self.make_garbage(self.make_place(owner, number, twist), number, twist)
        if number % 7 == 0:
            command = self.join(command, number, twist)
        self.past.append(command)
        return command

    def make_garbage(self, command: Command, number: int, twist: int) -> Command:
        """One field of an order or of its message replaced by something extreme."""
        numbers = (*BIG_FIELDS, "nonce", "expiry_ms")
        small = ("kind", "side", "time_in_force", "flags", "market", "subaccount")
        if number % 3:
            name, value = numbers[number // 4 % len(numbers)], EXTREMES[twist % len(EXTREMES)]
        else:
            name, value = small[number // 4 % 6], twist % 256
        if name in ("nonce", "expiry_ms", "subaccount"):
            return replace(command, **{name: value})
        return replace(command, actions=(replace(command.action, **{name: value}),))

    def join(self, command: Command, number: int, twist: int) -> Command:
        """A message with the command's action among others of its owner's, sometimes as legs of a combination."""
        others = [past.action for past in self.past[-(number % 6) :] if past.owner == command.owner]
        head = (Action(COMBO, side=number % 4),) if twist % 5 == 0 else ()
        return replace(command, actions=(*head, *others, command.action)[:64])

    def make_reports(self, moves: tuple[int, int], time_ms: int, twist: int) -> tuple[PriceReport, ...]:
        """Reports of three or more validators, slightly apart; sometimes too few, too late or repeated."""
        for market, move in enumerate(moves):
            moved_ticks = self.prices_ticks[market] * (move % 1001 - 500) // 10_000
            self.prices_ticks[market] = max(self.prices_ticks[market] + moved_ticks, 1000)
        made = []
        for validator in range(5 if twist % 4 else 2):
            skewed = tuple(price + validator - 1 for price in self.prices_ticks)
            late_ms = 20_000 if twist % 7 == validator else validator * 10
            made.append(PriceReport(validator, time_ms - late_ms, skewed, bytes([validator]) * 64))
        return (*made, made[twist % len(made)])

    def make_inbox(self, count: int, number: int, twist: int) -> tuple:
        made = []
        for offset in range(count):
            owner = trader((number + offset) % TRADERS)
            entry = deposit(self.inbox_index, owner, (1 + number % 4000) * USD)
            if twist % 5 == 0:
                odd = (
                    {"kind": 7}, {"token": bytes(20)}, {"amount": 0}, {"beneficiary": (2).to_bytes(20, "big")},
                    {"amount": (1 << 63) - 1}, {"subaccount": 3},
                )  # fmt: skip
                entry = replace(entry, **odd[number % 6])
            made.append(entry)
            self.inbox_index += 1
        return tuple(made)

    def make_block(self, parent, drawn: tuple) -> BlockInput:
        """`drawn`: (moves, twist, deposits, number, [(kind, who, number, twist, author)])."""
        moves, twist, deposits, number, items = drawn
        time_ms = parent.time_ms + 1 + (twist * 97) % 4000
        queues: dict[int, list] = {}
        for kind, who, many, tweak, author in items:
            command = self.make_command(kind, who, many, tweak)
            raw = command.encode()
            if tweak % 61 == 0:
                raw = raw[: HEADER_BYTES - 1] + b"\1" + raw[HEADER_BYTES:]
            signer = command.owner if tweak % 29 else bytes(20)
            queues.setdefault(author, []).append((raw, signer))
        batches = []
        for author, queue in queues.items():
            for half in (queue[: len(queue) // 2], queue[len(queue) // 2 :]):
                if half:
                    self.sequences[author] += 1 + twist % 2
                    batches.append(batch(author, self.sequences[author], [r for r, _ in half], [s for _, s in half]))
        return BlockInput(
            height=parent.height + 1,
            time_ms=time_ms,
            seed=number.to_bytes(32, "big"),
            price_reports=self.make_reports(moves, time_ms, twist),
            inbox=self.make_inbox(deposits, number, twist),
            l1_block=parent.l1_block + twist % 3,
            batches=tuple(batches),
        )
