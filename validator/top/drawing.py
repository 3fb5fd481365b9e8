"""Looks as text with colours, for a panel of any width; nothing here knows the terminal."""

from collections.abc import Sequence

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from validator.top.findings import Finding
from validator.top.looks import Look, merge_members

BARS = "▁▂▃▄▅▆▇█"
WELL, ODD, WRONG, QUIET = "green", "yellow", "bold red", "dim"
NONE = "-"


def draw_sparkline(values: Sequence[float], width_columns: int) -> str:
    """The newest values, the highest of them as a full bar."""
    shown = list(values)[-width_columns:]
    most = max(shown, default=0.0)
    if most <= 0:
        return BARS[0] * len(shown)
    return "".join(BARS[min(len(BARS) - 1, int(value / most * len(BARS)))] for value in shown)


def draw_network(
    looks: Sequence[Look], blocks_per_s: float | None, history_ms: Sequence[float], width: int
) -> RenderableType:
    """Where the chain is, how fast it goes, what reached the settlement chain, how fresh prices are."""
    there = [look for look in looks if look.is_there]
    if not there:
        return Text("no node answers", style=WRONG)
    best = max(there, key=lambda look: look.height)
    p50_ms, p99_ms = max(look.finality_p50_ms for look in there), max(look.finality_p99_ms for look in there)
    first = Text.assemble(
        ("height ", QUIET), (f"{best.height:,}", "bold"), ("  view ", QUIET), f"{best.view:,}",
        ("  epoch ", QUIET), str(best.epoch), ("  actions/s ", QUIET), f"{best.actions_per_s:,}",
        ("  blocks/s ", QUIET), NONE if blocks_per_s is None else f"{blocks_per_s:.1f}",
    )  # fmt: skip
    finality = Text.assemble(
        ("finality ", QUIET), f"p50 {p50_ms} ms  p99 {p99_ms} ms  ",
        (draw_sparkline(history_ms, max(8, width - 36)), "cyan"),
    )  # fmt: skip
    lines = [first, finality, _draw_chain(there, best), _draw_prices(best), _draw_roots(there)]
    for line in lines:
        line.truncate(width, overflow="ellipsis")
    return Group(*lines)


def _draw_chain(there: Sequence[Look], best: Look) -> Text:
    escapes_s = [look.gauges.escape_s_left for look in there if look.gauges.escape_s_left is not None]
    well = sum(not fault for _, fault in best.endpoints)
    return Text.assemble(
        ("on chain ", QUIET), f"{best.onchain_height:,}", (f" ({best.unchained_blocks:,} behind)", QUIET),
        ("  posted ", QUIET), f"{best.posted_height:,}",
        ("  escape ", QUIET), f"in {format_span(min(escapes_s))}" if escapes_s else NONE,
        ("  endpoints ", QUIET), (f"{well}/{len(best.endpoints)}", WELL if well == len(best.endpoints) else WRONG),
    )  # fmt: skip


def _draw_prices(best: Look) -> Text:
    text = Text.assemble(("oracle ", QUIET))
    for index in best.indexes:
        text.append(f"{index.name} {index.price_usd}")
        text.append(f" {index.age_s:.1f} s {index.dispersion_bps} bps  ", WELL if index.is_fresh else WRONG)
    return text if best.indexes else text.append("no price yet", ODD)


def _draw_roots(there: Sequence[Look]) -> Text:
    told = [(height, root) for look in there for height, root in look.state_roots.items()]
    if not told:
        return Text.assemble(("roots ", QUIET), NONE)
    height = max(at for at, _ in told)
    roots = {root for at, root in told if at == height}
    count = sum(at == height for at, _ in told)
    verdict = (f"{count} equal", WELL) if len(roots) == 1 else (f"{len(roots)} DIFFERENT", WRONG)
    return Text.assemble(("roots ", QUIET), verdict, (f" at {height:,}  ", QUIET), min(roots)[:18] + "…")


# (heading, from this many columns on, cell)
NODE_COLUMNS = (
    ("node", 0, lambda look, head: look.name),
    ("state", 0, lambda look, head: describe_state(look)),
    ("height", 0, lambda look, head: f"{look.height:,}"),
    ("lag", 0, lambda look, head: str(head - look.height)),
    ("peers", 0, lambda look, head: f"{look.peer_count}/{look.validator_count - 1}"),
    ("p50", 0, lambda look, head: f"{look.finality_p50_ms}"),
    ("p99 ms", 0, lambda look, head: f"{look.finality_p99_ms}"),
    ("act/s", 0, lambda look, head: str(look.actions_per_s)),
    ("waiting", 70, lambda look, head: _or_none(look.gauges.waiting_count, "d")),
    ("fsync p99", 84, lambda look, head: _in_ms(look.gauges.fsync_p99_s)),
    ("block p99", 96, lambda look, head: _in_ms(look.gauges.block_p99_s)),
    ("loop p99", 108, lambda look, head: _in_ms(look.gauges.loop_lag_p99_s)),
    ("clock", 120, lambda look, head: _in_ms(look.gauges.clock_ahead_s)),
    ("missed", 130, lambda look, head: _or_none(look.gauges.missed_count, "d")),
    ("memory", 140, lambda look, head: _in_mib(look.gauges.resident_bytes)),
)


def draw_nodes(looks: Sequence[Look], width: int) -> RenderableType:
    """A line for each node, as many columns as there is room for."""
    head = max((look.height for look in looks), default=0)
    columns = [column for column in NODE_COLUMNS if column[1] <= width]
    table = Table(box=None, padding=(0, 1), pad_edge=False, header_style=QUIET)
    for heading, _, _ in columns:
        table.add_column(heading, justify="left" if heading in ("node", "state") else "right", no_wrap=True)
    for look in looks:
        if look.is_there:
            table.add_row(*(cell(look, head) for _, _, cell in columns), style="" if not look.is_syncing else ODD)
        else:
            table.add_row(look.name, Text("no answer", style=WRONG))
    return table


def describe_state(look: Look) -> str:
    if look.is_halted:
        return "halted"
    if look.is_syncing:
        return "syncing"
    return "votes" if any(member.is_this_node for member in look.members) else "follows"


def draw_committee(looks: Sequence[Look], width: int) -> RenderableType:
    """Every seat; the bar is full for a vote in every certificate. A certificate is made by the first quorum, so q of
    n is an even share.
    """
    members = merge_members(looks)
    if not members:
        return Text(NONE)
    quorum = max(look.quorum for look in looks if look.is_there)
    names = {
        member.index: look.name for look in looks if look.is_there for member in look.members if member.is_this_node
    }
    share = quorum / len(members)
    table = Table(box=None, padding=(0, 1), pad_edge=False, header_style=QUIET)
    for heading in ("seat", "member", "node", "in certificates", "", "missed"):
        table.add_column(heading, justify="left" if heading in ("node", "in certificates") else "right", no_wrap=True)
    bar_columns = max(10, min(60, width - 44))
    for member in members:
        part = member.signed / max(1, member.blocks)
        style = WRONG if member.blocks and not member.signed else ODD if part < share / 2 else WELL
        filled = round(part * bar_columns)
        bar = Text.assemble(("█" * filled, style), ("░" * (bar_columns - filled), QUIET))
        table.add_row(
            str(member.index), str(member.number), names.get(member.index, NONE), bar, f"{part:.0%}",
            str(member.blocks - member.signed),
        )  # fmt: skip
    note = f"quorum {quorum} of {len(members)}; an even share is {share:.0%}"
    return Group(table, Text(note, style=QUIET))


def draw_findings(findings: Sequence[Finding]) -> RenderableType:
    """What is wrong, with the name under which docs/operate.md says what to do."""
    if not findings:
        return Text("nothing is wrong", style=WELL)
    table = Table(box=None, padding=(0, 1), pad_edge=False, show_header=False)
    table.add_column(no_wrap=True, style=WRONG)
    table.add_column(no_wrap=True)
    table.add_column()
    for finding in findings:
        table.add_row(finding.name, finding.node or "network", finding.text)
    return table


def format_span(left_s: float) -> str:
    """In its two largest units."""
    if left_s < 60:
        return f"{max(0, left_s):.0f} s"
    minutes, seconds = divmod(int(left_s), 60)
    hours, minutes = divmod(minutes, 60)
    if not hours:
        return f"{minutes} min {seconds} s"
    days, hours = divmod(hours, 24)
    return f"{days} d {hours} h" if days else f"{hours} h {minutes} min"


def _or_none(value: int | None, form: str) -> str:
    return NONE if value is None else format(value, form)


def _in_ms(value_s: float | None) -> str:
    return NONE if value_s is None else f"{value_s * 1000:g} ms"


def _in_mib(value_bytes: int | None) -> str:
    return NONE if value_bytes is None else f"{value_bytes >> 20} MiB"
