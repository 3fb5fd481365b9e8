"""The search for the highest rate, on networks that bear what they bear."""

from dataclasses import dataclass

import pytest

from testnet.bench_net.rounds import find_highest


@dataclass(frozen=True)
class Window:
    offered_per_s: float
    executed_per_s: float
    is_sustained: bool


@pytest.mark.parametrize(
    ("borne_per_s", "first_per_s", "goal_per_s", "tried", "found"),
    [
        (5_000, 4_600, 4_000, [4600], 4600),  # the goal is met at once
        (5_000, 6_000, 4_000, [6000, 4400], 4400),  # what is executed is less than what was asked, and less is borne
        (5_000, 4_600, 0, [4600], 4600),  # no goal: what is kept up is enough
        (52_000, 42_000, 50_000, [42000, 47727, 54235], 47727),  # upwards until it is too much
        (60_000, 42_000, 50_000, [42000, 47727, 54235], 54235),  # or the goal is met
        (90_000, 70_000, 80_000, [70000, 79545, 80000], 80000),  # or more is never offered
        (52_000, 56_000, 50_000, [56000, 50500], 50500),  # what is above the goal is too much: the goal is tried
        (48_000, 56_000, 50_000, [56000, 50500, 42240], 42240),
        (40, 6_000, 4_000, [6000, 4040, 35], 35),
        (0, 6_000, 4_000, [6000, 4040, 0], 0),
    ],
)  # fmt: skip
async def test_what_is_tried_and_what_is_found(
    borne_per_s: float, first_per_s: float, goal_per_s: float, tried: list[int], found: int
) -> None:
    rates = []

    async def attempt(rate_per_s: float) -> Window:
        rates.append(int(rate_per_s))
        return Window(rate_per_s, min(rate_per_s, borne_per_s), rate_per_s <= borne_per_s)

    best = await find_highest(attempt, first_per_s, goal_per_s, 80_000)
    assert (rates, int(best.offered_per_s)) == (tried, found)
