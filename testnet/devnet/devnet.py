"""A running devnet: the chain, its time, its prices, and what may be done to them.

Nothing is done to the engine's state from outside. Money comes and goes by entries of the inbox, as if the settlement
contract had them; prices by the member's reports; time by the blocks on the way. So a devnet can be in no state that a
network could not be in, and its record is replayed by the engine alone.

One task at a time makes blocks; whoever needs several of them holds the lock.
"""

import shutil
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import trio
from coincurve import PrivateKey

from consensus.messages import Block, Certificate, keccak
from engine.commands import address_of
from engine.payload import KIND_DEPOSIT, KIND_KEY, KIND_WITHDRAW, InboxEntry
from engine.results import Code
from engine.tables import NOTICE_FORCED, SCOPE_CANCEL, SCOPE_TRADE, SCOPE_TRANSFER
from net.gateway.backend import PositionView
from testnet.devnet.chain import Chain
from testnet.devnet.clock import VirtualClock, choose_step_ms, plan_blocks
from testnet.devnet.images import Image, copy_database, take_image
from testnet.devnet.prices import BPS_UNIT, Prices
from testnet.devnet.record import Recorder
from validator.batches import CheckedBatch
from validator.executor import Executed
from validator.prechecks import list_expiries

NO_ADDRESS, NO_DATA = bytes(20), bytes(32)
# An index moves by at most a twentieth a block (`oracle_step_bps_max` of the markets): from one cent to 10,000 USD.
ORACLE_BLOCKS_MAX = 400
LIQUIDATION_STEP_BPS, LIQUIDATION_BLOCKS_MAX = 100, 400
SESSION_EXPIRY_MS = 1 << 50
SESSION_SCOPES = SCOPE_TRADE | SCOPE_CANCEL | SCOPE_TRANSFER


class NotDone(Exception):
    """The rules refuse it."""

    def __init__(self, code: Code) -> None:
        super().__init__(code.name.lower())
        self.code = code


@dataclass(frozen=True, slots=True)
class Moved:
    """What became of a price: blocks that it took, and the index in the last of them."""

    block_count: int
    index_e8: int


class Devnet:
    """`chain` is the current one. `open` first, then `run`."""

    def __init__(
        self, folder: Path, image: Image, *, block_interval_ms: int, is_moving: bool = False,
        recorder: Recorder | None = None, on_block: Callable[[Executed], None] = lambda _: None,
    ) -> None:  # fmt: skip
        """`folder`: for databases, its content is the devnet's. `block_interval_ms` 0: time stands still. `is_moving`:
        prices follow the seeded path.
        """
        self._folder, self._chain_count = folder, 0
        self.block_interval_ms, self.is_automatic = block_interval_ms, True
        self.recorder, self._on_block = recorder, on_block
        self.clock = VirtualClock(image.time_ms, is_frozen=block_interval_ms == 0)
        self.prices = Prices(image.founding.seed, image.founding.network.markets, is_moving)
        self._snapshots: dict[int, Image] = {}
        self._last_snapshot = 0
        self._lock = trio.Lock()
        self._has_work = trio.Event()
        self._replaced = trio.Event()
        self._is_replaced = trio.Event()
        self._open(image)

    def _open(self, image: Image) -> None:
        """A new chain on a copy of what the image has."""
        self._chain_count += 1
        place = self._folder / f"chain-{self._chain_count}"
        place.mkdir(parents=True)
        if image.database is not None:
            copy_database(image.database, place / "blocks.sqlite")
        self.clock.put(image.time_ms)
        self.prices.load(image.prices or self.prices.save())
        self.chain = Chain(place, image.founding, self.clock.now_ms, self.wake, self._record)
        self._place = place

    def _record(self, block: Block, certificate: Certificate, batches: list[CheckedBatch]) -> None:
        if self.recorder is not None:
            self.recorder.add(block, certificate, batches)

    # running

    async def run(self) -> None:
        """Until cancelled: blocks when commands wait, and each interval."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._keep_running)
            nursery.start_soon(self._keep_making_blocks)

    async def _keep_running(self) -> None:
        """The current chain's own tasks, until it is replaced."""
        while True:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self.chain.run)
                await self._replaced.wait()
                nursery.cancel_scope.cancel()
            self._replaced = trio.Event()
            self._is_replaced.set()

    async def _keep_making_blocks(self) -> None:
        interval_s = self.block_interval_ms / 1000 or float("inf")
        while True:
            with trio.move_on_after(interval_s):
                await self._has_work.wait()
            self._has_work = trio.Event()
            if self.is_automatic and (self.chain.has_waiting or self.block_interval_ms):
                async with self._lock:
                    self._add_block()

    def wake(self) -> None:
        """Commands wait."""
        self._has_work.set()

    def _add_block(self, time_ms: int | None = None, entries: tuple[InboxEntry, ...] = ()) -> Executed:
        wanted_ms = self.clock.now_ms() if time_ms is None else time_ms
        at_ms = max(wanted_ms, self.chain.head.timestamp_ms + 1)
        if at_ms > self.clock.now_ms():
            self.clock.put(at_ms)
        executed = self.chain.make_block(at_ms, self.prices, entries)
        self._on_block(executed)
        return executed

    # what may be done

    async def mine(self, count: int, interval_ms: int = 0) -> None:
        """So many blocks now, so far apart."""
        async with self._lock:
            for _ in range(count):
                self._add_block(self.chain.head.timestamp_ms + interval_ms if interval_ms else None)
                await trio.lowlevel.checkpoint()

    async def move_time(self, way_ms: int, step_ms: int = 0) -> int:
        """So far ahead, with all blocks on the way; how many they were. `step_ms` 0: see `choose_step_ms`."""
        async with self._lock:
            now_ms = max(self.clock.now_ms(), self.chain.head.timestamp_ms)
            expiries_ms = tuple(expiry_ms for _, expiry_ms in list_expiries(self.chain.executor.final.state))
            times_ms = plan_blocks(now_ms, now_ms + way_ms, expiries_ms, step_ms or choose_step_ms(way_ms))
            count = 0
            for time_ms in times_ms:
                self._add_block(time_ms)
                count += 1
                await trio.lowlevel.checkpoint()
            return count

    async def set_index(self, name: str, index_e8: int, volatility_bps: int = 0) -> Moved:
        """Blocks until the index of an underlying is there; it moves by a capped step in each (ORA-2)."""
        async with self._lock:
            self.prices.indexes_e8[name] = index_e8
            if volatility_bps:
                self.prices.volatilities_bps[name] = volatility_bps
            count = 0
            while count < ORACLE_BLOCKS_MAX and (count == 0 or self.read_index_e8(name) != index_e8):
                self._add_block()
                count += 1
                await trio.lowlevel.checkpoint()
            return Moved(count, self.read_index_e8(name))

    def read_index_e8(self, name: str) -> int:
        """As of the last block; 0: there was none yet."""
        number = self.prices.names.index(name)
        return int(self.chain.executor.final.state.tables.underlyings[number]["index_e8"])

    async def deposit(self, amounts_quote: dict[bytes, int]) -> None:
        """Money for subaccount 0 of these owners, in one block."""
        async with self._lock:
            made = [
                self._make_entry(at, KIND_DEPOSIT, owner, 0, amount_quote, token=self.chain.info.token)
                for at, (owner, amount_quote) in enumerate(amounts_quote.items())
            ]
            self._add_block(entries=tuple(made))

    async def set_equity(self, owner: bytes, subaccount: int, equity_quote: int) -> None:
        """By a deposit or a forced withdrawal of the difference. Raises `NotDone` where margin holds it."""
        async with self._lock:
            view = self.chain.service.account(owner, subaccount)
            change_quote = equity_quote - (0 if view is None else view.equity_quote)
            token = self.chain.info.token
            if change_quote > 0:
                self._add_block(
                    entries=(self._make_entry(0, KIND_DEPOSIT, owner, subaccount, change_quote, token=token),)
                )
            elif change_quote < 0:
                self._force(self._make_entry(0, KIND_WITHDRAW, owner, subaccount, -change_quote, token=token))

    async def impersonate(self, owner: bytes, subaccount: int) -> PrivateKey:
        """A session key that trades, cancels and transfers for an account, as if its owner had put it into the inbox.
        Raises `NotDone`.
        """
        seed = self.chain.founding.seed
        key = PrivateKey(keccak(f"hansa/devnet/session/{seed}/{owner.hex()}/{subaccount}".encode()))
        data = SESSION_EXPIRY_MS.to_bytes(8, "big") + SESSION_SCOPES.to_bytes(4, "big") + address_of(key.public_key)
        async with self._lock:
            self._force(self._make_entry(0, KIND_KEY, owner, subaccount, 0, data=data))
        return key

    def _make_entry(
        self, offset: int, kind: int, owner: bytes, subaccount: int, amount_units: int, *, token: bytes = NO_ADDRESS,
        data: bytes = NO_DATA,
    ) -> InboxEntry:  # fmt: skip
        index = self.chain.executor.final.state.inbox_cursor + offset
        return InboxEntry(index, kind, token, owner, subaccount, owner, amount_units, data, self.clock.now_ms() // 1000)

    def _force(self, entry: InboxEntry) -> None:
        """Raises `NotDone` with what the block's notice says (FRC-2)."""
        result = self._add_block(entries=(entry,)).result
        assert result is not None
        for notice in result.notices:
            if notice["kind"] == NOTICE_FORCED and notice["subject"] == entry.index and notice["value_b"] != Code.OK:
                raise NotDone(Code(int(notice["value_b"])))

    async def liquidate(self, owner: bytes, subaccount: int) -> tuple[str, Moved] | None:
        """Move the price of the underlying that the account depends on most against it, until it is liquidated; None
        where no price does that.
        """
        view = self.chain.service.account(owner, subaccount)
        held = [] if view is None else [position for position in view.positions if position.delta_quote]
        if view is None or not held:
            return None
        name, is_long = self._find_exposure(held)
        async with self._lock:
            for count in range(1, LIQUIDATION_BLOCKS_MAX + 1):
                index_e8 = self.read_index_e8(name)
                step_e8 = max(index_e8 * LIQUIDATION_STEP_BPS // BPS_UNIT, 1)
                self.prices.indexes_e8[name] = max(index_e8 - step_e8 if is_long else index_e8 + step_e8, 1)
                result = self._add_block().result
                assert result is not None
                if view.index in result.liquidations["account"]:
                    return name, Moved(count, self.read_index_e8(name))
                await trio.lowlevel.checkpoint()
        return None

    def _find_exposure(self, held: list[PositionView]) -> tuple[str, bool]:
        """The underlying with the most delta, and whether it is long in it."""
        markets = self.chain.service.market_data.markets()
        deltas_quote = dict.fromkeys(self.prices.names, 0)
        for position in held:
            deltas_quote[markets[position.market].underlying_name] += position.delta_quote
        name = max(deltas_quote, key=lambda item: abs(deltas_quote[item]))
        return name, deltas_quote[name] > 0

    # going back

    async def snapshot(self) -> int:
        """The number by which `revert` knows this moment."""
        async with self._lock:
            self._last_snapshot += 1
            self._snapshots[self._last_snapshot] = self._take(self._folder / f"{self._last_snapshot}.sqlite")
            return self._last_snapshot

    def _take(self, database: Path) -> Image:
        size_bytes = 0 if self.recorder is None else self.recorder.size_bytes
        return take_image(self.chain, database, self.clock.now_ms(), self.prices.save(), size_bytes)

    async def revert(self, number: int) -> bool:
        """Back to a snapshot, which is used up with all later ones; False where there is none of that number."""
        async with self._lock:
            image = self._snapshots.get(number)
            if image is None:
                return False
            for later in [item for item in self._snapshots if item >= number]:
                database = self._snapshots.pop(later).database
                if later != number and database is not None:
                    database.unlink()
            await self._replace(image)
            return True

    async def _replace(self, image: Image) -> None:
        self._is_replaced = trio.Event()
        old, place = self.chain, self._place
        if self.recorder is not None:
            self.recorder.cut(image.record_bytes)
        self._open(image)
        self.chain.ledger.watch_alike(old.ledger)
        self._replaced.set()
        await self._is_replaced.wait()
        old.close()
        shutil.rmtree(place)
        if image.database is not None:
            image.database.unlink()

    def take_image(self) -> Image:
        """As of now, for a file."""
        return replace(self._take(self._folder / "image.sqlite"), record_bytes=0)

    def close(self) -> None:
        self.chain.close()
        if self.recorder is not None:
            self.recorder.close()
