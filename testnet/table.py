"""The live picture of a local network, as a rich table."""

from rich.table import Table

from testnet.report import Report
from testnet.watch import NodeView, RootLog

COLUMNS = ("node", "API", "height", "view", "peers", "finality p50 / p99", "commands/s", "certified root", "on chain")
LEFT_COLUMNS = ("node", "API", "certified root")


def render(views: list[NodeView], roots: RootLog, report: Report, onchain_root: str, elapsed_s: float) -> Table:
    """One row for each node, the whole network in the caption."""
    table = Table(title=f"Hansa, {elapsed_s:.0f} s", caption=caption(roots, report, onchain_root), title_justify="left")
    for name in COLUMNS:
        table.add_column(name, justify="left" if name in LEFT_COLUMNS else "right")
    for index, view in enumerate(views):
        table.add_row(f"node{index}", view.url.removeprefix("http://"), *cells(view))
    return table


def cells(view: NodeView) -> list[str]:
    """The changing columns of one node."""
    status = view.status
    if not status:
        return ["no answer", "", "", "", "", "", ""]
    height = f"{status['height']}{' syncing' if status['is_syncing'] else ''}"
    return [
        height,
        str(status["view"]),
        f"{status['peer_count']}/{status['validator_count'] - 1}",
        f"{status['finality_p50_ms']} / {status['finality_p99_ms']} ms",
        str(status["commands_per_s"]),
        shorten(status["account_root"]),
        str(status["onchain_height"]),
    ]


def caption(roots: RootLog, report: Report, onchain_root: str) -> str:
    agree = f"{len(roots.disagreements)} DISAGREEMENTS" if roots.disagreements else "no disagreement"
    return (
        f"{roots.compared_count} roots compared, {agree}; root on chain {shorten(onchain_root) or 'none yet'}; "
        f"{report.commands_sent} commands, {report.trades_seen} trades ({report.cross_node_trades} across nodes, "
        f"{report.option_trades} in options), "
        f"{report.liquidations} liquidations, {report.withdrawals_claimed} withdrawals claimed"
    )


def one_line(views: list[NodeView], roots: RootLog, report: Report, onchain_root: str, elapsed_s: float) -> str:
    """The same for a log file."""
    heights = " ".join(str(view.height) if view.status else "-" for view in views)
    p99_ms = max((view.status.get("finality_p99_ms", 0) for view in views), default=0)
    return f"{elapsed_s:4.0f} s  heights {heights}  p99 {p99_ms} ms  {caption(roots, report, onchain_root)}"


def shorten(root: str) -> str:
    return root[:10] + "…" if root else ""
