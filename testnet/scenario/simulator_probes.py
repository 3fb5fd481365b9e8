"""Probes of a simulated network: the same trials as of real ones where its contracts are real, and lost answers among
members instead of connections.
"""

from collections import Counter
from dataclasses import replace
from functools import partial
from typing import assert_never

from engine.commands import BUY, PLACE, Command
from engine.state import EngineState
from engine.views import find_account, open_orders
from testnet.scenario.facts import Verdict
from testnet.scenario.probes import LostAnswer, RemovedLimits, ReplayedExit, Trial, ZeroRoot
from testnet.scenario.probing.access import Access
from testnet.scenario.probing.removed_limits import try_levers
from testnet.scenario.probing.replayed_exit import nothing_was_paid, replay
from testnet.scenario.probing.zero_root import try_zero_roots
from testnet.sim.exchange import EXPIRY_MS
from testnet.sim.stage import Stage
from validator.config import NetworkConfig, ValidatorEntry

SENDS = 5
BETWEEN_MS, SETTLE_MS = 400, 6_000
FAR_BELOW_PERCENT = 95  # of the price: these orders rest


def attempt_trial(trial: Trial, stage: Stage) -> list[Verdict]:
    """Everything that it tries. Contracts are there: the run has probes."""
    match trial:
        case ZeroRoot():
            return try_zero_roots(make_access(stage))
        case RemovedLimits():
            return try_levers(make_access(stage))
        case ReplayedExit():
            return try_replays(stage)
        case LostAnswer(orders=orders):
            return try_lost_answers(stage, orders)
    assert_never(trial)


def make_access(stage: Stage) -> Access:
    """What anybody has of this network; it has no APIs."""
    onchain = stage.onchain
    assert onchain is not None, "a run with probes has contracts"
    onchain.at(stage.now_ms + stage.leap_ms)
    config = NetworkConfig(
        name="simulated", chain_id=stage.exchange.params.chain_id, contract=onchain.deployment.settlement,
        token=onchain.deployment.token, genesis_time_ms=stage.exchange.state.time_ms,
        validators=tuple(
            ValidatorEntry("0x" + operator.hex(), key.hex(), network_key.hex())
            for operator, key, network_key in zip(
                onchain.operators, stage.keys.public_keys, stage.exchange.network_keys
            )
        ),
        markets=stage.exchange.params.markets,
    )  # fmt: skip
    first, *_, last = onchain.traders
    return Access(config, onchain.provider, (), (("withdrawer", first), ("gambler", last)))


def try_replays(stage: Stage) -> list[Verdict]:
    """Of the withdrawal that was paid first."""
    access, onchain = make_access(stage), stage.onchain
    assert onchain is not None, "a run with probes has contracts"
    proven = onchain.prove_first(stage.withdrawals)
    if proven is None or not onchain.settlement.is_claimed(proven[1].index):
        return [nothing_was_paid()]
    owner = next(account for account in onchain.traders if account.address == proven[1].owner)
    cast = tuple((name, owner if name == "withdrawer" else account) for name, account in access.cast)
    return replay(replace(access, cast=cast), *proven)


def try_lost_answers(stage: Stage, orders: int) -> list[Verdict]:
    """Each order goes to several members one after the other, as from somebody who hears no answer; it rests at a price
    of its own, so its executions can be counted.
    """
    market, price_e8 = stage.exchange.params.markets[0], stage.oracle.feeds_e8[0]
    key, owner = stage.bystander.key, stage.bystander.owner
    base_ticks = price_e8 * FAR_BELOW_PERCENT // 100 // market.tick_e8
    up = [node for node in stage.nodes if node.is_up]
    for number in range(orders):
        command = Command.of(
            PLACE, owner, 1 + number, EXPIRY_MS, market=0, side=BUY, size_lots=1,
            price_ticks=base_ticks + number,
        ).signed(key, stage.exchange.separator)  # fmt: skip
        for turn in range(SENDS):
            stage.post_node(turn * BETWEEN_MS, stage.rng.choice(up), "order", (command.encode(), owner))
    stage.play_until(stage.now_ms + SENDS * BETWEEN_MS + SETTLE_MS)
    count = partial(count_resting, owner=owner, first_ticks=base_ticks, orders=orders)
    told = [count(node.executor.final.state) for node in stage.honest if node.is_up]
    once = sum(times == 1 for times in count(stage.auditor.state).values())
    twice = sum(times > 1 for times in count(stage.auditor.state).values())
    differing = sum(counts != told[0] for counts in told)
    name = "lost_answer"
    return [
        Verdict(name, f"each order is sent to {SENDS} members", f"{orders * SENDS} sends", True),
        Verdict(name, "executed exactly once", f"{once} of {orders}, {twice} more often", once == orders),
        Verdict(name, f"{len(told)} members tell the same", f"{differing} differ", not differing and len(told) > 1),
    ]


def count_resting(state: EngineState, owner: bytes, first_ticks: int, orders: int) -> Counter[int]:
    """How many of the account's orders rest at each of these prices."""
    account = find_account(state, owner)
    resting = [] if account is None else open_orders(state, account)
    prices = [order.price_ticks for order in resting if order.market == 0]
    return Counter(price for price in prices if first_ticks <= price < first_ticks + orders)
