"""Comparing roots, matching trades, drawing what there is."""

from pathlib import Path

import pytest
import trio
from rich.console import Console

from testnet import table
from testnet.bots import Pacer
from testnet.report import Report, load_report, save_report
from testnet.traders import TradeMatcher
from testnet.watch import NodeView, RootLog

STATUS = {
    "height": 7, "view": 9, "epoch": 1, "peer_count": 3, "validator_count": 4, "is_syncing": False,
    "finality_p50_ms": 60, "finality_p99_ms": 130, "commands_per_s": 25,
    "account_root": "0x" + "ab" * 32, "onchain_height": 5,
}  # fmt: skip


def test_a_height_counts_once_all_nodes_told_the_same() -> None:
    roots = RootLog(3)
    for node in range(3):
        assert roots.compared_count == 0
        roots.add(node, 5, "0xh", "0xs")
    assert (roots.compared_count, roots.compared_height, roots.newest_root) == (1, 5, "0xs")
    assert not roots.disagreements


@pytest.mark.parametrize("other", [("0xh", "0xt"), ("0xi", "0xs")])
def test_one_different_node_is_a_disagreement(other: tuple[str, str]) -> None:
    roots = RootLog(3)
    roots.add(0, 5, "0xh", "0xs")
    roots.add(1, 5, *other)
    assert len(roots.disagreements) == 1
    assert roots.disagreements[0].startswith("height 5: node0 0xs, node1")
    assert roots.compared_count == 0


def test_heights_may_come_in_any_order() -> None:
    roots = RootLog(2)
    for node, height in ((0, 2), (0, 1), (1, 1), (1, 2)):
        roots.add(node, height, f"h{height}", f"s{height}")
    assert (roots.compared_count, roots.compared_height, roots.newest_root) == (2, 2, "s2")


def test_a_trade_seen_at_two_nodes_counts_once() -> None:
    report = Report()
    matcher = TradeMatcher(report)
    for trade_id, node in (("a", 0), ("a", 0), ("a", 1), ("a", 1), ("b", 2), ("b", 2)):
        matcher.see(trade_id, node)
    assert (report.trades_seen, report.cross_node_trades) == (2, 1)


def test_report_reads_back(tmp_path: Path) -> None:
    assert load_report(tmp_path) == Report()
    report = Report(commands_sent=3, refusals={"expired": 1})
    save_report(tmp_path / "bots", report)
    assert load_report(tmp_path / "bots") == report


def test_table_shows_every_node_even_a_silent_one() -> None:
    views = [NodeView("http://127.0.0.1:1", STATUS), NodeView("http://127.0.0.1:2")]
    console = Console(width=160, record=True, stderr=True)
    console.print(table.render(views, RootLog(2), Report(), "0x" + "cd" * 32, 12))
    text = console.export_text()
    for expected in ("node0", "60 / 130 ms", "3/3", "0xabababab", "no answer", "0xcdcdcdcd", "no disagreement"):
        assert expected in text
    assert "heights 7 -" in table.one_line(views, RootLog(2), Report(), "", 12)


async def test_pacer_keeps_the_rate(autojump_clock: object) -> None:
    pacer = Pacer(10)
    started_s = trio.current_time()
    for _ in range(20):
        await pacer.wait(5)
    assert trio.current_time() - started_s == pytest.approx(9.5)
