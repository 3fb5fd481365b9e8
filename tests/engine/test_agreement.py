"""The compiled engine and the reference exchange agree block by block: what happened, then every row of the state."""

from random import Random

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule

from tests.engine.agreement import Both, replay
from tests.engine.fuzz import PLANTS, ROOT, TIGHT, Campaign, cut_down, name_difference
from tests.engine.worlds import Script, Step, World

SEED = st.integers(0, 1 << 32)
FUNDS_USD = st.sampled_from([200, 2_000, 20_000, 400_000])


class Day:
    """A run of both engines whose blocks come from seeds."""

    def __init__(self, funds_usd: int, changes: dict | None = None) -> None:
        self.both = Both(changes)
        self.world = World(Random(0).randrange)
        self.campaign = Campaign()
        self.run(self.world.first_step(self.both.x, funds_usd))

    def run(self, step: Step) -> None:
        found = self.both.step(step)
        self.campaign.count(self.both, step)
        assert not found, "\n".join(found[:8])

    def trade(self, seed: int, actions: int) -> None:
        self.world.draw = Random(seed).randrange
        self.run(self.world.next_step(self.both.x, actions))


@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.lists(st.tuples(SEED, st.integers(0, 16)), max_size=12), FUNDS_USD)
def test_both_agree_on_drawn_days(blocks, funds_usd) -> None:
    day = Day(funds_usd)
    for seed, actions in blocks:
        day.trade(seed, actions)


@settings(max_examples=10, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.lists(st.tuples(SEED, st.integers(0, 16)), min_size=2, max_size=10), FUNDS_USD)
def test_both_agree_when_limits_are_tight(blocks, funds_usd) -> None:
    day = Day(funds_usd, TIGHT)
    for seed, actions in blocks:
        day.trade(seed, actions)


class Market(RuleBasedStateMachine):
    """Trading, waiting and moving prices in any order."""

    @initialize(funds_usd=FUNDS_USD, is_tight=st.booleans())
    def open(self, funds_usd: int, is_tight: bool) -> None:
        self.day = Day(funds_usd, TIGHT if is_tight else None)

    @rule(seed=SEED, actions=st.integers(1, 12))
    def trade(self, seed: int, actions: int) -> None:
        self.day.trade(seed, actions)

    @rule(seed=SEED, index=st.integers(0, 1), percent=st.integers(-40, 60))
    def jump(self, seed: int, index: int, percent: int) -> None:
        """One price jumps; the feed follows it step by step."""
        world = self.day.world
        world.index_e8[index] = max(world.index_e8[index] * (100 + percent) // 100, 10**10)
        self.day.trade(seed, 0)

    @rule(wait_ms=st.sampled_from([1, 1_000, 16_000, 61_000, 119_000, 121_000, 3_600_000]))
    def wait(self, wait_ms: int) -> None:
        self.day.run(Step(self.day.both.x.time_ms + wait_ms, 0))


Market.TestCase.settings = settings(
    max_examples=12, stateful_step_count=14, deadline=None, suppress_health_check=list(HealthCheck)
)
TestMarket = Market.TestCase


def test_a_long_day_reaches_what_it_is_for() -> None:
    """A fixed day sees trades, cancellations of most kinds, triggers, auctions, forced actions and most codes."""
    day, mix = Day(2_000), Random(15)
    for _ in range(60):
        day.trade(mix.randrange(1 << 32), 18)
    counts = day.campaign.counts
    assert counts["fills"] > 40 and counts["cancellations"] > 40, counts
    assert len(day.campaign.codes) > 25, sorted(day.campaign.codes)
    assert len(day.campaign.notices) >= 6, day.campaign.notices
    assert len({int(answer) // 1000 for answer in day.campaign.forced}) == 4, day.campaign.forced


def test_a_disagreement_is_found_and_cut_down(monkeypatch) -> None:
    """With a reference that gives orders the wrong rows a day differs, and what is left of it still does."""
    from tests.reference import orders

    right = orders.lowest_free_row
    monkeypatch.setattr(orders, "lowest_free_row", lambda ids: right(ids) + 1)
    day, mix, found = Day(20_000), Random(3), []
    while not found:
        day.world.draw = mix.randrange
        found = day.both.step(day.world.next_step(day.both.x, 8))
    small = cut_down(day.both.script, 20)
    assert name_difference(replay(small)[1]) == name_difference(found)
    assert len(small.steps) <= len(day.both.script.steps)
    assert Script.from_json(small.to_json()) == small
    monkeypatch.undo()
    assert replay(small) == (-1, [])


def test_every_planted_bug_has_its_line() -> None:
    """`python -m tests.engine.fuzz --plant` changes lines of the engine; each must still be there, once."""
    for name, (file, old, new) in PLANTS.items():
        assert (ROOT / file).read_text().count(old) == 1, name
        assert old != new, name
