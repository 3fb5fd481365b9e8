"""Windows between two readings: only what happened in between counts."""

from collections import Counter

from testnet.counters import compare, compare_steps, percentile, take_reading


def answer(time_ms: int, cpu_us: int, height: int, finality_ms: dict[str, int], frames: int) -> dict:
    link = {"peer": 1, "frames_in": 0, "frames_out": frames, "bytes_in": 0, "bytes_out": 100 * frames, "writes": frames}
    return {
        "time_ms": time_ms, "cpu_us": cpu_us, "height": height, "actions_by_code": {"0": 3 * height, "301": height},
        "blocks_by_finality_ms": finality_ms, "blocks_by_step_ms": {"signed": finality_ms, "executed": {}},
        "links": [link, link | {"peer": 2}],
    }  # fmt: skip


def test_a_window_is_the_difference_of_two_readings() -> None:
    before = [take_reading(answer(1_000, 5_000, 10, {"40": 9, "9000": 1}, 50)) for _ in range(2)]
    after = [take_reading(answer(6_000, 105_000, 20, {"40": 9, "50": 9, "70": 1, "9000": 1}, 90)) for _ in range(2)]
    window = compare(before, after)
    assert (window.seconds, window.blocks, window.blocks_per_s) == (5.0, 10, 2.0)
    assert window.actions_per_s == 8.0
    assert (window.finality_p50_ms, window.finality_p99_ms) == (50, 70)
    assert window.cpu_ms_per_block == 10.0
    assert (window.frames_out_per_block, window.bytes_out_per_block) == (8.0, 800.0)


def test_steps_are_those_of_all_nodes_between_the_readings() -> None:
    before = [take_reading(answer(1_000, 0, 10, {"40": 9}, 0)) for _ in range(2)]
    after = [take_reading(answer(2_000, 0, 20, {"40": 10, "50": 2}, 0)) for _ in range(2)]
    assert compare_steps(before, after) == {"signed": Counter({40: 2, 50: 4}), "executed": Counter()}


def test_percentiles_of_counted_values() -> None:
    counts = Counter({10: 50, 20: 49, 900: 1})
    assert [percentile(counts, percent) for percent in (0, 49, 50, 98, 99, 100)] == [10, 10, 20, 20, 900, 900]
    assert percentile(Counter(), 50) == 0
