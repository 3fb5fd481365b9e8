"""Every bound of the engine in one place, and the relations between them that keep all arithmetic inside int64.

Theory. A position is worth at most `POSITION_QUOTE_MAX` at any admissible price (`MarketParams.price_ticks_max` is
derived from it), there are at most 62 markets, and open orders can at most double a position (buys + position <=
limit). So one account's worth, worst case and losses together stay below 62 x 4 x 2**54 < 2**62, and no sum of money
needs more than 63 bits. Products that would (money x basis points) split the factor instead (`engine.checked`).
"""

from engine.payload import BATCH_COMMANDS_MAX, BATCH_REFS_MAX, INBOX_ENTRIES_MAX, MARKETS_MAX, PRICE_TICKS_MAX

ENGINE_VERSION = 1
INT64_MAX = (1 << 63) - 1
BPS_UNIT = 10_000

POSITION_QUOTE_MAX = 1 << 54  # 18 billion USD: the most one position can be worth at the largest price
DEPOSITS_QUOTE_MAX = 1 << 56  # 72 billion USD: more is paid straight back
BALANCE_QUOTE_MAX = 1 << 62  # no balance can come near it; checked after every block
SUM_QUOTE_MAX = 1 << 62  # claims or debts of all accounts together

TREE_DEPTH = 20
ACCOUNTS_MAX = 1 << TREE_DEPTH
FEE_ACCOUNT = 0
INSURANCE_ACCOUNT = 1
FUNDING_ACCOUNT_FIRST = 2
USER_ACCOUNT_FIRST = 64
WITHDRAWAL_DEPTH = 32
WITHDRAWALS_MAX = (1 << WITHDRAWAL_DEPTH) - 1

NONCES_REMEMBERED = 64
LIQUIDATION_STEPS = 8  # a position is closed in parts of one eighth, until the account is healthy
REPORT_AGE_MS_MAX = 10_000
REPORT_AHEAD_MS_MAX = 1_000
VALIDATORS_MAX = 255
BLOCK_COMMANDS_MAX = BATCH_REFS_MAX * BATCH_COMMANDS_MAX

# Relations. Written as a table so that `python -O` cannot drop them.
_RELATIONS = (
    (MARKETS_MAX * 4 * POSITION_QUOTE_MAX < BALANCE_QUOTE_MAX, "all positions and orders of an account fit"),
    (BALANCE_QUOTE_MAX + MARKETS_MAX * POSITION_QUOTE_MAX < INT64_MAX, "balance and positions add up in int64"),
    (DEPOSITS_QUOTE_MAX < SUM_QUOTE_MAX, "deposits fit into a sum"),
    (PRICE_TICKS_MAX * 2 * BPS_UNIT < INT64_MAX, "a price times basis points fits"),
    (FUNDING_ACCOUNT_FIRST + MARKETS_MAX <= USER_ACCOUNT_FIRST, "system accounts lie below users"),
    (BLOCK_COMMANDS_MAX + INBOX_ENTRIES_MAX < WITHDRAWALS_MAX, "a block cannot fill the withdrawal tree"),
)
for _holds, _what in _RELATIONS:
    if not _holds:
        raise ValueError(f"limits contradict each other: {_what}")
