"""Slow lines: what a direction does to packets, without a clock; and between real namespaces, where that is allowed."""

import random
from pathlib import Path
from statistics import median

import pytest

from testnet.faults.line import Lines
from testnet.faults.namespaces import Namespaces, find_obstacle, ip, name_of
from testnet.faults.router import Router, obey
from testnet.faults.weather import Direction, Weather
from testnet.local import Processes

FAR = Weather(delay_ms=50, jitter_ms=10, lost=0.001)


def make_direction(weather: Weather) -> Direction:
    return Direction(weather, random.Random(7))


def test_delays_stay_within_the_jitter_and_fill_it() -> None:
    direction = make_direction(Weather(50, 10))
    # A second apart, so that no packet waits for the one before.
    delays_ms = [(direction.find_due_s(now_s) or 0) * 1000 - now_s * 1000 for now_s in range(1_000)]
    assert 40 <= min(delays_ms) < 42
    assert 58 < max(delays_ms) <= 60.001
    assert 49 < sum(delays_ms) / len(delays_ms) < 51


def test_packets_never_overtake_each_other() -> None:
    direction = make_direction(Weather(50, 50))
    due_s = [direction.find_due_s(number / 1000) for number in range(1_000)]
    assert due_s == sorted(due_s)  # type: ignore[type-var]


def test_the_share_that_is_lost_is_the_share_that_was_set() -> None:
    direction = make_direction(Weather(10, 0, 0.1))
    arrived = sum(direction.find_due_s(0.0) is not None for _ in range(10_000))
    assert (direction.carried, direction.dropped) == (arrived, 10_000 - arrived)
    assert 800 < direction.dropped < 1_200


def test_nothing_passes_a_cut() -> None:
    direction = make_direction(Weather(is_cut=True))
    assert [direction.find_due_s(0.0) for _ in range(10)] == [None] * 10


@pytest.mark.parametrize("wrong", [(-1, 0, 0), (10, 11, 0), (10, 0, 1.0), (10, 0, -0.1)])
def test_weather_that_cannot_be_is_refused(wrong: tuple[float, float, float]) -> None:
    with pytest.raises(ValueError, match="no weather"):
        Weather(*wrong)


def packet_to(address: bytes) -> bytes:
    return bytes([0x45]) + bytes(15) + address + b"payload"


def test_a_router_changes_single_directions_and_counts_them_all(tmp_path: Path) -> None:
    files = [(tmp_path / str(index)).open("wb", buffering=0) for index in range(2)]
    router = Router([file.fileno() for file in files], ["10.0.0.1", "10.0.0.2"], Weather(20, 0), seed=1)
    there, back = packet_to(bytes([10, 0, 0, 2])), packet_to(bytes([10, 0, 0, 1]))
    obey(router, {"weather": {"is_cut": True}, "from": [1], "to": [0]})
    router.take(0, there, 1.0)
    router.take(1, back, 1.0)
    router.take(0, packet_to(bytes([224, 0, 0, 1])), 1.0)  # of no member
    assert router.release(1.0) == pytest.approx(0.02)
    assert router.release(1.03) is None
    assert [(tmp_path / str(index)).read_bytes() for index in range(2)] == [b"", there]
    answer = obey(router, {"counters": True})
    assert answer["carried"] == [[0, 1], [0, 0]]
    assert answer["dropped"] == [[0, 0], [1, 0]]
    assert answer["late_ms"] == pytest.approx(10)
    assert router.describe()["late_ms"] == 0


needs_namespaces = pytest.mark.skipif(bool(find_obstacle()), reason=find_obstacle())


@needs_namespaces
def test_lines_between_namespaces_delay_and_can_be_cut_and_leave_nothing_behind(tmp_path: Path) -> None:
    with Namespaces(3) as namespaces, Processes() as processes:
        lines = Lines(processes, namespaces, Weather(40, 5), 1, tmp_path)
        echoes = lines.probe(probes=10)
        assert len(echoes) == 6
        for echo in echoes:
            assert len(echo.rtt_ms) == echo.sent
            assert min(echo.rtt_ms) >= 70
        lines.isolate(2, Weather(is_cut=True))
        lines.change(Weather(), [0, 1], [0, 1])
        for echo in lines.probe(probes=10):
            assert len(echo.rtt_ms) == (0 if 2 in (echo.start, echo.end) else echo.sent)
            assert not echo.rtt_ms or median(echo.rtt_ms) < 70
        assert lines.read().dropped == 40
    assert name_of(0) not in ip("netns", "list")
    assert "hansadesk" not in ip("link")
