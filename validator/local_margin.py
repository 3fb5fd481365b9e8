"""An account's margin in any case, computed on the trader's machine by the exchange's own engine.

    margin = LocalMargin(client.network(), client.margin_inputs(["BTC-PERPETUAL"]))     # one question to a node
    margin.simulate({"BTC-PERPETUAL": "-0.5"}, price_shift_ppm=-100_000)                # as often as wanted

gives what `client.simulate` answers at that height, to the unit and under the same names. Rows of markets that the
account is not in have to be asked for by name. Needs the engine's compiler: `pip install 'hansa[node]'`.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from engine.params import DEFAULT_MARKETS, ExchangeParams
from engine.results import Code
from engine.units import parse_size_lots
from net.client.protocol import Exact, HansaError, Network, exact_text
from net.gateway.account_data import WhatIf
from net.gateway.present_settings import simulated

try:
    import numpy as np

    from engine.allocate import make_tables
    from engine.simulate import Holdings
    from engine.tables import EXPIRY, MARKET, MARKET_COUNT, SCENARIOS, UNDERLYING, Tables
    from validator.margin_inputs import COLUMNS
    from validator.what_if import simulate_holdings
except ModuleNotFoundError as error:
    raise ImportError(f"margins cannot be computed here without {error.name}: pip install 'hansa[node]'") from error

# Of the smallest exchange: only the layout of its tables is wanted.
_SMALL = ExchangeParams(
    DEFAULT_MARKETS, bytes(20), 1, 1, bytes(20), accounts_max=128, orders_max=256, positions_max=256, triggers_max=64,
    offers_max=64, sessions_max=64,
)  # fmt: skip


class LocalMargin:
    """What one answer of `private/x_get_margin_inputs` says. Raises `HansaError` for one of another engine."""

    def __init__(self, network: Network, inputs: Mapping[str, Any]) -> None:
        if {table: tuple(names) for table, names in inputs["columns"].items()} != COLUMNS:
            raise HansaError(0, "the node's engine has other tables than this one", "install the version of the node")
        self._network = network
        self._names: list[str] = inputs["names"]
        self._known = frozenset(inputs["markets"])
        self.height: int = inputs["x_height"]
        self._holdings = Holdings(
            inputs["balance_quote"],
            {self._number(name): lots for name, lots in inputs["positions"].items()},
            {self._number(name): (buys, sells) for name, (buys, sells) in inputs["open_orders"].items()},
            inputs["order_charge_quote"], inputs["mode"],
        )  # fmt: skip
        self._tables = self._make_tables(inputs)

    def simulate(
        self, sizes_base: Mapping[str, Exact] | None = None, *, is_added: bool = True, price_shift_ppm: int = 0,
        vol_shift_ppm: int = 0,
    ) -> dict[str, Any]:  # fmt: skip
        """As `Operations.simulate`. Raises `HansaError` for a case that has no answer, `engine.units.UnitError` for a
        size off its step.
        """
        lots = {}
        for name, size_base in (sizes_base or {}).items():
            number, market = self._network.market(name)
            if name not in self._known:
                raise HansaError(0, f"no row of {name}", "name it when you ask for margin_inputs")
            lots[number] = parse_size_lots(exact_text(size_base), market)
        what_if = WhatIf(lots, is_added, price_shift_ppm=price_shift_ppm, vol_shift_ppm=vol_shift_ppm)
        found = simulate_holdings(self._tables, self._names, self.height, self._holdings, what_if)
        if isinstance(found, Code):
            raise HansaError(int(found), found.name.lower(), "docs/errors.md")
        return simulated(found)

    def _number(self, name: str) -> int:
        return self._network.market(name)[0]

    def _make_tables(self, inputs: Mapping[str, Any]) -> Tables:
        """Rows where the engine looks for them; those of markets that were not asked for are empty."""
        rows = {self._number(name): row for name, row in inputs["markets"].items()}
        scenarios = {self._number(name): row for name, row in inputs["scenarios"].items()}
        counters = np.array(inputs["counters"], np.int64)
        tables = make_tables(_SMALL, 0)._replace(
            markets=np.zeros(int(counters[MARKET_COUNT]), MARKET),
            scenarios=np.zeros((int(counters[MARKET_COUNT]), SCENARIOS), np.int64),
            underlyings=_make_records(inputs["underlyings"], UNDERLYING),
            expiries=_make_records(inputs["expiries"], EXPIRY),
            counters=counters,
        )
        for number, row in rows.items():
            tables.markets[number] = tuple(row)
            tables.scenarios[number] = scenarios[number]
        return tables


def _make_records(rows: Sequence[Sequence[int]], layout: np.dtype) -> np.ndarray:
    return np.array([tuple(row) for row in rows], layout)
