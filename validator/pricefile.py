"""Price reports from a file that another program of the operator keeps current: `file:/path/prices.json`.

The file is one JSON object, decimal text in USD by underlying: `{"BTC": "60000.5", "ETH": "3000"}`. Replace it in one
step (write aside, rename), at least every `AGE_S_MAX`. What the file does not say, says wrongly or has not said lately
is reported as no opinion (docs/spec.md, ORA-1), so that a dead price program makes this validator silent and not wrong.
Every expiry gets a forward and a smile that go with the index, as on the seeded path.
"""

import json
import logging
from dataclasses import dataclass
from pathlib import Path

from engine.errors import ParamsError
from engine.params import E8_DECIMALS, MarketParams, parse_decimal

log = logging.getLogger("hansa.prices")
AGE_S_MAX = 10
PRICE_E8_MAX = 1 << 48  # ORA-1: a report with a larger number does not count


@dataclass(slots=True)
class FileFeed:
    """The newest content of one file. Blocking reads of a few bytes, once a second."""

    path: Path
    markets: tuple[MarketParams, ...]
    _is_missed: bool = False

    def indexes_e8(self, time_ms: int) -> list[int]:
        """One number per underlying in order of their feeds; 0 is no opinion."""
        prices = self._read(time_ms)
        names = dict.fromkeys(market.underlying_name for market in self.markets)
        return [_to_e8(prices.get(name)) for name in names]

    def _read(self, time_ms: int) -> dict[str, object]:
        try:
            age_ms = time_ms - self.path.stat().st_mtime_ns // 1_000_000
            if age_ms > AGE_S_MAX * 1_000:
                raise ValueError(f"it is {age_ms // 1_000} s old")
            found = json.loads(self.path.read_text())
            if not isinstance(found, dict):
                raise ValueError("it is no JSON object")
        except (OSError, ValueError) as error:
            if not self._is_missed:
                log.warning("prices.missing file=%s error=%s (reporting no opinion until it is back)", self.path, error)
            self._is_missed = True
            return {}
        if self._is_missed:
            log.info("prices.back file=%s", self.path)
        self._is_missed = False
        return found


def _to_e8(text: object) -> int:
    """0 for what is no price."""
    if not isinstance(text, str):
        return 0
    try:
        price_e8 = parse_decimal(text, E8_DECIMALS)
    except ParamsError:
        return 0
    return price_e8 if price_e8 <= PRICE_E8_MAX else 0
