"""Orders whose answer is lost execute once, and nothing that was refused executes.

Hyperliquid, July 2025: for half an hour the API answered with errors while the orders behind them were executed. Here
the connection breaks before the answer, on purpose; then each order is sent five times to nodes drawn at random, until
one says what became of it, and afterwards every node is asked about every order.
"""

import json
import random
from contextlib import suppress
from decimal import Decimal
from urllib.parse import urlsplit

import trio

from net.client import AsyncClient
from testnet.bench_figures import read_height
from testnet.funding import USDC_QUOTE, ChainAccount, derive_account, fund_traders
from testnet.launch import in_thread
from testnet.retry_storm.audit import audit
from testnet.retry_storm.commands import Sent, sign_commands
from testnet.retry_storm.storm import SENDS, Storm
from testnet.scenario.facts import Verdict
from testnet.scenario.probes import LostAnswer
from testnet.scenario.probing.access import Access

NAME = "lost_answer"
# Accounts of validators' places that no local network fills.
ACCOUNTS = (30, 31, 32)
DEPOSIT_QUOTE = 5_000 * USDC_QUOTE
CREDIT_S_MAX = 60.0
LEVEL_S_MAX = 30.0
EXPIRY_S = 120
BELOW_MARK = Decimal("0.9")
NEAR_BLOCKS = 3


async def try_lost_answers(trial: LostAnswer, access: Access) -> list[Verdict]:
    accounts = [derive_account(number) for number in ACCOUNTS]
    deposits = [(account, DEPOSIT_QUOTE) for account in accounts]
    await in_thread(fund_traders, access.rpc_url, access.config.contract, deposits)
    urls = await _find_answering(access.api_urls)
    await _wait_credited(urls, accounts)
    sent = await _sign(urls[0], access, accounts, trial.orders)
    draw = random.Random(len(sent))
    for entry in sent:
        await _send_and_hang_up(draw.choice(access.api_urls), entry)
    storm = Storm(access.api_urls, draw)
    await storm.run(sent, _nothing)
    await _wait_level(urls)
    found = await audit(urls, sent, storm.answers)
    count = len(sent)
    silent = sum(not known.answered for known in storm.answers.values())
    return [
        Verdict(NAME, "connections that break before the answer", f"{count} orders", True),
        Verdict(NAME, f"each is sent {SENDS} times more until somebody answers", f"{storm.counts['sends']} sends, "
                f"{storm.counts['silences']} to nodes that are gone, {silent} never answered", not silent),
        Verdict(NAME, "executed exactly once", f"{found.executed_once} of {count}", found.executed_once == count),
        Verdict(NAME, f"{found.compared} statuses by hash, nonce and label, balances and orders on {len(urls)} nodes",
                f"{len(found.problems)} contradictions" + "".join(f": {text[:200]}" for text in found.problems[:1]),
                not found.problems and found.compared > 0),
    ]  # fmt: skip


async def _nothing() -> None:
    """Whatever disturbs, the scenario's faults do."""


async def _find_answering(urls: tuple[str, ...]) -> list[str]:
    """A node that is down has no height."""
    return [url for url in urls if await read_height(url) > 0]


async def _wait_credited(urls: list[str], accounts: list[ChainAccount]) -> None:
    with trio.fail_after(CREDIT_S_MAX):
        for url in urls:
            async with AsyncClient(url) as client:
                for account in accounts:
                    while not await client.call("private/get_subaccounts", owner=account.address_text):
                        await trio.sleep(0.2)


async def _sign(url: str, access: Access, accounts: list[ChainAccount], count: int) -> list[Sent]:
    market = access.config.markets[0]
    async with AsyncClient(url) as client:
        domain = await client.call("public/x_get_domain")
        mark = (await client.ticker(market.symbol)).mark_price_usd
        now_ms: int = (await client.status())["time_ms"]
    if mark is None:
        raise trio.TooSlowError
    ticks = int(mark * BELOW_MARK / Decimal(market.tick_size))
    separator = bytes.fromhex(domain["domain_separator"].removeprefix("0x"))
    return sign_commands(accounts, count, separator, now_ms * 1_000, now_ms + EXPIRY_S * 1_000, ticks)


async def _send_and_hang_up(url: str, entry: Sent) -> None:
    """The whole request leaves, and nobody is there for the answer."""
    where = urlsplit(url)
    body = json.dumps({"command": entry.command.encode().hex()}).encode()
    head = f"POST /api/v2/public/x_submit HTTP/1.1\r\nHost: {where.netloc}\r\nContent-Type: application/json\r\n"
    with suppress(OSError):
        stream = await trio.open_tcp_stream(where.hostname or "", where.port or 0)
        await stream.send_all(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body)
        await stream.aclose()


async def _wait_level(urls: list[str]) -> None:
    """Until every node has what the first one has now, some blocks later."""
    goal = await read_height(urls[0]) + NEAR_BLOCKS
    with trio.fail_after(LEVEL_S_MAX):
        while min([await read_height(url) for url in urls]) < goal:
            await trio.sleep(0.2)
