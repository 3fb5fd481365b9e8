"""How fast options are priced: `python -m tests.engine.bench_pricing` prints; it writes build/results/pricing.json.

Integer Black-76 against the same outputs in float64 compiled by the same compiler with the C library's functions.
Thread CPU time, variants interleaved A B B A, medians; the ratio is the median of the rounds' own ratios.
"""

import json
import math
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numba import njit

from engine.black76 import OPTION_COLUMNS, price_options
from engine.elementary import YEAR_MS, compute_sqrt_years

OPTIONS = 20_000
ROUNDS = 21
SEED = 76


@njit
def price_options_in_floats(forwards, strikes, vols, roots, options):
    """The same seven outputs by the textbook's formula: log, two erfc, exp."""
    for row in range(len(options)):
        forward, strike, vol, root = forwards[row], strikes[row], vols[row], roots[row]
        deviation = vol * root
        d1 = math.log(forward / strike) / deviation + 0.5 * deviation
        d2 = d1 - deviation
        delta = 0.5 * math.erfc(-d1 * 0.7071067811865476)
        exercised = 0.5 * math.erfc(-d2 * 0.7071067811865476)
        density = 0.3989422804014327 * math.exp(-0.5 * d1 * d1)
        call = forward * delta - strike * exercised
        gamma = density / deviation
        options[row, 0] = call
        options[row, 1] = call - forward + strike
        options[row, 2] = delta
        options[row, 3] = gamma
        options[row, 4] = density * root
        options[row, 5] = gamma * vol * vol * (-1 / 730)
        options[row, 6] = -root * root * call


def make_options(count: int, seed: int) -> tuple[np.ndarray, ...]:
    """Random forwards 0.01 to 200,000, strikes around them, vols 5 % to 500 %, one minute to 2.4 years left."""
    draw = np.random.default_rng(seed)
    forwards = np.exp(draw.uniform(math.log(1e6), math.log(2e13), count)).astype(np.int64)
    strikes = np.maximum((forwards * np.exp(draw.normal(0, 0.5, count))).astype(np.int64), 1)
    vols = (np.exp(draw.uniform(math.log(0.05), math.log(5), count)) * 2**56).astype(np.int64)
    times_ms = np.exp(draw.uniform(math.log(60_000), math.log(2.4 * YEAR_MS), count)).astype(np.int64)
    roots = np.array([compute_sqrt_years(time_ms)[0] for time_ms in times_ms], dtype=np.int64)
    return forwards, strikes, vols, roots


def measure(variants: dict[str, Callable[[], object]], rounds: int) -> dict[str, list[float]]:
    """Seconds of thread CPU time per call, one number per round and variant."""
    for call in variants.values():
        call()
    seconds: dict[str, list[float]] = {name: [] for name in variants}
    for _ in range(rounds):
        taken = dict.fromkeys(variants, 0.0)
        for name in (*variants, *reversed(variants)):
            start = time.thread_time()
            variants[name]()
            taken[name] += time.thread_time() - start
        for name, total in taken.items():
            seconds[name].append(total / 2)
    return seconds


def compare_with_floats(rounds: int = ROUNDS) -> dict[str, float]:
    forwards, strikes, vols, roots = make_options(OPTIONS, SEED)
    integers = np.zeros((OPTIONS, OPTION_COLUMNS), dtype=np.int64)
    floats = np.zeros((OPTIONS, OPTION_COLUMNS))
    as_floats = (forwards / 1e8, strikes / 1e8, vols / 2.0**56, roots / 2.0**60)
    seconds = measure(
        {
            "integers": lambda: price_options(forwards, strikes, vols, roots, integers),
            "floats": lambda: price_options_in_floats(*as_floats, floats),
        },
        rounds,
    )
    ratios = [slow / fast for slow, fast in zip(seconds["floats"], seconds["integers"])]
    return {
        "integer_options_per_s": OPTIONS / statistics.median(seconds["integers"]),
        "float_options_per_s": OPTIONS / statistics.median(seconds["floats"]),
        "integers_over_floats": statistics.median(ratios),
    }


def main() -> None:
    figures = compare_with_floats()
    for name, figure in figures.items():
        print(f"{name:32} {figure:14,.2f}")
    target = Path("build/results/pricing.json")
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(json.dumps(figures, indent=1) + "\n")


if __name__ == "__main__":
    main()
