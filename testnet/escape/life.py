"""The first half of a drill: an exchange that works, until its committee dies in the middle of trading.

Three of the four validators are killed, as a crash kills; a forced entry goes to the contract that no quorum will ever
read; the last validator goes too, as soon as it has told the traders what they ask, or with the others at once.
"""

import random
import signal
from contextlib import suppress
from dataclasses import dataclass, field

import trio
from rich.console import Console

from contracts.forced import ForcedActions
from contracts.settlement import Settlement
from net.client import AsyncClient, HansaError
from net.client.proof import ProofError
from testnet.escape.cast import Cast, make_cast
from testnet.escape.day import Day, DayFailed
from testnet.escape.disks import Disks
from testnet.escape.keeper import Keeper
from testnet.escape.market import Prices
from testnet.funding import deposit_test_usdc
from testnet.launch import Launcher, Network, Options, in_thread
from testnet.local import Child, Processes
from testnet.watch import read_commitment, read_sums

CHECKPOINT_S = 180
LAST_WORDS_S = 60
WITHDRAWAL_USDC = "321.5"
SUDDEN_CHANCE = 0.3
# A late poster needs certified headers above the last checkpoint to choose from.
UNPOSTED_BLOCKS = 12


@dataclass(frozen=True, slots=True)
class Plan:
    """What chance decides, drawn from the seed: when the committee dies, and in which order."""

    life_s: float
    death_order: tuple[int, ...]
    is_sudden: bool = False  # the last validator dies with the others, before anybody can ask it for anything
    has_late_poster: bool = False  # a dishonest validator posts an old header just before the freeze

    @classmethod
    def draw(cls, seed: int, node_count: int) -> "Plan":
        draw = random.Random(f"death/{seed}")
        order = list(range(node_count))
        draw.shuffle(order)
        return cls(draw.uniform(4, 30), tuple(order), draw.random() < SUDDEN_CHANCE)


@dataclass(slots=True)
class Remains:
    """What is left when no validator lives. `without_proof`: who has no proof of the last checkpoint."""

    network: Network
    cast: Cast
    plan: Plan
    disks: Disks
    death_height: int = 0
    checkpoint_height: int = 0
    without_proof: list[str] = field(default_factory=list)


class Life:
    """One run, from an empty folder to the death of the last validator."""

    def __init__(self, options: Options, plan: Plan, prices: Prices, processes: Processes, console: Console) -> None:
        self._options = options
        self._plan = plan
        self._prices = prices
        self._processes = processes
        self._console = console

    async def run(self) -> Remains:
        self._prices.write()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._prices.keep_writing)
            remains = await self._live_and_die()
            nursery.cancel_scope.cancel()
        return remains

    async def _live_and_die(self) -> Remains:
        launcher = Launcher(self._options, self._processes, self._console)
        network = await launcher.bring_up()
        cast = make_cast(self._options.folder / "traders", len(network.nodes))
        contract = network.config.contract
        for person in (cast.daring, cast.vulture):
            await in_thread(deposit_test_usdc, network.rpc_url, contract, person.account, person.deposit_quote)
        settlement = await in_thread(Settlement, network.rpc_url, contract)
        keeper = Keeper(cast.everybody, network.api_urls, settlement)
        remains = Remains(network, cast, self._plan, Disks(self._options.folder, len(network.nodes)))
        async with trio.open_nursery() as nursery:
            nursery.start_soon(keeper.run)
            async with Day(cast, network.api_urls, network.config.markets) as day:
                await day.wait_until_open()
                await day.open_positions()
                await day.make_bad_debt(self._prices)
                await day.ask_for_withdrawal(cast.vulture, WITHDRAWAL_USDC)
            self._say("positions are open, one trader owes more than it has")
            bots = launcher.start_traders(withdraw_after_s=2)
            await trio.sleep(self._plan.life_s)
            await self._wait_for_debt_on_chain(network, settlement)
            if self._plan.has_late_poster:
                await self._wait_for_unposted(network, settlement)
            await self._die(remains, keeper, settlement)
            await in_thread(self._processes.stop, bots)
            nursery.cancel_scope.cancel()
        return remains

    async def _wait_for_debt_on_chain(self, network: Network, settlement: Settlement) -> None:
        """A checkpoint that knows the bad debt: one before it would have nothing to show."""
        with trio.move_on_after(CHECKPOINT_S):
            async with AsyncClient(network.api_urls[0]) as client:
                while True:
                    last = await in_thread(settlement.last)
                    if last.height and read_sums(read_commitment(await client.certificate(last.height)))[1] > 0:
                        return
                    await trio.sleep(0.5)
        raise DayFailed(f"no checkpoint with the bad debt came in {CHECKPOINT_S} s")

    async def _die(self, remains: Remains, keeper: Keeper, settlement: Settlement) -> None:
        network, cast = remains.network, remains.cast
        *first, last = (network.nodes[index] for index in self._plan.death_order)
        for node in [*first, last] if self._plan.is_sudden else first:
            kill(node)
        self._say(f"killed {', '.join(node.name for node in first)}: no quorum is left")
        await in_thread(self._send_what_nobody_reads, network, cast)
        if not self._plan.is_sudden:
            await self._hear_last_words(network.api_urls[self._plan.death_order[-1]], keeper, settlement)
            kill(last)
        height = (await in_thread(settlement.last)).height
        remains.checkpoint_height = height
        remains.without_proof = [person.name for person in keeper.find_lacking(height)]
        remains.death_height = await in_thread(remains.disks.height)
        self._say(f"killed {last.name}: no validator is left, at height {remains.death_height}")

    async def _hear_last_words(self, url: str, keeper: Keeper, settlement: Settlement) -> None:
        """The last validator can finalise nothing, but it answers: whoever lacks a proof gets it."""
        with trio.move_on_after(LAST_WORDS_S):
            while True:
                height = (await in_thread(settlement.last)).height
                with suppress(HansaError, ProofError):
                    await keeper.catch_up(url, height)
                    if height == (await in_thread(settlement.last)).height:
                        return
                await trio.sleep(0.5)

    async def _wait_for_unposted(self, network: Network, settlement: Settlement) -> None:
        """Until certified headers above the last checkpoint are to be had."""
        with trio.move_on_after(CHECKPOINT_S):
            async with AsyncClient(network.api_urls[0]) as client:
                while True:
                    last = await in_thread(settlement.last)
                    if (await client.status())["height"] >= last.height + UNPOSTED_BLOCKS:
                        return
                    await trio.sleep(0.1)
        raise DayFailed(f"no checkpoint fell {UNPOSTED_BLOCKS} blocks behind in {CHECKPOINT_S} s")

    @staticmethod
    def _send_what_nobody_reads(network: Network, cast: Cast) -> None:
        """A forced withdrawal of all that is free, which any quorum would have to obey, and a deposit."""
        forced = ForcedActions(network.rpc_url, network.config.contract, cast.forcing.account.key)
        forced.withdraw(0, forced.token)
        deposit_test_usdc(network.rpc_url, network.config.contract, cast.late.account, cast.late.deposit_quote)

    def _say(self, line: str) -> None:
        self._console.print(line, markup=False, highlight=False, soft_wrap=True)


def kill(node: Child) -> None:
    """As a crash does; nothing is flushed, nobody is told."""
    node.process.send_signal(signal.SIGKILL)
    node.process.wait()
