"""`python -m testnet.bots DIR`: the traders of a local network, in one process of their own.

Trader i talks to node i modulo the number of nodes, so that most trades cross nodes. Everything they need to know is in
the network's folder; what they have done is in DIR/bots/report.json.
"""

import argparse
import logging
import random
import signal
import sys
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path

import trio

from contracts.settlement import ChainError, Settlement
from engine.params import MarketParams
from net.client import AsyncClient, HansaError
from testnet.cast import GAMBLER_TOP_UP_QUOTE, list_cast
from testnet.funding import ChainAccount, deposit_test_usdc, derive_governor
from testnet.homes import load_manifest, node_home, read_genesis
from testnet.option_makers import OptionMaker
from testnet.option_takers import take_option
from testnet.report import Report, save_report
from testnet.roller import keep_listing
from testnet.traders import TradeMatcher, Trader, gamble, is_broke, quote, take
from testnet.withdrawal import keep_withdrawing
from validator.config import load_node
from validator.logs import begin_logs

log = logging.getLogger("hansa.bots")
TURNS_AT_ONCE_MAX = 8
REPORT_INTERVAL_S = 1.0
TOP_UP_INTERVAL_S = 15.0
LIQUIDATIONS_INTERVAL_S = 3.0
# One turn of a role; what an option maker does is in `testnet.option_makers`. A withdrawer trades like a taker;
# `testnet.withdrawal` takes its money out now and then.
HABITS: dict[str, Callable[[Trader], Awaitable[None]]] = {
    "maker": quote,
    "taker": take,
    "gambler": gamble,
    "withdrawer": take,
    "option_taker": take_option,
}
# These only wait for final answers, so several of their turns may run at once.
PATIENT_ROLES = ("taker", "withdrawer")


class Pacer:
    """Lets commands through at a steady rate, first come first served."""

    def __init__(self, commands_per_s: float) -> None:
        self._gap_s = 1 / commands_per_s
        self._next_s = 0.0

    async def wait(self, count: int) -> None:
        now_s = trio.current_time()
        start_s = max(now_s, self._next_s)
        self._next_s = start_s + count * self._gap_s
        await trio.sleep(start_s - now_s)


async def run_turns(trader: Trader) -> None:
    """Turn after turn for ever, several at once while answers are slow."""
    slots = trio.Semaphore(TURNS_AT_ONCE_MAX if trader.role in PATIENT_ROLES else 1)

    async def turn() -> None:
        try:
            await HABITS[trader.role](trader)
        except HansaError as error:
            trader.note(error)
            await trio.sleep(1)
        finally:
            slots.release()

    async with trio.open_nursery() as nursery:
        while True:
            await slots.acquire()
            nursery.start_soon(turn)
            await trio.sleep(0.01)


async def top_up(trader: Trader, rpc_url: str, contract: str) -> None:
    """Give a liquidated gambler new money, through the settlement chain like everybody else's."""
    while True:
        await trio.sleep(TOP_UP_INTERVAL_S)
        try:
            if await is_broke(trader):
                await trio.to_thread.run_sync(
                    deposit_test_usdc, rpc_url, contract, trader.account, GAMBLER_TOP_UP_QUOTE
                )
        except (HansaError, ChainError) as error:
            log.warning("bots.top_up_failed error=%s", error)


async def count_liquidations(trader: Trader) -> None:
    """Trades that the network marks as liquidations, by their ids."""
    seen = set()
    while True:
        for market in trader.markets:
            try:
                answer = await trader.client.call(
                    "public/get_last_trades_by_instrument", instrument_name=market.symbol, count=200
                )
            except HansaError:
                continue
            seen |= {trade["trade_id"] for trade in answer["trades"] if "liquidation" in trade}
        trader.report.liquidations = len(seen)
        await trio.sleep(LIQUIDATIONS_INTERVAL_S)


async def wait_until_credited(traders: list[Trader]) -> None:
    """Every deposit has become an account."""
    for trader in traders:
        while True:
            try:
                await trader.client.account()
                break
            except HansaError:
                await trio.sleep(0.3)
        trader.report.accounts_credited += 1


async def keep_reporting(folder: Path, report: Report) -> None:
    while True:
        save_report(folder, report)
        await trio.sleep(REPORT_INTERVAL_S)


async def _stop_on_signal(scope: trio.CancelScope) -> None:
    with trio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals:
        async for _ in signals:
            scope.cancel()
            return


def make_traders(
    cast: list[tuple[str, ChainAccount]], markets: tuple[MarketParams, ...], node_count: int,
    clients: list[AsyncClient], pacer: Pacer, seed: int,
) -> list[Trader]:  # fmt: skip
    """Everybody of the cast. Where some are there for options, the others trade perpetuals alone."""
    has_options = any(role.startswith("option_") for role, _ in cast)
    endless = tuple(market for market in markets if market.kind == "perpetual")
    report = Report()
    matcher = TradeMatcher(report)
    return [
        Trader(
            role=role,
            account=account,
            node_index=account.number % node_count,
            client=client,
            markets=endless if has_options and not role.startswith("option_") else markets,
            report=report,
            matcher=matcher,
            pace=pacer.wait,
            draw=random.Random(f"{seed}/{account.number}"),
        )
        for (role, account), client in zip(cast, clients)
    ]


async def run(folder: Path, commands_per_s: float, seed: int, withdraw_after_s: float) -> None:
    network = read_genesis(folder)
    configs = [load_node(node_home(folder, index).config) for index in range(len(network.validators))]
    urls = [f"http://{config.api_host}:{config.api_port}" for config in configs]
    rpc_url = configs[0].rpc_urls[0]
    cast = list_cast(load_manifest(folder).has_options)
    withdrawer = next(at for at, (role, _) in enumerate(cast) if role == "withdrawer")
    settlement = await trio.to_thread.run_sync(Settlement, rpc_url, network.contract, cast[withdrawer][1].key)
    async with AsyncExitStack() as stack:
        clients = [
            await stack.enter_async_context(AsyncClient(urls[account.number % len(urls)], key="0x" + account.key.hex()))
            for _, account in cast
        ]
        traders = make_traders(cast, network.markets, len(urls), clients, Pacer(commands_per_s), seed)
        report = traders[0].report
        governor = await stack.enter_async_context(AsyncClient(urls[0], key="0x" + derive_governor().key.hex()))
        async with trio.open_nursery() as nursery:
            nursery.start_soon(_stop_on_signal, nursery.cancel_scope)
            nursery.start_soon(keep_reporting, folder / "bots", report)
            await wait_until_credited(traders)
            makers = (trader for trader in traders if trader.role == "option_maker")
            if network.governor:
                options = [trader for trader in traders if trader.role.startswith("option_")]
                nursery.start_soon(keep_listing, governor, options)
            for turn, trader in enumerate(makers):
                nursery.start_soon(OptionMaker(trader, turn).run)
            for trader in traders:
                if trader.role in HABITS:
                    nursery.start_soon(run_turns, trader)
                if trader.role == "gambler":
                    nursery.start_soon(top_up, trader, rpc_url, network.contract)
            nursery.start_soon(count_liquidations, traders[0])
            nursery.start_soon(keep_withdrawing, traders[withdrawer], settlement, withdraw_after_s, report)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m testnet.bots", description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--rate", type=float, default=30.0, help="commands a second, all traders together")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--withdraw-after", type=float, default=10.0, help="seconds until the first withdrawal")
    options = parser.parse_args()
    begin_logs("info", "console")
    logging.getLogger("httpx").setLevel(logging.WARNING)
    trio.run(run, options.folder, options.rate, options.seed, options.withdraw_after)
    return 0


if __name__ == "__main__":
    sys.exit(main())
