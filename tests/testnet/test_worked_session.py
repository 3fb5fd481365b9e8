"""The worked session: its files are fresh, its claims hold, and a page with one wrong digit is refused."""

import re
from dataclasses import replace
from pathlib import Path

import pytest

from engine.payload import Payload
from engine.scenarios import DAMPS_E5, UNMOVED
from engine.simulate import read_holdings, simulate
from engine.tables import NOTICE_PROTECTION, NOTICE_SETTLEMENT
from testnet.scenario.inspection import Findings, Inspector
from testnet.worked_session.desk import EXPIRIES_MS, MAKER, NEAR_95P, SELLER, USD
from testnet.worked_session.page import draw_pictures, write_page
from testnet.worked_session.reader import read_section, read_tables
from testnet.worked_session.story import DELTA_MAX_USD, FALL, WHAT_IFS, Session, play
from testnet.worked_session.tables import exact, exact_e8, parse_number, read_figures, table
from testnet.worked_session.verdict import check_page
from tests.reference.portfolio_model import (
    Expiry,
    Instrument,
    Numbers,
    Underlying,
    World,
    compute_exact_margin,
    make_row,
)
from validator.executor import Executed

DOCS = Path(__file__).resolve().parents[2] / "docs"
KINDS = ("perpetual", "future", "call", "put")
STATEMENTS = (
    ("The maker in the calm", "calm"),
    ("The maker at the bottom", "fall 5"),
    ("The maker rebalanced", "rebalance"),
)


@pytest.fixture(scope="module")
def session() -> Session:
    return play()


@pytest.fixture(scope="module")
def page(session: Session) -> str:
    return write_page(session)


def test_the_committed_page_and_pictures_are_what_the_engine_does(session: Session, page: str) -> None:
    files = {"worked-session.md": page, **{f"img/{name}": text for name, text in draw_pictures(session).items()}}
    for name, text in files.items():
        assert (DOCS / name).read_text() == text, f"docs/{name} is stale: run make docs"
        assert f"]({name})" in page or name == "worked-session.md", f"{name} is not shown"


def test_the_printed_numbers_explain_themselves(page: str) -> None:
    check_page(page)


# (where, what is changed, into what): the first occurrence below the heading.
FORGERIES = [
    ("The maker in the calm", r"\| equity \| 1,", "| equity | 2,"),
    ("The maker in the calm", r"\| maintenance margin \| 7", "| maintenance margin | 8"),
    ("The maker in the calm", r"\| worst scenario \| \d+", "| worst scenario | 3"),
    ("The maker at the bottom", r"\| -800 \|", "| -801 |"),
    ("The maker rebalanced", r"\| multiplier \(bps\) \| 15000", "| multiplier (bps) | 14999"),
    ("The seller is liquidated", r"\| maintenance \| 1", "| maintenance | 2"),
    ("The seller is liquidated", r"index 86", "index 87"),
    ("The rest is deleveraged", r"\| haircuts \| 1,6", "| haircuts | 1,7"),
    ("The rest is deleveraged", r"\| -1050 \|", "| -1051 |"),
    ("The rest is deleveraged", r"\*\*header of the block\*\*\n\n```\n0", "**header of the block**\n\n```\n1"),
    ("The rest is deleveraged", r"\*\*signers\*\*\n\n```\n00", "**signers**\n\n```\n01"),
    ("The rest is deleveraged", r"\*\*reports\*\*\n\n```\n8484", "**reports**\n\n```\n8485"),
    ("The rest is deleveraged", r"\*\*siblings with sums\*\*\n\n```\n", "**siblings with sums**\n\n```\n00"),
    ("The rest is deleveraged", r"\*\*liquidation rows\*\*\n\n```\n41", "**liquidation rows**\n\n```\n42"),
    ("Expiry", r"mean 82,725", "mean 82,726"),
    ("The sums", r"\| debts \| 0", "| debts | 1"),
]


@pytest.mark.parametrize(("heading", "pattern", "forged"), FORGERIES)
def test_a_forged_page_is_refused(page: str, heading: str, pattern: str, forged: str) -> None:
    before, found, after = page.partition(f"## {heading}\n")
    changed, count = re.subn(pattern, forged, after, count=1)
    assert found and count == 1, "the page has nothing to forge there"
    with pytest.raises((ValueError, IndexError, KeyError)):
        check_page(before + found + changed)


@pytest.mark.parametrize(("heading", "step"), STATEMENTS)
def test_the_slow_model_gives_the_printed_scenarios(session: Session, page: str, heading: str, step: str) -> None:
    """From the printed positions, marks and surfaces, in fifty digits: PnL to a cent, a lot's worth exactly."""
    positions, figures, vector, _, surfaces = read_tables(read_section(page, heading))
    time_ms = session.step(step).last.state.time_ms
    named = {row[0]: row[1] for row in figures}
    params = {item.symbol: item for item in session.exchange.params.markets}
    instruments = {
        at: Instrument(
            KINDS.index(params[row[0]].kind), 0, parse_number(row[2], 8), params[row[0]].lot_e8,
            EXPIRIES_MS.index(params[row[0]].expiry_ms) if params[row[0]].expiry_ms else -1, params[row[0]].strike_e8,
            position_lots_max=params[row[0]].position_lots_max,
        )
        for at, row in enumerate(positions)
    }  # fmt: skip
    expiries = {}
    for number, expiry_ms in enumerate(EXPIRIES_MS):
        forward_e8, *surface_e8 = (parse_number(text, 8) for text in surfaces[number][1:])
        expiries[number] = Expiry(expiry_ms - time_ms, forward_e8, tuple(surface_e8))
    index_e8, multiplier_bps = parse_number(named["index"], 8), int(named["multiplier (bps)"])
    world = World(instruments, {0: Underlying(index_e8, 5, multiplier_bps)}, expiries)
    exact_margin = compute_exact_margin(world, {at: int(row[1]) for at, row in enumerate(positions)})
    for row, pnl_quote in zip(vector, exact_margin.pnl[0]):
        assert abs(parse_number(row[2], 6) - pnl_quote) < USD // 100, row
    assert 0 <= parse_number(named["maintenance margin"], 6) - exact_margin.maintenance_demand < USD // 100
    assert 0 <= parse_number(named["initial margin of the positions"], 6) - exact_margin.initial_demand < USD // 100
    worst = int(named["worst scenario"])
    for at, row in enumerate(positions):
        assert parse_number(row[6], 6) == make_row(world, at, Numbers()).lanes[worst], f"{row[0]} in scenario {worst}"


def test_the_what_if_before_the_fall_was_right_but_for_a_minute_of_time(session: Session) -> None:
    summary = read_figures(session.step("fall 1").last.state, MAKER).summary
    assert WHAT_IFS[0] == (-50_000, 200_000)
    assert abs(session.what_ifs[0].equity_quote - summary.equity_quote) < 2 * USD
    assert abs(session.what_ifs[0].maintenance_quote - summary.maintenance_margin_quote) < 2 * USD


def test_a_what_if_of_nothing_is_what_the_engine_demands(session: Session) -> None:
    for name in ("calm", "fall 5", "rebalance", "end"):
        tables = session.step(name).last.state.tables
        answer, figures = (
            simulate(tables, read_holdings(tables, MAKER)),
            read_figures(session.step(name).last.state, MAKER),
        )
        assert answer.equity_quote == figures.summary.equity_quote
        assert answer.initial_quote == figures.summary.initial_margin_quote
        assert answer.maintenance_quote == figures.summary.maintenance_margin_quote
        assert answer.scenarios[0] == figures.vector
        assert answer.worst_scenario == figures.worst


def test_protection_trips_at_the_fill_that_passes_its_delta(session: Session) -> None:
    (sealed,) = session.step("protection").blocks
    delta_unit = abs(int(sealed.parent.tables.markets[NEAR_95P]["delta_unit"]))
    sums = [delta_unit * int(fill["size_lots"]) for fill in sealed.result.fills]
    assert sum(sums[:-1]) <= DELTA_MAX_USD * USD < sum(sums)
    assert [int(note["subject"]) for note in sealed.result.notices if note["kind"] == NOTICE_PROTECTION] == [MAKER]
    assert not read_figures(sealed.state, MAKER).summary.open_order_count


def test_the_story_goes_as_told(session: Session) -> None:
    names = [f"fall {number}" for number in range(1, len(FALL) + 1)]
    maker = [read_figures(session.step(name).last.state, MAKER).health for name in names]
    seller = [read_figures(session.step(name).last.state, SELLER).health for name in names]
    rows = [len(session.step(name).last.result.liquidations) for name in names]
    assert maker == ["healthy"] * 5
    assert seller == ["may only reduce", *["below maintenance"] * 3, "healthy"]
    assert rows == [0, 0, 1, 0, 1]
    assert abs(read_figures(session.step("rebalance").last.state, MAKER).greeks[0]) < 100 * USD


def test_two_runs_give_the_same_bytes(session: Session) -> None:
    again = play()
    assert again.exchange.state.state_root == session.exchange.state.state_root
    assert [step.last.header for step in again.steps] == [step.last.header for step in session.steps]


@pytest.mark.parametrize(
    ("number", "text"), [(0, "0.000000"), (-1, "-0.000001"), (1_234_567_890_123, "1,234,567.890123")]
)
def test_money_is_printed_with_all_its_digits(number: int, text: str) -> None:
    assert exact(number) == text
    assert parse_number(text, 6) == number


def test_a_table_is_read_as_it_was_written() -> None:
    rows = [["a", "1", ""], ["b", "", exact_e8(-5)]]
    assert read_tables("text\n" + table(("x", "y", "z"), rows) + "more\n") == [rows]


def test_the_unmoved_scenario_is_not_dampened() -> None:
    assert DAMPS_E5[UNMOVED] == 10**5


# ---------------------------------------------------------------- who judges runs of scenarios, judged by this one


def replay(session: Session) -> list[Executed]:
    """All blocks as an audit hands them out."""
    return [
        Executed(
            sealed.state.height, sealed.state.time_ms, sealed.header.parent_hash, sealed.state, sealed.result,
            Payload((), sealed.reports, (), 0),
        )
        for step in session.steps for sealed in step.blocks
    ]  # fmt: skip


def inspect(session: Session, blocks: list[Executed], liars: frozenset[int] = frozenset()) -> Findings:
    inspector = Inspector(session.exchange.params.markets, liars)
    for executed in blocks:
        inspector.see(executed)
    return inspector.findings


def test_an_inspector_finds_nothing_wrong_in_the_session(session: Session) -> None:
    findings = inspect(session, replay(session))
    assert {(case.account, case.fault) for case in findings.cases} == {(SELLER, "")}
    assert (findings.funding_breaks, findings.price_breaks, findings.settlement_breaks) == ([], [], [])
    assert findings.funding_payments > 0 and findings.priced_blocks > 40 and len(findings.settled) == 1


def test_an_inspector_finds_a_liquidation_that_was_not_due(session: Session) -> None:
    blocks = replay(session)
    at = next(at for at, executed in enumerate(blocks) if len(executed.result.liquidations))
    rows = blocks[at].result.liquidations.copy()
    rows["equity_quote"] = rows["maintenance_quote"]
    blocks[at] = replace(blocks[at], result=replace(blocks[at].result, liquidations=rows))
    case, *_ = inspect(session, blocks).cases
    assert "was not below maintenance" in case.fault and "by its holdings" in case.fault


@pytest.mark.parametrize(
    ("table", "field", "breaks"),
    [("markets", "funding_quote", "funding_breaks"), ("underlyings", "index_e8", "price_breaks")],
)
def test_an_inspector_finds_a_number_that_nobody_computed(
    session: Session, table: str, field: str, breaks: str
) -> None:
    blocks = replay(session)
    row = getattr(blocks[20].state.tables, table)[0]
    kept = int(row[field])
    row[field] = kept + 10**12
    try:
        found = getattr(inspect(session, blocks), breaks)
    finally:
        row[field] = kept
    assert found[0].startswith(f"height {blocks[20].height}, ")


def test_an_inspector_finds_a_settlement_price_that_somebody_chose(session: Session) -> None:
    blocks = replay(session)
    for at, executed in enumerate(blocks):
        notices = executed.result.notices.copy()
        notices["value_a"][notices["kind"] == NOTICE_SETTLEMENT] += 1
        blocks[at] = replace(executed, result=replace(executed.result, notices=notices))
    findings = inspect(session, blocks)
    assert findings.settlement_breaks and "the mean " in findings.settlement_breaks[0]


def test_an_inspector_does_not_believe_a_liar(session: Session) -> None:
    """With everybody a liar but one, the median is outside of what the one has reported."""
    blocks = replay(session)
    assert (
        inspect(session, blocks, frozenset({0, 1, 2})).price_breaks
        or inspect(session, blocks, frozenset({1, 2, 3})).price_breaks
    )
