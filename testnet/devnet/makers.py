"""A live book: the makers and takers of local networks (`testnet.traders`, `testnet.option_makers`), against the
devnet's own API. They have accounts of the mnemonic beyond the ten of the banner.

They act by the computer's clock: while `dev_increaseTime` makes its blocks they stand still, and renew their quotes
when it is done.
"""

import random
from typing import Any

import trio

from engine.params import MarketParams
from net.client import AsyncClient
from testnet.bots import HABITS, Pacer, run_turns
from testnet.cast import DEPOSITS_QUOTE
from testnet.devnet.devnet import Devnet
from testnet.devnet.wallet import derive_wallets
from testnet.funding import ChainAccount
from testnet.option_makers import OptionMaker
from testnet.report import Report
from testnet.traders import TradeMatcher, Trader

FIRST_NUMBER = 20
ROLES = ("maker", "maker", "taker", "option_maker", "option_taker")
COMMANDS_PER_S = 15.0
# Longer than anybody moves time ahead.
EXPIRY_S = 100 * 365 * 86_400


async def run_makers(
    devnet: Devnet, url: str, seed: int, task_status: Any = trio.TASK_STATUS_IGNORED
) -> None:  # fmt: skip
    """Until cancelled; started when they have money."""
    markets = devnet.chain.service.market_data.markets()
    has_options = any(market.kind != "perpetual" for market in markets)
    roles = [role for role in ROLES if has_options or not role.startswith("option_")]
    wallets = derive_wallets(FIRST_NUMBER, len(roles))
    await devnet.deposit({wallet.address: DEPOSITS_QUOTE[role] for role, wallet in zip(roles, wallets)})
    endless = tuple(market for market in markets if market.kind == "perpetual")
    report, pacer = Report(), Pacer(COMMANDS_PER_S)
    matcher = TradeMatcher(report)
    async with trio.open_nursery() as nursery:
        task_status.started()
        for turn, (role, wallet) in enumerate(zip(roles, wallets)):
            nursery.start_soon(
                _trade, url, role, ChainAccount(wallet.number, wallet.key, wallet.address),
                markets if role.startswith("option_") else endless, report, matcher, pacer,
                random.Random(f"{seed}/{wallet.number}"), turn,
            )  # fmt: skip


async def _trade(
    url: str, role: str, account: ChainAccount, markets: tuple[MarketParams, ...], report: Report,
    matcher: TradeMatcher, pacer: Pacer, draw: random.Random, turn: int,
) -> None:  # fmt: skip
    async with AsyncClient(url, key="0x" + account.key.hex()) as client:
        client.operations.signer.expiry_s = EXPIRY_S
        trader = Trader(
            role=role, account=account, node_index=0, client=client, markets=markets, report=report, matcher=matcher,
            pace=pacer.wait, draw=draw,
        )  # fmt: skip
        if role in HABITS:
            await run_turns(trader)
        else:
            await OptionMaker(trader, turn).run()
