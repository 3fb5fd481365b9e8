"""M1, M4: no single member chooses a price. Computed again from the reports that final blocks carry.

| property | meaning |
|---|---|
| M1 | an index moves to the lower median of a quorum's timely opinions, a capped step at most (ORA-1, ORA-2) |
| M4 | an expiry settles at the mean of the indices of its last half hour, one in four seconds (EXP-1) |
"""

from collections.abc import Sequence

from consensus.messages import quorum
from engine.apply import BlockResult
from engine.params import ExchangeParams
from engine.payload import PriceReport
from engine.state import EngineState
from engine.tables import KIND_CALL, KIND_FUTURE, KIND_PUT, NOTICE_SETTLEMENT
from testnet.sim.checkers.violation import require

AGE_MS_MAX, AHEAD_MS_MAX = 10_000, 1_000
MEAN_MS, SLOT_MS = 1_800_000, 4_000
BPS = 10_000


class PriceChecker:
    """Follows all indices by itself, block by block."""

    def __init__(self, params: ExchangeParams) -> None:
        self._params = params
        self._quorum = quorum(params.validator_count)
        count = len(params.underlyings)
        self.indices_e8 = [0] * count
        self.moved_ms = [0] * count  # when a quorum last spoke of each
        self._accepted_ms = [0] * params.validator_count
        self._samples: dict[tuple[int, int], dict[int, int]] = {}  # by underlying and expiry: slot -> index

    def on_first_final(
        self, height: int, time_ms: int, reports: Sequence[PriceReport], state: EngineState, result: BlockResult
    ) -> None:
        """`state` and `result` are what the engine made of the block."""
        self._take_reports(reports, time_ms)
        for number, index_e8 in enumerate(self.indices_e8):
            held_e8 = int(state.tables.underlyings[number]["index_e8"])
            require(held_e8 == index_e8, f"M1 height {height} has the index {held_e8}, the reports say {index_e8}")
        for number, expiry_ms in self._dated():
            begins_ms = expiry_ms - MEAN_MS
            if begins_ms <= time_ms < expiry_ms and self.is_fresh(number, time_ms):
                slots = self._samples.setdefault((number, expiry_ms), {})
                slots.setdefault((time_ms - begins_ms) // SLOT_MS, self.indices_e8[number])
        for note in result.notices:
            if int(note["kind"]) == NOTICE_SETTLEMENT:
                self._check_settlement(height, state, int(note["subject"]), int(note["value_a"]))

    def is_fresh(self, underlying: int, time_ms: int) -> bool:
        """Whether a quorum has spoken of it lately."""
        stale_ms = next(
            market.oracle_stale_ms
            for market in self._params.markets
            if market.underlying_name == self._params.underlyings[underlying]
        )
        return self.indices_e8[underlying] != 0 and time_ms - self.moved_ms[underlying] <= stale_ms

    def _dated(self) -> list[tuple[int, int]]:
        names = self._params.underlyings
        return [(names.index(name), expiry_ms) for name, expiry_ms in self._params.expiries]

    def _take_reports(self, reports: Sequence[PriceReport], time_ms: int) -> None:
        counting = [
            report
            for report in reports
            if time_ms - AGE_MS_MAX <= report.time_ms <= time_ms + AHEAD_MS_MAX
            and report.time_ms > self._accepted_ms[report.validator]
        ]
        if len(counting) < self._quorum:
            return
        for report in counting:
            self._accepted_ms[report.validator] = report.time_ms
        for number in range(len(self.indices_e8)):
            opinions_e8 = sorted(filter(None, (report.feeds_e8[number] for report in counting)))
            if len(opinions_e8) >= self._quorum:
                self._move(number, opinions_e8[(len(opinions_e8) - 1) // 2], time_ms)

    def _move(self, number: int, median_e8: int, time_ms: int) -> None:
        name = self._params.underlyings[number]
        market = next(market for market in self._params.markets if market.underlying_name == name)
        old_e8 = self.indices_e8[number]
        step_e8 = max(old_e8 * market.oracle_step_bps_max // BPS, market.tick_e8)
        new_e8 = median_e8 if old_e8 == 0 else min(max(median_e8, old_e8 - step_e8, 1), old_e8 + step_e8)
        self.indices_e8[number], self.moved_ms[number] = new_e8, time_ms

    def _check_settlement(self, height: int, state: EngineState, market: int, settled_e8: int) -> None:
        """Of a dated market; the mean of what this checker has sampled, or the index if it saw none."""
        row = state.tables.markets[market]
        kind, strike_e8 = int(row["kind"]), int(row["strike_e8"])
        if kind not in (KIND_FUTURE, KIND_CALL, KIND_PUT):
            return
        number = int(row["underlying"])
        slots = self._samples.get((number, int(state.tables.expiries[int(row["expiry"])]["expiry_ms"])), {})
        mean_e8 = sum(slots.values()) // len(slots) if slots else self.indices_e8[number]
        gain_e8 = {KIND_FUTURE: mean_e8, KIND_CALL: mean_e8 - strike_e8, KIND_PUT: strike_e8 - mean_e8}[kind]
        due_e8 = min(max(gain_e8, 0), int(row["price_ticks_max"] * row["tick_e8"]))
        require(settled_e8 == due_e8, f"M4 height {height} settles market {market} at {settled_e8}, not at {due_e8}")
