"""Slopes of series that grow and of series that do not, and what is made of them."""

import os
import random
from pathlib import Path

import pytest

from testnet.soak.sampling import Holdings, count_open_files, count_threads, measure_folder
from testnet.soak.slopes import POINTS_MAX, fit_slope
from testnet.soak.verdict import MEASURES, SAMPLES_MIN, exit_code, judge, list_rows

MEMORY, FILES, _, _, DISK = MEASURES
MIB = 1024 * 1024


def series(start: float, per_hour: float, noise: float, count: int = 400) -> tuple[list[float], list[float]]:
    """One sample every five seconds."""
    draw = random.Random(1)
    times_s = [5.0 * number for number in range(count)]
    return times_s, [start + per_hour * time_s / 3600 + draw.gauss(0, noise) for time_s in times_s]


@pytest.mark.parametrize("per_hour", [-30.0, 0.0, 7.5, 400.0])
def test_a_slope_is_found_under_noise_and_outliers(per_hour: float) -> None:
    times_s, values = series(500, per_hour, 5)
    for at in range(0, len(values), 10):
        values[at] += 300
    slope = fit_slope(times_s, values)
    assert slope.low_per_hour < per_hour < slope.high_per_hour
    assert abs(slope.per_hour - per_hour) < 8


def test_a_long_series_is_thinned() -> None:
    times_s, values = series(500, 36, 0, 3 * POINTS_MAX)
    assert fit_slope(times_s, values).per_hour == pytest.approx(36)


@pytest.mark.parametrize(
    ("per_hour", "noise", "count", "has_grown"),
    [
        (0, 3, 700, False),
        (20, 3, 700, False),  # four percent an hour
        (50, 3, 700, True),
        (50, 3, 15, False),  # a minute of it cannot be told from noise
        (3_000, 3, 40, True),  # three minutes of a wide leak can
        (-50, 3, 700, False),
    ],
)
def test_memory_may_not_grow(per_hour: float, noise: float, count: int, has_grown: bool) -> None:
    times_s, values = series(500, per_hour, noise, count)
    assert judge(MEMORY, fit_slope(times_s, values), times_s[-1]) is has_grown


def test_a_handle_lost_every_minute_is_seen_within_an_hour() -> None:
    times_s = [5.0 * number for number in range(700)]
    leaking = [60.0 + time_s // 60 for time_s in times_s]
    steady = [60.0 + number % 4 for number in range(700)]
    assert judge(FILES, fit_slope(times_s, leaking), times_s[-1]) is True
    assert judge(FILES, fit_slope(times_s, steady), times_s[-1]) is False


def test_history_may_grow() -> None:
    times_s, values = series(10, 1_000, 0)
    assert judge(DISK, fit_slope(times_s, values), times_s[-1]) is None


def live(count: int, leak_bytes: int) -> list[Holdings]:
    return [Holdings(5.0 * n, 400 * MIB + n * leak_bytes, 50, 12, 80, n * MIB, n) for n in range(count)]


def test_a_life_is_judged_when_it_was_long_enough() -> None:
    assert list_rows("node3", live(SAMPLES_MIN - 1, 0)) == []
    rows = list_rows("node3", live(200, 0))
    assert [row.has_grown for row in rows] == [False, False, False, False, None] and exit_code(rows, []) == 0
    assert exit_code(list_rows("node3", live(200, MIB)), []) == 1
    assert exit_code(rows, ["node2 ended"]) == 1 and exit_code([], []) == 1


def test_what_a_process_holds_is_read(tmp_path: Path) -> None:
    before = count_open_files(os.getpid())
    with (tmp_path / "one").open("w") as handle:
        handle.write("x" * 1000)
        handle.flush()
        assert count_open_files(os.getpid()) == before + 1
        assert measure_folder(tmp_path) == 1000
    assert count_threads(os.getpid()) >= 1
