"""Commands sent again and again to nodes of which one dies and comes back: `testnet.retry_storm`, on a small scale."""

import random
import time

import pytest
import trio

from net.client import AsyncClient
from testnet.retry_storm.audit import audit
from testnet.retry_storm.commands import sign_commands
from testnet.retry_storm.storm import SENDS, Storm
from tests.network.harness import NODE_COUNT, LocalNetwork, wait_until

COMMANDS = 48
VICTIM = 1


@pytest.mark.slow
def test_each_command_executes_once_and_all_nodes_say_the_same_of_it(network: LocalNetwork) -> None:
    cancel_all(network)
    draw = random.Random(5)
    storm = Storm(network.urls, draw)
    with network.client(0) as client:
        domain = client.call("public/x_get_domain")
        mark_usd = client.ticker("BTC-PERPETUAL").mark_price_usd
    now_us = time.time_ns() // 1000
    sent = sign_commands(
        network.traders, COMMANDS, bytes.fromhex(domain["domain_separator"][2:]), now_us, now_us // 1000 + 600_000,
        int(mark_usd * 10) * 99 // 100,
    )  # fmt: skip

    async def disturb() -> None:
        await storm.wait_done(COMMANDS // 4)
        network.kill_node(VICTIM)
        await storm.wait_done(COMMANDS // 2)
        network.start_node(VICTIM)

    trio.run(storm.run, sent, disturb)
    goal = network.height(0) + 2
    for node in range(NODE_COUNT):
        wait_until(lambda node=node: network.height(node) >= goal, 60, f"node{node} has it all")
    findings = trio.run(audit, network.urls, sent, storm.answers)
    assert findings.problems == []
    assert findings.executed_once == COMMANDS and storm.counts["sends"] >= SENDS * COMMANDS


def cancel_all(network: LocalNetwork) -> None:
    """The orders that other tests have left."""

    async def main() -> None:
        for trader in network.traders:
            async with AsyncClient(network.urls[0], trader.key.hex()) as client:
                await client.cancel_all()

    trio.run(main)
