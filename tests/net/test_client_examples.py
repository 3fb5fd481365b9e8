"""The example programs against a real engine with options and other traders, for some turns each."""

import json
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from decimal import Decimal
from pathlib import Path

import pytest
import trio

from engine.commands import address_of
from net.client import AsyncClient
from net.client.examples import delta_hedger, funding_arbitrage, liquidation_alert, market_maker, proof_keeper
from net.client.proof import verify_account
from tests.net.web_exchange import CHECKPOINT_BLOCKS, TRADER, open_exchange

KEY = "0x" + TRADER.secret.hex()
OWNER = "0x" + address_of(TRADER.public_key).hex()
Question = Callable[[], Awaitable[object]]


@asynccontextmanager
async def trading(folder: Path) -> AsyncIterator[AsyncClient]:
    """A trader with money on an exchange that has prices. A kernel that nobody has compiled yet takes its time."""
    async with open_exchange(folder) as (url, _), AsyncClient(url, KEY, timeout_s=240) as client:

        async def has_begun() -> bool:
            ticker = await client.ticker("BTC-PERPETUAL")
            return ticker.mark_price_usd is not None and ticker.best_bid_price_usd is not None

        await until(has_begun)
        yield client


async def until(question: Question) -> None:
    with trio.fail_after(60):
        while not await question():
            await trio.sleep(0.1)


async def test_the_market_maker_quotes_under_protection_and_leaves_nothing(tmp_path: Path) -> None:
    async with trading(tmp_path) as client, trio.open_nursery() as nursery:
        nursery.start_soon(market_maker.run, client)

        async def has_quoted() -> bool:
            return len(await client.open_orders(market_maker.INSTRUMENT)) == 4

        await until(has_quoted)
        raw = await client.call("private/get_open_orders", owner=OWNER)
        assert {order["direction"] for order in raw} == {"buy", "sell"} and all(order["mmp"] for order in raw)
        assert (await client.call("private/get_mmp_config", owner=OWNER))[0]["interval"] == 5
        nursery.cancel_scope.cancel()
    async with trading(tmp_path / "again") as client:
        with trio.move_on_after(3):
            await market_maker.run(client)
        assert await client.open_orders() == []


async def test_the_hedger_takes_the_delta_of_an_option_away(tmp_path: Path) -> None:
    async with trading(tmp_path) as client:
        name = next(m.symbol for m in (await client.network()).markets if m.kind == "call")
        market = (await client.network()).market(delta_hedger.HEDGE)[1]

        async def has_call() -> bool:
            ask_usd = (await client.ticker(name)).best_ask_price_usd
            if ask_usd is not None:
                await client.buy(name, "1.00", ask_usd, time_in_force="immediate_or_cancel")
            return any(abs(p.delta_base) > Decimal("0.2") for p in await client.positions())

        await until(has_call)

        async def is_hedged() -> bool:
            return abs(await delta_hedger.hedge_once(client, market)) <= delta_hedger.DELTA_BASE_MAX

        await until(is_hedged)
        held = {position.instrument_name: position.size_base for position in await client.positions()}
        assert held[name] > 0 > held[delta_hedger.HEDGE]


async def test_the_arbitrage_holds_both_legs_or_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(funding_arbitrage, "FUNDING_8H_MIN", Decimal(0))
    monkeypatch.setattr(funding_arbitrage, "REACH_BPS", 300)
    async with trading(tmp_path) as client, trio.open_nursery() as nursery:
        nursery.start_soon(funding_arbitrage.run, client)
        perpetual = funding_arbitrage.PERPETUAL

        async def has_pair() -> bool:
            return len(await client.positions()) == 2

        await until(has_pair)
        nursery.cancel_scope.cancel()
        held = {position.instrument_name: position.size_base for position in await client.positions()}
        assert sum(held.values()) == 0 and held[perpetual] != 0


async def test_the_alert_sees_what_a_fall_would_do(tmp_path: Path) -> None:
    async with trading(tmp_path) as client:
        assert await liquidation_alert.look_once(client) == []
        await client.transfer("4999000", 1)

        async def is_warned() -> bool:
            ask_usd = (await client.ticker("BTC-PERPETUAL")).best_ask_price_usd
            assert ask_usd is not None
            await client.buy("BTC-PERPETUAL", "0.050", ask_usd, time_in_force="immediate_or_cancel")
            return any("-10 %" in warning for warning in await liquidation_alert.look_once(client))

        await until(is_warned)


async def test_the_keeper_is_a_program_of_its_own(tmp_path: Path) -> None:
    def keep(url: str) -> None:
        command = [sys.executable, "-m", "net.client.examples.proof_keeper", "--url", url, "--account", OWNER]
        place = {"PYTHONPATH": str(Path(proof_keeper.__file__).parents[3])}
        done = subprocess.run(
            [*command, "--seconds", "8"], cwd=tmp_path, env=os.environ | place, capture_output=True, text=True
        )
        assert done.returncode == 0 and OWNER in done.stdout, done.stderr

    async with trading(tmp_path / "exchange") as client:

        async def has_checkpoint() -> bool:
            return (await client.status())["height"] > CHECKPOINT_BLOCKS

        await until(has_checkpoint)
        await trio.to_thread.run_sync(keep, client.url)
    kept = json.loads((tmp_path / "proofs" / f"{OWNER}-0.json").read_text())
    assert verify_account(kept, bytes.fromhex(OWNER[2:]), 0)[0] > 0
