"""`python -m testnet.crash_test`: kill -9 at a thousand random points of a running network under load.

Four validators, real processes, sockets and disks; a settlement chain and traders beside them. Any of the four dies at
any moment, sometimes two at once or all, also while it starts. Everything that each of them ever wrote down is
audited: no two contradicting statements of one key, no certified block lost, one block with one root at every height.
Exit code 0 only if nothing was found.
"""

import json
import shutil
import sys
import time
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Annotated

import cyclopts
import trio
from cyclopts import Parameter
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.table import Table

from contracts.records import ChainError, Refused
from testnet.crash.audit import Audit
from testnet.crash.campaign import Campaign, Findings, percentile
from testnet.crash.validators import CrashTestError, Validators
from testnet.homes import FolderError, node_home
from testnet.launch import Launcher, LaunchError, Network, Options
from testnet.local import ChildDied, Processes
from validator.config import load_node, save_toml
from validator.observing import has_mark

VALIDATOR_COUNT = 4
# A restart replays what came after the newest snapshot.
SNAPSHOT_INTERVAL_BLOCKS = 50
RESTART_TO_VOTE_S_MAX = 5.0
CATCH_UP_RATIO_MIN = 20.0
SHOWN_VIOLATIONS_MAX = 20
RESULTS = Path("build/results/crash-test.json")


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the verdict; `is_met` None for a figure without a goal."""

    measure: str
    value: str
    goal: str = ""
    is_met: bool | None = None


def list_rows(findings: Findings, audit: Audit, elapsed_s: float) -> list[Row]:
    """What was done, what was found."""
    times_s = findings.restart_to_vote_s
    at_once = ", ".join(f"{name} {count}" for name, count in sorted(findings.events.items()))
    slowest_s = max(times_s, default=0.0)
    spread = f"p50 {percentile(times_s, 0.5):.2f} s, p99 {percentile(times_s, 0.99):.2f} s, max {slowest_s:.2f} s"
    return [
        Row("kills", f"{findings.kills} in {elapsed_s / 60:.1f} min ({at_once})"),
        Row("killed before the first vote of a start", str(findings.killed_before_first_vote)),
        Row("statements of four keys", f"{audit.statements.count}, of {audit.certificate_count} certificates"),
        Row("heights compared", str(findings.heights_compared), "> 0", findings.heights_compared > 0),
        Row("violations", str(len(findings.violations)), "0", not findings.violations),
        Row(
            "restart to voting, others up", f"{spread} of {len(times_s)}", f"<= {RESTART_TO_VOTE_S_MAX:.0f} s",
            slowest_s <= RESTART_TO_VOTE_S_MAX if times_s else None,
        ),
        Row(
            "catching up", f"{findings.catch_up_blocks} blocks at {findings.catch_up_blocks_per_s:.0f}/s, network "
            f"{findings.network_blocks_per_s:.1f}/s: {findings.catch_up_ratio:.0f} x",
            f">= {CATCH_UP_RATIO_MIN:.0f} x", findings.catch_up_ratio >= CATCH_UP_RATIO_MIN,
        ),
        Row("blocks and states lost: from a peer's snapshot to voting", f"{findings.disk_lost_to_vote_s:.2f} s"),
    ]  # fmt: skip


def write_results(findings: Findings, rows: list[Row], seed: int, elapsed_s: float) -> None:
    RESULTS.parent.mkdir(parents=True, exist_ok=True)
    plain = asdict(findings) | {"catch_up_ratio": findings.catch_up_ratio}
    times_s = plain.pop("restart_to_vote_s")
    plain["restart_to_vote_s"] = {
        "count": len(times_s), "p50": percentile(times_s, 0.5), "p99": percentile(times_s, 0.99),
        "max": max(times_s, default=0.0),
    }  # fmt: skip
    body = {"seed": seed, "elapsed_s": elapsed_s, "findings": plain, "rows": [asdict(row) for row in rows]}
    RESULTS.write_text(json.dumps(body, indent=1) + "\n")


def print_rows(rows: list[Row], findings: Findings, console: Console) -> None:
    table = Table("measure", "value", "goal", "")
    for row in rows:
        mark = "" if row.is_met is None else "[green]ok[/]" if row.is_met else "[red]MISSED[/]"
        table.add_row(row.measure, row.value, row.goal, mark)
    console.print(table)
    for violation in findings.violations[:SHOWN_VIOLATIONS_MAX]:
        console.print(f"violation: {violation}", markup=False, highlight=False, soft_wrap=True)


def lose_disk(folder: Path, index: int) -> None:
    """Delete blocks and states, keep guard and journal; from now on the validator prefers snapshots."""
    home = node_home(folder, index)
    for path in home.data.glob("blocks.sqlite*"):
        path.unlink()
    shutil.rmtree(home.data / "snapshots", ignore_errors=True)
    save_toml(home.config, replace(load_node(home.config), snapshot_gap_blocks=SNAPSHOT_INTERVAL_BLOCKS))


def lose_all(folder: Path, index: int) -> None:
    """A new disk: nothing but the configuration and the keys."""
    lose_disk(folder, index)
    shutil.rmtree(node_home(folder, index).data)


async def _bring_up(launcher: Launcher) -> Network:
    return await launcher.bring_up()


def _prepare(options: Options, processes: Processes, console: Console) -> Launcher:
    """A founded and funded network whose validators have ended again."""
    launcher = Launcher(options, processes, console)
    network = trio.run(_bring_up, launcher)
    for child in network.nodes:
        processes.stop(child)
    for index in range(VALIDATOR_COUNT):
        path = node_home(options.folder, index).config
        config = replace(load_node(path), snapshot_interval_blocks=SNAPSHOT_INTERVAL_BLOCKS, log_level="warning")
        save_toml(path, config)
    return launcher


def run_campaign(options: Options, kill_count: int, console: Console) -> int:
    """0 fine, 1 something was found."""
    with Processes() as processes:
        launcher = _prepare(options, processes, console)
        started_s = time.monotonic()
        validators = Validators(processes, options.folder, VALIDATOR_COUNT)
        folders = [node_home(options.folder, index).data for index in range(VALIDATOR_COUNT)]
        audit = Audit(folders, SNAPSHOT_INTERVAL_BLOCKS)
        bar = Progress(
            TextColumn("killing validators"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(),
            TimeRemainingColumn(), console=console,
        )  # fmt: skip
        with bar:
            task = bar.add_task("kills", total=kill_count)
            campaign = Campaign(validators, audit, options.seed, lambda count: bar.advance(task, count))
            launcher.start_traders(withdraw_after_s=10)
            campaign.run(kill_count)
        if not campaign.findings.violations:
            campaign.measure_catch_up()
            campaign.measure_lost_disk(lambda index: lose_disk(options.folder, index))
            campaign.measure_lost_guard(
                lambda index: lose_all(options.folder, index),
                lambda index: has_mark(node_home(options.folder, index).data, 1),
            )
        campaign.finish()
    elapsed_s = time.monotonic() - started_s
    rows = list_rows(campaign.findings, audit, elapsed_s)
    write_results(campaign.findings, rows, options.seed, elapsed_s)
    print_rows(rows, campaign.findings, console)
    return 1 if any(row.is_met is False for row in rows) else 0


def crash_test(
    *,
    kills: Annotated[int, Parameter(help="how many validators to kill")] = 1_000,
    seed: Annotated[int, Parameter(help="of who dies when; the machine adds its own chance")] = 1,
    dir: Annotated[Path, Parameter(help="where the network lives; made anew")] = Path(".hansa-drills/crash"),
    rate: Annotated[float, Parameter(help="commands per second, all traders together")] = 30.0,
    base_port: Annotated[int, Parameter(help="first port to try")] = 29600,
) -> int:
    """Kill validators of a running four-node network under load at random points, and audit all they wrote.

    Example: python -m testnet.crash_test --kills 50
    """
    console = Console(stderr=True)
    folder = dir.resolve()
    options = Options(VALIDATOR_COUNT, folder, "embedded", seed, 0, False, rate, base_port, True)
    try:
        return run_campaign(options, kills, console)
    except (FolderError, LaunchError, ChildDied, ChainError, Refused, CrashTestError) as error:
        console.print(f"crash test: {error}", markup=False, highlight=False, soft_wrap=True)
        return 2


if __name__ == "__main__":
    sys.exit(cyclopts.App(name="crash_test", default_command=crash_test)())
