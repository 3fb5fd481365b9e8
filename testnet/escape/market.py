"""The drill's markets, and its prices: the file that all validators report from (`validator.pricefile`)."""

import json
import random
import time
from pathlib import Path

import trio

from engine.params import DEFAULT_MARKETS, MarketParams

STRIKE_USD = 60_000
OPTION_DAYS = 7
DAY_S = 86_400
WRITE_INTERVAL_S = 0.5
WALK_BPS_MAX = 3
BPS_UNIT = 10_000
CENTS = 100


def list_markets(now_s: float) -> tuple[MarketParams, ...]:
    """The two perpetuals of every local network, and a call and a put that expire in a week."""
    expiry_s = (int(now_s) // DAY_S + OPTION_DAYS) * DAY_S + DAY_S // 3
    day = time.strftime("%d%b%y", time.gmtime(expiry_s)).upper()
    options = (
        MarketParams(
            f"BTC-{day}-{STRIKE_USD}-{kind[0].upper()}", "1", "0.001", 1_000, 1_500, 900, 2, 5, 400, 50_000, 100_000,
            500, 15_000, kind=kind, expiry_ms=expiry_s * 1_000, strike=str(STRIKE_USD),
        )
        for kind in ("call", "put")
    )  # fmt: skip
    return (*DEFAULT_MARKETS, *options)


class Prices:
    """Keeps the file current: a slow random walk, and a fall when it is asked for."""

    def __init__(self, path: Path, seed: int) -> None:
        self.path = path
        self._draw = random.Random(f"prices/{seed}")
        self._cents = {"BTC": 60_000 * CENTS, "ETH": 3_000 * CENTS}

    def write(self) -> None:
        """Replace the file in one step."""
        texts = {name: f"{cents // CENTS}.{cents % CENTS:02}" for name, cents in self._cents.items()}
        self.path.parent.mkdir(parents=True, exist_ok=True)
        aside = self.path.with_suffix(".new")
        aside.write_text(json.dumps(texts))
        aside.replace(self.path)

    def fall(self, name: str, by_bps: int) -> None:
        """From the next report on; a step of an index is limited to 500 bps (docs/spec.md, ORA-2)."""
        self._cents[name] -= self._cents[name] * by_bps // BPS_UNIT
        self.write()

    async def keep_writing(self) -> None:
        while True:
            for name, cents in self._cents.items():
                self._cents[name] += cents * self._draw.randint(-WALK_BPS_MAX, WALK_BPS_MAX) // BPS_UNIT
            self.write()
            await trio.sleep(WRITE_INTERVAL_S)
