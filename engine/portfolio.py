"""Portfolio margin: what an account's holdings demand together (docs/portfolio.md)."""

import numpy as np

from engine.accounts import compute_cost
from engine.compiling import kernel
from engine.tables import Number, Tables, Truth


@kernel
def portfolio_requirement(t: Tables, account: Number, is_initial: Truth) -> Number:
    """Quote that an account's holdings demand at initial or maintenance units."""
    total_quote = np.int64(0)
    row = np.int64(t.accounts[account]["position_first"])
    while row != 0:
        position = t.positions[row]
        market = t.markets[np.int64(position["market"])]
        long_unit = market["im_long_unit"] if is_initial else market["mm_long_unit"]
        short_unit = market["im_short_unit"] if is_initial else market["mm_short_unit"]
        total_quote += compute_cost(position["lots"], long_unit, short_unit)
        row = np.int64(position["next"])
    return total_quote
