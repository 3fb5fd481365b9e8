"""Piecewise polynomials that price options: ln, 1/x, 2**x, 1/sqrt(x), the normal distribution and its density.

Row i of a table belongs to the node i / scale of its argument and holds coefficients c0 .. c7 for t, the distance from
the node in units of 1 / scale, -1/2 <= t < 1/2. With t in Q64 a step `c + mul_high(sum, t)` keeps the coefficients'
format. All are Q62 except the logarithm's, see `LOGARITHM`. The numbers are consensus constants; their digest is in
`tests/vectors/pricing.json`.
"""

from typing import Any

import numpy as np

from engine import pricing_tables_elementary, pricing_tables_normal
from engine.compiling import inlined
from engine.fixed import Number, mul_high

ROW_WORDS = 8


def _parse(text: str) -> np.ndarray[Any, np.dtype[np.int64]]:
    table = np.array([int(word) for word in text.split()], dtype=np.int64).reshape(-1, ROW_WORDS)
    table.flags.writeable = False
    return table


# ln(1 + u), scale 128, u in [0, 1]: word 0 is c0 in Q57 (floor), words 1 to 6 are c1 .. c6 in Q69, word 7 is what the
# floor left of c0, in Q69. Two formats, because the difference of two near logarithms needs the digits that the
# difference of two distant ones has no room for.
LOGARITHM = _parse(pricing_tables_elementary.LOGARITHM)
# 1 / (1 + u), scale 64, u in [0, 1].
RECIPROCAL = _parse(pricing_tables_elementary.RECIPROCAL)
# 2**(u - 1), scale 64, u in [0, 1].
EXPONENTIAL = _parse(pricing_tables_elementary.EXPONENTIAL)
# 1 / sqrt(1 + u), scale 64, u in [0, 3].
ROOT = _parse(pricing_tables_elementary.ROOT)
# N(d) and n(d), scale 16, d in [0, 9 + 1/32).
DISTRIBUTION = _parse(pricing_tables_normal.DISTRIBUTION)
DENSITY = _parse(pricing_tables_normal.DENSITY)

# A row number below 256 after this mask: the compiler sees that it is not negative and drops the check for it.
ROW_MASK = 255


@inlined
def evaluate(table: Any, row: Number, offset_q64: Number) -> Number:
    """The polynomial of `table[row]` at t = offset_q64 / 2**64 in the table's format, at most 3 units below it.

    Horner's rule in t**2 for the even and the odd powers, which do not wait for each other. Each product rounds down.
    """
    row = row & ROW_MASK
    square = mul_high(offset_q64, offset_q64)
    even = table[row, 4] + mul_high(table[row, 6], square)
    odd = table[row, 5] + mul_high(table[row, 7], square)
    even = table[row, 2] + mul_high(even, square)
    odd = table[row, 3] + mul_high(odd, square)
    even = table[row, 0] + mul_high(even, square)
    odd = table[row, 1] + mul_high(odd, square)
    return even + mul_high(odd, offset_q64)
