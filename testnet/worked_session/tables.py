"""Numbers as text, text as Markdown tables, and what an account looks like at one state."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from engine.params import MarketParams
from engine.portfolio import GREEK_COUNT, REVALUE_COLUMNS, compute_greeks, revalue_portfolios, value_scenarios
from engine.scenarios import BASIS
from engine.state import EngineState
from engine.views import AccountSummary, account_summary
from testnet.worked_session.desk import E8, USD

SCENARIO_COUNT = 34


def dollars(amount_quote: int) -> str:
    """Money in whole USD, to the nearest."""
    whole = (abs(amount_quote) + USD // 2) // USD
    return f"{'-' if amount_quote < 0 and whole else ''}{whole:,}"


def exact(amount_quote: int) -> str:
    """Money in USD with all six decimals."""
    whole, rest = divmod(abs(amount_quote), USD)
    return f"{'-' if amount_quote < 0 else ''}{whole:,}.{rest:06d}"


def exact_e8(number_e8: int) -> str:
    """A price with all eight decimals."""
    whole, rest = divmod(abs(number_e8), E8)
    return f"{'-' if number_e8 < 0 else ''}{whole:,}.{rest:08d}"


def parse_number(text: str, decimals: int) -> int:
    """The inverse: an integer in units of the last decimal. Raises `ValueError` for another number of decimals."""
    digits = text.strip().strip("*").replace(",", "")
    if len(digits.partition(".")[2]) != decimals:
        raise ValueError(f"{text!r} has not {decimals} decimals")
    return int(digits.replace(".", ""))


def base_size(size_lots: int, market: MarketParams) -> str:
    """A signed size in BTC, three decimals."""
    milli = size_lots * market.lot_e8 // 10**5
    return f"{'-' if milli < 0 else ''}{abs(milli) // 1000:,}.{abs(milli) % 1000:03d}"


def percent(bps: int) -> str:
    """Basis points as per cent, two decimals."""
    return f"{'-' if bps < 0 else ''}{abs(bps) // 100}.{abs(bps) % 100:02d} %"


def table(head: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """A Markdown table; the first column is text, all others are numbers."""
    lines = ["| " + " | ".join(head) + " |", "|" + "|".join(["---", *["---:"] * (len(head) - 1)]) + "|"]
    lines += ["| " + " | ".join(str(cell) for cell in row) + " |" for row in rows]
    return "\n".join(lines) + "\n"


def hex_block(data: bytes) -> str:
    """Bytes as lines of 48."""
    lines = [data[at : at + 48].hex() for at in range(0, len(data), 48)]
    return "```\n" + "\n".join(lines) + "\n```\n"


@dataclass(frozen=True, slots=True)
class Figures:
    """An account at one state; Greeks in quote as `engine.simulate.Greeks`, `vector` the PnL of all scenarios.

    `initial_quote`: what its positions demand as a portfolio, without open orders.
    """

    summary: AccountSummary
    greeks: tuple[int, ...]
    vector: tuple[int, ...]
    initial_quote: int

    @property
    def worst(self) -> int:
        """Number of the first scenario that nothing is worse than; of a portfolio only."""
        return min(range(SCENARIO_COUNT), key=lambda number: (self.vector[number], number))

    @property
    def health(self) -> str:
        """What the exchange would do to the account."""
        summary = self.summary
        if summary.equity_quote < summary.maintenance_margin_quote:
            return "below maintenance"
        return "healthy" if summary.equity_quote >= summary.initial_margin_quote else "may only reduce"


def read_figures(state: EngineState, account: int) -> Figures:
    """Margins, Greeks and scenarios of one account; scenarios mean something for portfolios only."""
    greeks, vectors = np.zeros((1, GREEK_COUNT), np.int64), np.zeros((1, BASIS + 1), np.int64)
    compute_greeks(state.tables, np.int64(account), greeks)
    value_scenarios(state.tables, np.int64(account), vectors)
    sums = np.zeros((1, REVALUE_COLUMNS), np.int64)
    revalue_portfolios(state.tables, np.array([account], np.int64), sums)
    own = account_summary(state, account)
    return Figures(own, tuple(greeks[0].tolist()), tuple(vectors[0].tolist()), int(sums[0, 1]))


def greeks_row(greeks: Sequence[int]) -> tuple[str, ...]:
    """Delta in USD, gamma per 1 %, vega per point, theta per day, rho per 1 %."""
    delta_quote, gamma_quote, vega_quote, theta_quote, rho_quote = greeks
    return tuple(
        dollars(part) for part in (delta_quote, gamma_quote // 100, vega_quote // 100, theta_quote, rho_quote // 100)
    )


GREEK_HEAD = ("delta (USD)", "gamma (delta per 1 %)", "vega (per point)", "theta (per day)", "rho (per 1 %)")


def scenario_name(number: int) -> str:
    """A scenario of docs/portfolio.md, 7.1, in words."""
    if number == BASIS:
        return "basis ±4.5 %"
    if number in (31, 32):
        return ("linear skew", "absolute skew")[number - 31]
    if number < 2:
        return ("+18 %, vol up", "-18 %, vol up")[number]
    if number < 23:
        spot = ("+13.5 %", "-13.5 %", "+9 %", "-9 %", "+4.5 %", "-4.5 %", "0 %")[(number - 2) // 3]
        return f"{spot}, vol {('up', 'same', 'down')[(number - 2) % 3]}"
    tail = ("× 0.34", "× 0.67", "× 1.5", "× 2", "× 3", "× 4", "× 5", "× 6")[number - 23]
    return f"{tail}, vol up, dampened"
