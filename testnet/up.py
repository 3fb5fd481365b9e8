"""`hansa testnet up`: a whole network on one machine, from an empty folder to certified roots on chain."""

import json
import signal
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field, replace

import trio
from rich.console import Console
from rich.live import Live

from consensus.messages import fault_bound
from contracts.records import ChainError, Refused
from contracts.settlement import Settlement
from net.client import HansaError
from testnet import summary, table
from testnet.collect import collect_facts
from testnet.homes import FolderError
from testnet.launch import Launcher, LaunchError, Network, Options, Site, in_thread
from testnet.local import Child, ChildDied, NoPlace, Processes
from testnet.report import Report, load_report
from testnet.watch import NodeView, RootLog, Watch

REFRESH_INTERVAL_S = 0.5
LOG_LINE_INTERVAL_S = 5.0
CHAIN_INTERVAL_S = 2.0
FIRST_ROOT = "certified root on the settlement chain"
# An unattended run may go on so much longer until the first withdrawal is claimed, an option has traded and all nodes
# are compared.
OVERTIME_S = 60
WITHDRAW_AFTER_S = 10
EXIT_FAILED = 1
EXIT_USAGE = 2


@dataclass(slots=True)
class Run:
    """What the parts of one run share."""

    options: Options
    network: Network
    settlement: Settlement
    watch: Watch
    started_s: float
    onchain_root: str = ""
    report: Report = field(default_factory=Report)

    @property
    def has_options(self) -> bool:
        """Whether somebody trades them."""
        return any(role == "option_taker" for role, _ in self.network.cast)

    @property
    def elapsed_s(self) -> float:
        return trio.current_time() - self.started_s

    def picture(self) -> tuple[list[NodeView], RootLog, Report, str, float]:
        """What `testnet.table` draws."""
        return self.watch.views, self.watch.roots, self.report, self.onchain_root, self.elapsed_s


def run_up(options: Options, place: AbstractContextManager[Site] | None = None) -> int:
    """Exit code: 0 fine, 1 a condition failed or a process died, 2 the options, the folder or the machine are wrong.
    `place` makes the site and takes it away.
    """
    console = Console(stderr=True)
    try:
        with place or nullcontext(options.site) as site, Processes() as processes:
            return trio.run(_main, replace(options, site=site), processes, console)
    except (FolderError, NoPlace) as error:
        _print(console, f"hansa testnet: {error}")
        return EXIT_USAGE
    except (LaunchError, ChildDied, ChainError, Refused, HansaError) as error:
        _print(console, f"hansa testnet: {error}")
        return EXIT_FAILED


async def _main(options: Options, processes: Processes, console: Console) -> int:
    outcome: list[int] = [0]
    failure: list[Exception] = []
    async with trio.open_nursery() as nursery:
        nursery.start_soon(_stop_on_signal, nursery.cancel_scope, console)
        try:
            outcome[0] = await _run(options, processes, console)
        except* (FolderError, LaunchError, ChildDied, ChainError, Refused, HansaError) as group:
            failure.append(_first(group))
        nursery.cancel_scope.cancel()
    if failure:
        raise failure[0]
    return outcome[0]


def _first(group: BaseExceptionGroup) -> Exception:
    """The first leaf of nested groups."""
    error: BaseException = group
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    assert isinstance(error, Exception)
    return error


async def _stop_on_signal(scope: trio.CancelScope, console: Console) -> None:
    with trio.open_signal_receiver(signal.SIGINT, signal.SIGTERM, signal.SIGHUP) as signals:
        async for _ in signals:
            console.print("stopping; the network's state is kept", highlight=False)
            scope.cancel()
            return


async def _run(options: Options, processes: Processes, console: Console) -> int:
    launcher = Launcher(options, processes, console)
    network = await launcher.bring_up()
    settlement = await in_thread(Settlement, network.rpc_url, network.config.contract)
    is_short = 0 < options.duration_s < 4 * WITHDRAW_AFTER_S
    bots = launcher.start_traders(options.duration_s / 4 if is_short else WITHDRAW_AFTER_S)
    _print_banner(network, options, console)
    run = Run(options, network, settlement, Watch(network.api_urls), trio.current_time())
    facts = None
    async with trio.open_nursery() as nursery:
        await nursery.start(run.watch.run)
        nursery.start_soon(_follow_chain, run, console)
        nursery.start_soon(_read_reports, run)
        nursery.start_soon(_show, run, console)
        nursery.start_soon(_guard, processes, network, options, console)
        if options.duration_s:
            await _wait_for_the_end(run)
            await in_thread(processes.stop, bots)
            facts = await collect_facts(run.watch, run.report, settlement, network, int(run.elapsed_s))
            nursery.cancel_scope.cancel()
    if facts is None:
        return 0
    _print_summary(facts, options, console)
    return summary.exit_code(facts)


async def _wait_for_the_end(run: Run) -> None:
    """The time asked for, and overtime until the slowest thing a run must show has been shown."""
    await trio.sleep(run.options.duration_s)
    with trio.move_on_after(OVERTIME_S):
        while not (run.report.withdrawals_claimed and (run.report.option_trades or not run.has_options)):
            await trio.sleep(0.5)
    last_height = max(view.height for view in run.watch.views)
    with trio.move_on_after(OVERTIME_S):
        while run.watch.roots.compared_height < last_height and run.watch.are_all_there:
            await trio.sleep(0.5)


async def _guard(processes: Processes, network: Network, options: Options, console: Console) -> None:
    """The network outlives the death of validators up to its fault bound; any other child's death ends the run."""
    announced: list[Child] = []
    while True:
        for child in processes.find_dead():
            if child in announced:
                continue
            announced.append(child)
            if child not in network.nodes or len(announced) > fault_bound(len(network.nodes)):
                raise ChildDied(child.describe_end())
            _print(
                console,
                f"{child.describe_end()}\nthe others go on; start it again with\n  {_restart_command(child, options)}",
            )
        await trio.sleep(0.5)


def _restart_command(node: Child, options: Options) -> str:
    if options.site.names:
        return f"docker start {_container_of(node, options)}"
    return f".venv/bin/hansa start --home {node.log_path.parent}"


def _container_of(node: Child, options: Options) -> str:
    return options.site.names[int(node.name.removeprefix("node"))]


def _print(console: Console, text: str) -> None:
    """Text as it is: no colours, no line breaks of rich's own."""
    console.print(text, markup=False, highlight=False, soft_wrap=True)


async def _read_reports(run: Run) -> None:
    """The traders' file."""
    while True:
        run.report = load_report(run.options.folder / "bots")
        await trio.sleep(REFRESH_INTERVAL_S)


async def _follow_chain(run: Run, console: Console) -> None:
    """The last root on chain; the first one ends a newcomer's wait."""
    is_announced = False
    while True:
        try:
            checkpoint = await in_thread(run.settlement.last_checkpoint)
            run.onchain_root = "" if checkpoint is None else "0x" + checkpoint.account_root.hex()
        except ChainError:
            run.onchain_root = ""
        if run.onchain_root and not is_announced:
            is_announced = True
            console.print(f"[green]ok[/] {FIRST_ROOT} [dim]{run.elapsed_s:.1f} s[/]", highlight=False)
        await trio.sleep(CHAIN_INTERVAL_S if is_announced else REFRESH_INTERVAL_S)


async def _show(run: Run, console: Console) -> None:
    """A live table in a terminal, a line now and then elsewhere."""
    if not console.is_terminal:
        while True:
            await trio.sleep(LOG_LINE_INTERVAL_S)
            _print(console, table.one_line(*run.picture()))
    with Live(console=console, auto_refresh=False) as live:
        while True:
            live.update(table.render(*run.picture()), refresh=True)
            await trio.sleep(REFRESH_INTERVAL_S)


def _print_banner(network: Network, options: Options, console: Console) -> None:
    lines = [""]
    is_contained = bool(options.site.names)
    for node, url in zip(network.nodes, network.api_urls):
        where = f"container {_container_of(node, options)}" if is_contained else f"process {node.process.pid}"
        lines.append(f"  {node.name}     {url}  {where}")
    lines += [f"  chain     {network.rpc_url}  (chain id {network.config.chain_id})"]
    lines += [
        f"  contract  {network.config.contract}",
        f"  token     {network.config.token}  (test USDC)",
    ]
    lines += [f"  public    {address}" for address in network.public_addresses]
    lines += [f"  folder    {options.folder}", "", "  traders, each with money on the exchange (well-known test keys):"]
    lines += [f"  {account.address_text}  0x{account.key.hex()}  {role}" for role, account in network.cast]
    url, market = network.api_urls[0], network.config.markets[0].symbol
    key = "0x" + dict(network.cast)["withdrawer"].key.hex()
    lines += [
        "",
        "  try it:",
        f"  .venv/bin/hansa call public/get_order_book instrument_name={market} --url {url}",
        "  .venv/bin/python - <<'END'",
        "  from net.client import Client",
        f'  client = Client("{url}", key="{key}")',
        f'  ask = client.order_book("{market}").asks[0][0]',
        f'  print(client.buy("{market}", "0.01", ask, time_in_force="immediate_or_cancel"))',
        "  print(client.proof())",
        "  END",
        *(
            f"  .venv/bin/hansa follow --genesis {options.folder}/node0/genesis.toml --bootstrap {address}"
            for address in network.public_addresses[:1]
        ),
        f"  docker kill {options.site.names[len(network.nodes) - 1]}"
        if is_contained
        else f"  kill -9 {network.nodes[-1].process.pid}",
        f"  {_restart_command(network.nodes[-1], options)}",
        "",
    ]
    _print(console, "\n".join(lines))


def _print_summary(facts: summary.Facts, options: Options, console: Console) -> None:
    """The machine's copy goes to stdout, the human's to the log."""
    if options.is_json:
        print(json.dumps(summary.to_json(facts)))
    _print(console, summary.to_text(facts))
