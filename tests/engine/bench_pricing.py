"""How fast options are priced: `python -m tests.engine.bench --only pricing`.

Integer Black-76 against the same outputs in float64 compiled by the same compiler with the C library's functions.
Thread CPU time, variants interleaved A B C C B A, medians; a ratio is the median of the rounds' own ratios.
"""

import math
import statistics
import time
from collections.abc import Callable

import numpy as np
from numba import njit

from engine.black76 import CALL, OPTION_COLUMNS, price_options
from engine.elementary import YEAR_MS, compute_sqrt_years
from engine.implied import implied_vols
from engine.svi import is_surface_sound, svi_vols
from tests.engine.bench_row import Disagreement, Row

OPTIONS = 20_000
ROUNDS = 21
TARGET = 12_000_000
PRICE_UNITS_APART_MAX = 2.0
SEED = 76
MONTH_E8 = (800_000, 6_000_000, -30_000_000, 1_000_000, 20_000_000)


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


def make_options(count: int, seed: int, moneyness_deviations: float) -> tuple[np.ndarray, ...]:
    """F, K, vol, sqrt(T), 1 / sqrt(T): forwards 0.01 to 200,000, vols 5 % to 500 %, one minute to 2.4 years left.

    Strikes are spread by a factor exp(0.5 z) around the forward, or by moneyness_deviations of the option's own.
    """
    draw = np.random.default_rng(seed)
    forwards = np.exp(draw.uniform(math.log(1e6), math.log(2e13), count)).astype(np.int64)
    vols = (np.exp(draw.uniform(math.log(0.05), math.log(5), count)) * 2**56).astype(np.int64)
    times_ms = np.exp(draw.uniform(math.log(60_000), math.log(2.4 * YEAR_MS), count)).astype(np.int64)
    roots = np.array([compute_sqrt_years(time_ms) for time_ms in times_ms], dtype=np.int64)
    spread = moneyness_deviations * (vols / 2**56) * (roots[:, 0] / 2**60) if moneyness_deviations else 0.5
    strikes = np.maximum((forwards * np.exp(draw.normal(0, 1, count) * spread)).astype(np.int64), 1)
    return forwards, strikes, vols, roots[:, 0].copy(), roots[:, 1].copy()


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


def compare_with_floats(moneyness_deviations: float, rounds: int = ROUNDS) -> dict[str, float]:
    """Options per second of both and how many times faster the integers are."""
    forwards, strikes, vols, roots, _ = make_options(OPTIONS, SEED, moneyness_deviations)
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
    # Floats carry 53 bits: prices below 10,000 USD can be told apart to a unit.
    small = forwards < 10**12
    apart = np.abs(integers[small, CALL] - floats[small, 0] * 1e8)
    if apart.max() > PRICE_UNITS_APART_MAX:
        raise Disagreement(f"a call's price differs from float64 by {apart.max():.1f} units")
    ratios = [slow / fast for slow, fast in zip(seconds["floats"], seconds["integers"])]
    return {
        "integer_options_per_s": OPTIONS / statistics.median(seconds["integers"]),
        "float_options_per_s": OPTIONS / statistics.median(seconds["floats"]),
        "price_units_apart": float(apart.max()),
        "integers_over_floats": statistics.median(ratios),
    }


def measure_surfaces(rounds: int = ROUNDS) -> dict[str, float]:
    """Volatilities from a slice, volatilities from prices, soundness of a surface of twelve expiries."""
    forwards, strikes, vols, roots, inverses = make_options(OPTIONS // 10, SEED, 1.0)
    found, options = np.zeros_like(vols), np.zeros((len(vols), OPTION_COLUMNS), dtype=np.int64)
    price_options(forwards, strikes, vols, roots, options)
    calls = options[:, CALL].copy()
    month, surface = np.array(MONTH_E8, dtype=np.int64), np.array([MONTH_E8] * 12, dtype=np.int64)
    forward_e8, inverse_q40 = int(forwards[0]), int(inverses[0])
    seconds = measure(
        {
            "svi": lambda: svi_vols(month, strikes, forward_e8, inverse_q40, found),
            "implied": lambda: implied_vols(calls, forwards, strikes, roots, inverses, found),
            "surface": lambda: is_surface_sound(surface),
        },
        rounds,
    )
    return {
        "svi_vols_per_s": len(vols) / statistics.median(seconds["svi"]),
        "implied_vols_per_s": len(vols) / statistics.median(seconds["implied"]),
        "surface_of_12_expiries_us": 1e6 * statistics.median(seconds["surface"]),
    }


def run(rounds: int) -> list[Row]:
    """Black-76 with all Greeks for far strikes and near ones, surfaces and implied volatilities."""
    far, near = compare_with_floats(0.0, rounds), compare_with_floats(1.0, rounds)
    surfaces = measure_surfaces(rounds)
    rows = [
        Row(
            f"Black-76 price and all Greeks, strikes {where}", figures["integer_options_per_s"], "options/s", TARGET,
            figures["integers_over_floats"], "float64 and libm, same compiler",
            note=f"largest difference of a call's price: {figures['price_units_apart']:.3g} units of 1e-8",
        )
        for where, figures in (("far", far), ("near", near))
    ]  # fmt: skip
    for name, key, unit in (
        ("volatilities from an SVI slice", "svi_vols_per_s", "vols/s"),
        ("implied volatilities", "implied_vols_per_s", "vols/s"),
        ("surface of 12 expiries judged free of arbitrage", "surface_of_12_expiries_us", "us"),
    ):
        rows.append(Row(name, surfaces[key], unit, 0, "-", ""))
    return rows
