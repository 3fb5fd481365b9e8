"""What a node counts: totals that two readings subtract, and times that no reading can lose."""

import numpy as np

from engine.results import Code
from validator.stats import FINALITY_MS_MAX, Stats


def test_codes_and_times_to_finality_add_up_over_blocks() -> None:
    now_ms = 1_000
    stats = Stats(lambda: now_ms)
    for time_ms, codes in ((970, [0, 0, 103]), (970, [0]), (900, [])):
        stats.on_final(time_ms, len(codes), is_live=True)
        stats.on_codes(np.array(codes, dtype=np.int64))
    assert stats.actions_by_code() == {Code.OK: 3, 103: 1}
    assert stats.blocks_by_finality_ms() == {30: 2, 100: 1}


def test_blocks_of_catching_up_say_nothing_about_finality() -> None:
    stats = Stats(lambda: 10_000_000)
    stats.on_final(0, 5, is_live=False)
    assert stats.blocks_by_finality_ms() == {}
    stats.on_final(0, 5, is_live=True)
    assert stats.blocks_by_finality_ms() == {FINALITY_MS_MAX: 1}
