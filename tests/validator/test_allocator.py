"""Copies of a state must not cost the memory that their tables could grow to."""

import subprocess
import sys

import pytest

_MEASURE = """
import sys
import numpy as np
from validator.allocator import keep_large_blocks_mapped

def resident_bytes():
    return int(open("/proc/self/statm").read().split()[1]) * 4096

if sys.argv[1] == "limited":
    assert keep_large_blocks_mapped()
pins = []
def make_blocks():
    made = []
    for _ in range(8):
        made.append(np.zeros(20 << 20, np.uint8))
        pins.append(bytes(100_000))  # what else the process keeps: the heap cannot shrink below it
    return made
for _ in range(3):
    make_blocks()
start = resident_bytes()
blocks = make_blocks()
print(resident_bytes() - start)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="the GNU allocator")
@pytest.mark.parametrize(("mode", "is_small"), [("limited", True), ("unlimited", False)])
def test_untouched_zeros_cost_nothing_even_after_others_were_freed(mode: str, is_small: bool) -> None:
    answer = subprocess.run([sys.executable, "-c", _MEASURE, mode], capture_output=True, text=True, check=True)
    assert (int(answer.stdout) < 16 << 20) is is_small
