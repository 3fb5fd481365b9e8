"""Members whose price reports are no honest opinion."""

from __future__ import annotations

import random
from dataclasses import replace
from typing import TYPE_CHECKING

from engine.payload import FEED_E8_MAX, Payload, PriceReport
from testnet.sim.byzantine.behaviour import Behaviour

if TYPE_CHECKING:
    from testnet.sim.node import Node

STALE_MS = 5_000


class ExtremePrices(Behaviour):
    """Reports nothing, nearly nothing, or the most that a report can say."""

    name = "extreme prices"

    def on_report(self, node: Node, report: PriceReport) -> PriceReport | None:
        node.world.fired[f"behaviour: {self.name}"] += 1
        feeds_e8 = tuple(self.rng.choice((0, 1, FEED_E8_MAX)) for _ in report.feeds_e8)
        return node.world.exchange.signers[node.index].sign_price_report(node.index, report.time_ms, feeds_e8)


class StalePrices(Behaviour):
    """Reports old prices, some with an old time and some as if they were new."""

    name = "stale prices"

    def __init__(self, rng: random.Random) -> None:
        super().__init__(rng)
        self._first: PriceReport | None = None

    def on_report(self, node: Node, report: PriceReport) -> PriceReport | None:
        node.world.fired[f"behaviour: {self.name}"] += 1
        self._first = self._first or report
        time_ms = report.time_ms - (STALE_MS if self.rng.random() < 0.5 else 0)
        return node.world.exchange.signers[node.index].sign_price_report(node.index, time_ms, self._first.feeds_e8)


class DearPrices(Behaviour):
    """Reports a fifth more than it sees."""

    name = "dear prices"

    def on_report(self, node: Node, report: PriceReport) -> PriceReport | None:
        node.world.fired[f"behaviour: {self.name}"] += 1
        feeds_e8 = tuple(min(feed + feed // 5, FEED_E8_MAX) for feed in report.feeds_e8)
        return node.world.exchange.signers[node.index].sign_price_report(node.index, report.time_ms, feeds_e8)


class ReportForger(Behaviour):
    """As a leader it writes other members' reports for them."""

    name = "report forger"

    def on_payload(self, node: Node, payload: Payload) -> Payload:
        forged = tuple(
            replace(report, feeds_e8=tuple(feed * 2 for feed in report.feeds_e8)) for report in payload.price_reports
        )
        return replace(payload, price_reports=forged)


class LoneReporter(Behaviour):
    """As a leader it lets nobody speak of prices but itself."""

    name = "lone reporter"

    def on_payload(self, node: Node, payload: Payload) -> Payload:
        own = tuple(report for report in payload.price_reports if report.validator == node.index)
        return replace(payload, price_reports=own)
