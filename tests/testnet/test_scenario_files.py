"""Our own scenarios are understood, the page of words is what the records say, and a report shows what happened."""

import pytest

from testnet.faults.weather import CALM, Weather
from testnet.scenario import reference
from testnet.scenario.backend import Place
from testnet.scenario.controls import Controls
from testnet.scenario.facts import Facts, Final, Liquidation, Sample, Verdict
from testnet.scenario.harms import BEHAVIOURS, Delay, Fault, Loss, Partition
from testnet.scenario.page import render_page
from testnet.scenario.parsing import load_scenario, parse_scenario
from testnet.scenario.process_faults import find_weather
from testnet.scenario.run_command import SCENARIOS, run_one
from testnet.scenario.running import Outcome

NAMES = sorted(path.stem for path in SCENARIOS.glob("*.toml"))


@pytest.mark.parametrize("name", NAMES)
def test_every_drill_ends_with_one_root_conserved_money_and_no_wrong_liquidation(name: str) -> None:
    scenario = load_scenario(SCENARIOS / f"{name}.toml")
    kinds = {type(condition).__name__ for condition in scenario.conditions}
    assert {"RootsEqual", "MoneyConserved", "NoWrongLiquidation", "NobodyHonestSlashed", "AuditClean"} <= kinds
    assert scenario.story and scenario.title != name


def test_the_page_of_words_is_what_the_records_say() -> None:
    """Write it anew with `python -m testnet.scenario.reference --write`."""
    page = reference.PAGE.read_text()
    assert reference.render(page) == page


def test_every_drill_is_described() -> None:
    page = reference.PAGE.read_text()
    assert [name for name in NAMES if f"`{name}`" not in page] == []


def make_fault(number: int, harm: object, targets: tuple[int, ...]) -> Fault:
    return Fault(number, harm, 0.0, 9.0, targets, True)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("harms", "start", "end", "weather"),
    [
        ([], 0, 1, CALM),
        ([(Partition(), (0, 1))], 0, 1, CALM),
        ([(Partition(), (0, 1))], 0, 2, Weather(is_cut=True)),
        ([(Partition("to"), (0,))], 1, 0, Weather(is_cut=True)),
        ([(Partition("to"), (0,))], 0, 1, CALM),
        ([(Partition("from"), (0,))], 0, 1, Weather(is_cut=True)),
        ([(Partition("from"), (0,))], 1, 0, CALM),
        ([(Delay(50.0, 10.0), (0,)), (Delay(20.0), (1,))], 0, 1, Weather(70.0, 10.0)),
        ([(Delay(50.0, 10.0), (0,)), (Delay(20.0), (1,))], 2, 1, Weather(20.0)),
        ([(Loss(0.5), (0,)), (Loss(0.5), (1,))], 1, 0, Weather(lost=0.75)),
    ],
)
def test_faults_of_one_line_add_up(
    harms: list[tuple[object, tuple[int, ...]]], start: int, end: int, weather: Weather
) -> None:
    faults = [make_fault(number, harm, targets) for number, (harm, targets) in enumerate(harms)]
    assert find_weather(faults, start, end) == weather


def test_what_one_end_sets_the_other_end_reads(tmp_path) -> None:
    near, far = Controls(tmp_path), Controls(tmp_path)
    assert (far.skew_ms, far.sync_ms, far.lie, far.has_no_prices, far.move_bps(1)) == (0, 0, "", False, 0)
    near.skew_ms, near.sync_ms, near.has_no_prices = -3_600_000, 80, True
    near.set_move_bps(1, -1_000)
    for behaviour in (*BEHAVIOURS, ""):
        near.lie = behaviour
        assert far.lie == behaviour
    assert (far.skew_ms, far.sync_ms, far.has_no_prices) == (-3_600_000, 80, True)
    assert (far.move_bps(0), far.move_bps(1), far.move_bps(99)) == (0, -1_000, 0)


def make_outcome(is_met: bool) -> Outcome:
    text = """
title = "Cut & mended"
[network]
duration_s = 20
[[fault]]
kind = "partition"
at_s = 5
for_s = 5
targets = [0]
[[assert]]
kind = "nodes_alive"
"""
    facts = Facts(
        2, 20.0, [Sample(float(at_s), (at_s, None if at_s == 9 else at_s)) for at_s in range(1, 20)],
        [Final(3.0, 3, 42.0), Final(12.0, 9, 5_200.0)], liquidations=[Liquidation(13.0, 10, 71, "stale <price>")],
    )  # fmt: skip
    verdict = Verdict("nodes_alive", "Every node answers", "1 of 2 <answer>", is_met)
    return Outcome(parse_scenario(text, "cut", "cut.toml"), "processes", facts, [verdict], [], {0: (5.2, 10.1)})


@pytest.mark.parametrize(("is_met", "word"), [(True, "passed"), (False, "FAILED")])
def test_a_report_shows_faults_heights_finality_and_verdicts(is_met: bool, word: str) -> None:
    page = render_page(make_outcome(is_met))
    assert f">{word}</span>" in page
    assert "Cut &amp; mended" in page and "1 of 2 &lt;answer&gt;" in page and "stale &lt;price&gt;" in page
    assert page.count('class="healed"') == 1 and page.count('class="case"') == 1
    assert page.count("<polyline") == 3  # one member answered all the time, the other in two stretches
    assert page.count("<circle") == 2
    assert "http://" not in page.replace("http://www.w3.org/2000/svg", "") and "<script" not in page


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("[network]\nduration_s = 5\n[[assert]]\nkind = 'node_alive'", "did you mean 'nodes_alive'?"),
        ("duration_s = 5", "unknown key 'duration_s'"),
    ],
)
def test_a_file_that_nobody_understands_ends_with_2(text: str, complaint: str, tmp_path, capsys) -> None:
    path = tmp_path / "odd.toml"
    path.write_text(text)
    assert run_one(str(path), "processes", Place(tmp_path / "run"), False, None) == 2
    assert complaint in " ".join(capsys.readouterr().err.split())
    assert run_one("no-such-drill", "processes", Place(tmp_path / "run"), False, None) == 2
    assert "cannot be read" in capsys.readouterr().err
    assert not (tmp_path / "run").exists()


def test_a_folder_that_is_not_ours_is_left_alone(tmp_path, capsys) -> None:
    (tmp_path / "letter.txt").write_text("dear")
    assert run_one("crash-all", "processes", Place(tmp_path), False, None) == 2
    assert "is not empty and holds no local network" in " ".join(capsys.readouterr().err.split())
    assert (tmp_path / "letter.txt").read_text() == "dear"
