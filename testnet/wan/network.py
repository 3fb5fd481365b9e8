"""One committee over slow lines, from its founding to the last figure."""

import trio
from rich.console import Console

from testnet.bench_figures import read_height
from testnet.counters import Window, compare, read_counters
from testnet.failures import wait_for_signal
from testnet.faults.line import Lines
from testnet.faults.namespaces import DESK_HOST, MEMBERS_MAX, Namespaces, desk_address, line_address, prefix_of
from testnet.faults.weather import Weather
from testnet.launch import Launcher, Network, Options, Site, in_thread
from testnet.local import Processes
from testnet.report import load_report
from testnet.wan.figures import Isolated, Outcome
from testnet.watch import Watch

WITHDRAW_AFTER_S = 10.0
SETTLE_S = 5.0
CUT_S = 8.0
BACK_S_MAX = 60.0
COMPARE_S_MAX = 30.0
NEAR_BLOCKS = 3
POLL_S = 0.2

SITE = Site(
    chain_host=DESK_HOST,
    peer_hosts=tuple(map(line_address, range(MEMBERS_MAX))),
    api_hosts=tuple(map(desk_address, range(MEMBERS_MAX))),
    prefixes=tuple(map(prefix_of, range(MEMBERS_MAX))),
)


async def run_committee(options: Options, weather: Weather, window_s: float, console: Console) -> Outcome:
    """Everything that is started is gone when this returns, or raises."""
    async with trio.open_nursery() as nursery:
        nursery.start_soon(wait_for_signal)
        outcome = await _run(options, weather, window_s, console)
        nursery.cancel_scope.cancel()
    return outcome


async def _run(options: Options, weather: Weather, window_s: float, console: Console) -> Outcome:
    count = options.validator_count
    with Namespaces(count) as namespaces, Processes() as processes:
        # Not in a thread: a child dies with the thread that starts it.
        lines = Lines(processes, namespaces, weather, options.seed, options.folder.parent)
        console.print(f"{count} namespaces; the lines between them as they are", highlight=False)
        before = await in_thread(lines.probe)
        launcher = Launcher(options, processes, console)
        network = await launcher.bring_up()
        watch = Watch(network.api_urls)
        async with trio.open_nursery() as nursery:
            await nursery.start(watch.run)
            await trio.sleep(SETTLE_S)
            console.print(f"without traders, {window_s:.0f} s", highlight=False)
            idle = await observe(network, window_s)
            launcher.start_traders(WITHDRAW_AFTER_S)
            await trio.sleep(SETTLE_S)
            report = load_report(options.folder / "bots")
            await in_thread(lines.read)  # forgets how late packets were until now
            console.print(f"with traders, {window_s:.0f} s", highlight=False)
            load = await observe(network, window_s)
            carried = await in_thread(lines.read)
            later = load_report(options.folder / "bots")
            console.print(f"one member cut off for {CUT_S:.0f} s", highlight=False)
            isolated = await cut_off(network, lines, weather)
            await wait_until_compared(watch)
            nursery.cancel_scope.cancel()
        console.print("the lines afterwards", highlight=False)
        after = await in_thread(lines.probe)
        new_orders = later.orders_timed - report.orders_timed
        return Outcome(
            count, weather, before, after, idle, load, later.order_ms[-new_orders:] if new_orders else [], carried,
            isolated, watch.roots.compared_count, watch.roots.disagreements,
        )  # fmt: skip


async def observe(network: Network, window_s: float) -> Window:
    before = await read_counters(network.api_urls)
    await trio.sleep(window_s)
    return compare(before, await read_counters(network.api_urls))


async def cut_off(network: Network, lines: Lines, weather: Weather) -> Isolated:
    """The last member hears nobody and nobody hears it; its API and its chain are of the other network."""
    index = len(network.nodes) - 1
    witness_url, own_url = network.api_urls[0], network.api_urls[index]
    height = await read_height(witness_url)
    await in_thread(lines.isolate, index, Weather(is_cut=True))
    await trio.sleep(CUT_S)
    blocks = await read_height(witness_url) - height
    await in_thread(lines.isolate, index, weather)
    mended_s = trio.current_time()
    with trio.fail_after(BACK_S_MAX):
        while await read_height(own_url) < await read_height(witness_url) - NEAR_BLOCKS:
            await trio.sleep(POLL_S)
    return Isolated(CUT_S, blocks, trio.current_time() - mended_s)


async def wait_until_compared(watch: Watch) -> None:
    """Until every height that there is now is known to be the same on all nodes."""
    height = max(view.height for view in watch.views)
    with trio.move_on_after(COMPARE_S_MAX):
        while watch.roots.compared_height < height and not watch.roots.disagreements:
            await trio.sleep(POLL_S)
