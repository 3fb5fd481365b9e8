"""`hansa top` shows what nodes say, keeps room for the others when one is away, and names what is wrong as the alert
rules do.
"""

import asyncio
import html
import json
import re
from dataclasses import replace
from pathlib import Path

import pytest
import trio
from rich.console import Console

from tests.net.web_exchange import open_exchange
from validator.__main__ import run_words
from validator.alerts import ALERTS
from validator.config import ConfigError, NodeConfig, save_toml
from validator.top import findings as findings_module
from validator.top.drawing import BARS, draw_committee, draw_nodes, draw_sparkline, format_span
from validator.top.findings import list_findings
from validator.top.looks import WINDOW_LOOKS, Gauges, Index, Look, Member, Page, merge_members, parse_page
from validator.top.reading import Reader, Watched
from validator.top.screen import Top
from validator.top_command import choose_nodes

PAGE = """# HELP hansa_fsync_seconds Waits
# TYPE hansa_fsync_seconds histogram
hansa_fsync_seconds_bucket{le="0.001"} 90.0
hansa_fsync_seconds_bucket{le="0.1"} 99.0
hansa_fsync_seconds_bucket{le="+Inf"} 100.0
hansa_state_root_mismatch_total{seat="0"} 1.0
hansa_state_root_mismatch_total{seat="1"} 2.0
hansa_escape_seconds_left 7200.5
hansa_build_info{version="0.1.0",genesis="a,b"} 1.0
process_resident_memory_bytes 2.5e+08
"""
WELL = Look(
    "node0", "http://a", 100.0, height=1_000, peer_count=3, validator_count=4, finality_p99_ms=90, quorum=3,
    onchain_height=990, members=tuple(Member(at, at, 750, 1_000, at == 0) for at in range(4)),
    indexes=(Index("BTC", "60000", 0.5, True, 3),), endpoints=(("chain", ""),),
)  # fmt: skip


def text_of(picture, width: int = 100) -> str:
    console = Console(width=width, record=True, file=open("/dev/null", "w"))  # noqa: SIM115
    console.print(picture)
    return console.export_text()


def names_of(*looks: Look) -> list[str]:
    return [finding.name for finding in list_findings(looks)]


def test_a_page_is_read_as_sums_and_as_quantiles_of_what_is_new():
    page = Page()
    seen = page.read(PAGE)
    assert (seen.fsync_p99_s, seen.mismatch_count, seen.escape_s_left) == (0.1, 3, 7200.5)
    assert seen.resident_bytes == 250_000_000 and seen.waiting_count is None and seen.refused_count == 0
    later = PAGE.replace(" 90.0", " 190.0").replace(" 99.0", " 199.0").replace(" 100.0", " 200.0")
    assert [page.read(later).fsync_p99_s for _ in range(WINDOW_LOOKS)] == [0.001] * WINDOW_LOOKS
    assert page.read(later).fsync_p99_s is None  # nothing came within the window
    (build,) = [sample for sample in parse_page(PAGE) if sample.name == "hansa_build_info"]
    assert build.labels == {"version": "0.1.0", "genesis": "a,b"}


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({}, []),
        ({"fault": "no route"}, ["HansaDown"]),
        ({"is_syncing": True}, ["HansaCatchingUp"]),
        ({"block_age_s": 31.0}, ["HansaStalled"]),
        ({"is_halted": True}, ["HansaStalled"]),
        ({"peer_count": 1}, ["HansaFewPeers"]),
        ({"finality_p99_ms": 1_001}, ["HansaSlowFinality"]),
        ({"endpoints": (("chain", "behind"),)}, ["HansaChainEndpointDown"]),
        ({"culprits": (2,)}, ["HansaByzantine"]),
        ({"onchain_height": -20_000}, ["HansaCheckpointLag"]),
        ({"indexes": (Index("BTC", "1", 11.0, False, 101),)}, ["HansaOracleStale", "HansaOracleSpread"]),
        ({"members": (*WELL.members[:3], Member(3, 3, 0, 1_000, False))}, ["HansaNearQuorum"]),
        ({"gauges": Gauges(escape_s_left=60.0, clock_ahead_s=-0.6)}, ["HansaEscapeNear", "HansaClockOff"]),
        ({"gauges": Gauges(is_signer_up=False, free_bytes=10**9)}, ["HansaSignerAway", "HansaDiskFull"]),
        ({"gauges": Gauges(refused_count=1, mismatch_count=1)}, ["HansaSignerRefuses", "HansaRootMismatch"]),
        ({"gauges": Gauges(fsync_p99_s=0.2, loop_lag_p99_s=0.2)}, ["HansaSlowDisk", "HansaLoopLag"]),
    ],
)
def test_what_is_wrong_is_named_as_the_alert_rules_name_it(change, expected):
    assert names_of(replace(WELL, **change)) == expected


def test_every_name_is_an_alert_rule_and_different_roots_are_told():
    source = Path(findings_module.__file__).read_text()
    assert set(re.findall(r'"(Hansa\w+)"', source)) <= {alert.name for alert in ALERTS}
    other = replace(WELL, name="node1", state_roots={990: "0xbb"})
    assert names_of(replace(WELL, state_roots={990: "0xaa"}), other) == ["HansaRootMismatch"]
    assert names_of(replace(WELL, state_roots={980: "0xaa"}), other) == []


def test_a_member_is_seen_as_the_others_see_it():
    def look(own: int, *signed: int) -> Look:
        return replace(WELL, members=tuple(Member(at, at, count, 100, at == own) for at, count in enumerate(signed)))

    looks = [look(0, 99, 70, 60), look(1, 80, 99, 50), replace(WELL, fault="away", members=())]
    assert [(member.signed, member.blocks) for member in merge_members(looks)] == [(80, 100), (70, 100), (50, 100)]
    assert [member.signed for member in merge_members(looks[:1])] == [99, 70, 60]
    assert merge_members(looks[2:]) == []


def test_a_narrow_table_leaves_columns_out_and_a_dead_node_keeps_its_line():
    dead = Look("node1", "http://b", 100.0, fault="refused")
    narrow, wide = (text_of(draw_nodes([WELL, dead], width), width) for width in (76, 156))
    assert "node1  no answer" in narrow and "memory" not in narrow and "memory" in wide
    assert all(len(line) <= 76 for line in narrow.splitlines())
    assert "75%" in text_of(draw_committee([WELL], 76), 76)


def test_small_things():
    assert draw_sparkline([1, 2, 4, 8], 3) == BARS[2] + BARS[4] + BARS[7] and draw_sparkline([0, 0], 9) == "▁▁"
    spans = [format_span(left_s) for left_s in (-5, 59.6, 3_599, 7_260, 90_000)]
    assert spans == ["0 s", "60 s", "59 min 59 s", "2 h 1 min", "1 d 1 h"]


def test_nodes_come_from_urls_or_folders(tmp_path):
    save_toml(tmp_path / "node0" / "config.toml", NodeConfig(0, ("http://c",), api_port=1, metrics_port=2))
    assert choose_nodes(("h:8645",), ("http://h/m",), (), tmp_path) == [
        Watched("h:8645", "http://h:8645", "http://h/m"),
        Watched("node0", "http://127.0.0.1:1", "http://127.0.0.1:2/metrics"),
    ]
    assert choose_nodes((), (), (), None)[0].url == "http://127.0.0.1:8645"
    with pytest.raises(ConfigError, match="one page for each URL"):
        choose_nodes((), ("http://h/m",), (), None)


# One word of each panel.
EVERYWHERE = ("1 of 2 nodes answer", "fsync p99", "an even share", "HansaDown")


def read_screen(app: Top) -> str:
    """The texts on the screen."""
    return html.unescape(re.sub("<[^>]+>", "", app.export_screenshot())).replace("\xa0", " ")


async def drive(url: str) -> list[str]:
    """The texts of a small terminal at first and after each Tab; a large one has to show all at once."""
    shown = []

    async def wait(question) -> None:
        async with asyncio.timeout(30):
            while not question():
                await pilot.pause(0.05)

    async with Reader([Watched("here", url), Watched("gone", "http://127.0.0.1:1")]) as reader:
        app = Top(reader, 0.2)
        async with app.run_test(size=(80, 24)) as pilot:
            await wait(lambda: any(look.state_roots for look in app.looks))
            for _ in range(3):
                shown.append(read_screen(app))
                await pilot.press("tab")
            await pilot.press("p")
            await app.workers.wait_for_complete()
            before = app.looks
            await pilot.pause(0.5)
            assert app.is_paused and app.looks is before and "PAUSED" in read_screen(app)
            await pilot.press("p", "r")
            await wait(lambda: app.looks is not before)
            await pilot.resize_terminal(160, 48)
            await wait(lambda: all(word in read_screen(app) for word in EVERYWHERE))
            await pilot.press("q")
        assert app.return_code == 0
    return shown


async def test_the_screen_and_the_facts_of_a_running_exchange(tmp_path, capsys):
    async with open_exchange(tmp_path) as (url, exchange):
        nodes, committee, alerts = await trio.to_thread.run_sync(lambda: asyncio.run(drive(url)))
        code = await trio.to_thread.run_sync(run_words, ["top", url, "--once", "--json"])
        facts = json.loads(capsys.readouterr().out)
        height = exchange.head.height
        assert await trio.to_thread.run_sync(run_words, ["top", url, "127.0.0.1:1", "--once"]) == 1
    assert "here" in nodes and "no answer" in nodes and "1 of 2 nodes answer" in nodes and "oracle BTC" in nodes
    assert "an even share is 75%" in committee and "no answer" not in committee
    assert "HansaDown" in alerts and "gone" in alerts
    (node,) = facts["nodes"]
    assert code == 0 and 0 < node["height"] <= height and len(node["members"]) == 4
    assert {alert["name"] for alert in facts["alerts"]} <= {"HansaSlowFinality"}  # on a busy machine
    assert "HansaDown" in capsys.readouterr().out
    assert run_words(["top", "--json"]) == 2 and "--once" in capsys.readouterr().err
