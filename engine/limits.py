"""Every bound of the engine in one place, and the relations between them that keep all arithmetic inside int64.

Theory. A position is worth at most `POSITION_QUOTE_MAX` = 2**54 at any admissible price
(`MarketParams.price_ticks_max` is derived from it). Position and open orders of a side together stay within the same
limit, so the riskiest holding of a market demands at most 2**54 and its orders' charges at most as much again. What
an account can hold at once is bounded by its money: nothing is accepted beyond its equity, and all deposits are below
2**56. Sums over all accounts are checked after every block. Products of a sum and a rate use 128 bits
(`engine.fixed`).
"""

from engine.payload import BATCH_ACTIONS_MAX, BATCH_REFS_MAX, INBOX_ENTRIES_MAX, PRICE_TICKS_MAX

ENGINE_VERSION = 2
INT64_MAX = (1 << 63) - 1
BPS_UNIT = 10_000

POSITION_QUOTE_MAX = 1 << 54  # 18 billion USD: the most one position can be worth at the largest price
DEPOSITS_QUOTE_MAX = 1 << 56  # 72 billion USD: more is paid straight back
BALANCE_QUOTE_MAX = 1 << 61  # no balance can come near it; checked after every block
SUM_QUOTE_MAX = 1 << 62  # claims or debts of all accounts together

TREE_DEPTH = 20
ACCOUNTS_MAX = 1 << TREE_DEPTH
USER_ACCOUNT_FIRST = 64
WITHDRAWAL_DEPTH = 32
WITHDRAWALS_MAX = (1 << WITHDRAWAL_DEPTH) - 1

NONCES_REMEMBERED = 64
LIQUIDATION_STEPS = 8  # a position is closed in parts of one eighth, until the account is healthy
REPORT_AGE_MS_MAX = 10_000
REPORT_AHEAD_MS_MAX = 1_000
VALIDATORS_MAX = 255
BLOCK_ACTIONS_MAX = BATCH_REFS_MAX * BATCH_ACTIONS_MAX

# Relations. Written as a table so that `python -O` cannot drop them.
_RELATIONS = (
    (8 * POSITION_QUOTE_MAX < DEPOSITS_QUOTE_MAX * 8, "margin, losses and fees of a market add up in int64"),
    (BALANCE_QUOTE_MAX + DEPOSITS_QUOTE_MAX < 1 << 62, "equity fits exact comparison"),
    (DEPOSITS_QUOTE_MAX < SUM_QUOTE_MAX, "deposits fit into a sum"),
    (PRICE_TICKS_MAX * 2 * BPS_UNIT < INT64_MAX, "a price times basis points fits"),
    (BLOCK_ACTIONS_MAX + INBOX_ENTRIES_MAX < WITHDRAWALS_MAX, "a block cannot fill the withdrawal tree"),
)
for _holds, _what in _RELATIONS:
    if not _holds:
        raise ValueError(f"limits contradict each other: {_what}")
