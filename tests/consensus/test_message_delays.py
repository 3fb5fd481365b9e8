"""The protocol's own numbers: message delays to finality, between blocks, and frames in a view. Virtual time: exact."""

import pytest

from testnet.sim.delays import ALL_TO_ALL, measure_delays


@pytest.mark.parametrize("member_count", [4, 5, 7, 10, 16])
def test_three_delays_to_finality_and_two_between_blocks(member_count: int) -> None:
    delays = measure_delays(member_count, blocks=8)
    assert set(delays.finality) == {3.0}
    assert set(delays.between_blocks) == {2.0}


def test_collectors_take_five_delays_and_a_fraction_of_the_frames() -> None:
    collected, direct = measure_delays(40, blocks=2), measure_delays(40, blocks=2, collector_threshold=ALL_TO_ALL)
    assert set(direct.finality) == {3.0}
    assert set(collected.finality) == {4.0, 5.0}  # a collector is final one delay before the others
    assert set(collected.between_blocks) == {2.0}  # the next leader is a collector
    assert direct.frames_per_view >= 2 * 39 * 39
    assert collected.frames_per_view <= 39 + 2 * 2 * 4 * 40
