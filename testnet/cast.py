"""Who trades on a local network: a role and an account of the test mnemonic each, and what they bring."""

from testnet.funding import OPTION_TRADER_FIRST, USDC_QUOTE, ChainAccount, derive_account

ROLES = ("maker", "maker", "maker", "taker", "taker", "taker", "taker", "gambler", "gambler", "withdrawer")
# Where futures and options are listed. Makers have portfolio margin and cross margin in turn.
OPTION_ROLES = ("option_maker", "option_maker", "option_taker", "option_taker")
GAMBLER_TOP_UP_QUOTE = 1_000 * USDC_QUOTE
DEPOSITS_QUOTE = {
    "maker": 250_000 * USDC_QUOTE,
    "taker": 50_000 * USDC_QUOTE,
    "gambler": GAMBLER_TOP_UP_QUOTE,
    "withdrawer": 10_000 * USDC_QUOTE,
    "option_maker": 2_000_000 * USDC_QUOTE,
    "option_taker": 200_000 * USDC_QUOTE,
}


def list_cast(has_options: bool) -> list[tuple[str, ChainAccount]]:
    """Role and account of everybody, in an order that never changes."""
    cast = [(role, derive_account(number)) for number, role in enumerate(ROLES)]
    if has_options:
        cast += [(role, derive_account(OPTION_TRADER_FIRST + at)) for at, role in enumerate(OPTION_ROLES)]
    return cast
