"""What a run over slow lines has shown, and what is asked of it."""

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median, pstdev

from testnet.counters import Window
from testnet.faults.line import Carried, Echoes
from testnet.faults.weather import Weather
from testnet.verdicts import Row, at_most

# What a proposal, two votes and the execution may take besides their four ways over the line.
OWN_WORK_MS = 50
# Of the probe's own machine: two system calls, and the wait for a processor.
PROBE_SLACK_MS = 10
LATE_MS_MAX = 20


@dataclass(frozen=True, slots=True)
class Isolated:
    """One member whose lines were cut: blocks of the others meanwhile, and how long it took to be with them again."""

    seconds: float
    blocks: int
    back_s: float


@dataclass(frozen=True, slots=True)
class Outcome:
    """All that one committee has shown."""

    member_count: int
    weather: Weather
    before: list[Echoes]
    after: list[Echoes]
    idle: Window
    load: Window
    order_ms: list[int]
    carried: Carried
    isolated: Isolated
    compared: int
    disagreements: list[str]


def list_line_rows(name: str, echoes: Sequence[Echoes], weather: Weather) -> list[Row]:
    """Every line must be as it was set: a router that died passes nothing, one that is starved passes it late."""
    middles = [median(echo.rtt_ms) if echo.rtt_ms else 0.0 for echo in echoes]
    spreads = [pstdev(echo.rtt_ms) if echo.rtt_ms else 0.0 for echo in echoes]
    sent, back = sum(echo.sent for echo in echoes), sum(len(echo.rtt_ms) for echo in echoes)
    low_ms = 2 * (weather.delay_ms - weather.jitter_ms)
    high_ms = 2 * (weather.delay_ms + weather.jitter_ms) + PROBE_SLACK_MS
    is_right = low_ms <= min(middles) and max(middles) <= high_ms
    return [
        Row(
            f"round trip of {len(echoes)} directions, median, {name}",
            f"{min(middles):.1f} to {max(middles):.1f} ms", f"{low_ms:g} to {high_ms:g} ms", is_right,
        ),
        Row(f"standard deviation of a line's round trips, {name}", f"{min(spreads):.1f} to {max(spreads):.1f} ms"),
        Row(f"echoes lost, {name}", f"{sent - back} of {sent}"),
    ]  # fmt: skip


def list_carried_row(carried: Carried, weather: Weather) -> Row:
    """Ten standard deviations of a fair draw are no accident."""
    total = carried.carried + carried.dropped
    expected = total * weather.lost
    is_fair = abs(carried.dropped - expected) <= 10 * max(1.0, expected) ** 0.5
    share = carried.dropped / max(1, total)
    return Row("packets lost", f"{carried.dropped} of {total} ({share:.2%})", f"{weather.lost:.2%}", is_fair)


def list_rows(outcome: Outcome) -> list[Row]:
    weather, idle, load = outcome.weather, outcome.idle, outcome.load
    limit_ms = 4 * weather.delay_ms + OWN_WORK_MS
    delays = max(1.0, weather.delay_ms)
    ordered = sorted(outcome.order_ms)
    return [
        *list_line_rows("before", outcome.before, weather),
        at_most("finality p50 without traders", idle.finality_p50_ms, limit_ms, "ms"),
        at_most("finality p50 with traders", load.finality_p50_ms, limit_ms, "ms"),
        Row("the same in one-way delays", f"{load.finality_p50_ms / delays:.2f}"),
        Row("finality p99 without / with traders", f"{idle.finality_p99_ms} / {load.finality_p99_ms} ms"),
        Row("since the proposal, with traders, p50", describe_steps(load)),
        Row("blocks/s without / with traders", f"{idle.blocks_per_s:.1f} / {load.blocks_per_s:.1f}"),
        Row("actions/s", f"{load.actions_per_s:.0f}"),
        Row(
            "order sent to final answer p50 / p99",
            f"{pick(ordered, 50)} / {pick(ordered, 99)} ms of {len(ordered)} orders",
        ),
        Row("CPU of one node for one block", f"{load.cpu_ms_per_block:.1f} ms"),
        Row("frames out / writes a block and node", f"{load.frames_out_per_block:.1f} / {load.writes_per_block:.1f}"),
        *list_isolation_rows(outcome),
        Row(
            "heights with one root on all nodes", str(outcome.compared), "> 0, no disagreement",
            outcome.compared > 0 and not outcome.disagreements,
        ),
        list_carried_row(outcome.carried, weather),
        at_most("a packet handed over too late, worst under load", outcome.carried.late_ms, LATE_MS_MAX, "ms"),
        *list_line_rows("after", outcome.after, weather),
    ]  # fmt: skip


def describe_steps(window: Window) -> str:
    """Where the time to finality goes, as all nodes see it."""
    return ", ".join(f"{step.replace('_', ' ')} {ms} ms" for step, ms in window.steps_p50_ms.items())


def list_isolation_rows(outcome: Outcome) -> list[Row]:
    """From four members on, one may be missing."""
    isolated = outcome.isolated
    needs_all = outcome.member_count < 4
    return [
        Row(
            f"blocks while one was cut off for {isolated.seconds:.0f} s",
            str(isolated.blocks),
            "" if needs_all else "> 0",
            None if needs_all else isolated.blocks > 0,
        ),
        Row("its line mended, until it was with the others", f"{isolated.back_s:.1f} s"),
    ]  # fmt: skip


def pick(ordered: Sequence[int], percent: int) -> int:
    """A percentile of an ordered list; 0 without values."""
    return ordered[min(len(ordered) - 1, len(ordered) * percent // 100)] if ordered else 0
