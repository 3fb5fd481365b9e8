"""A member that does everything right, with the places at which others do not."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import TYPE_CHECKING

from consensus.messages import Block, Certificate
from engine.payload import Batch, Payload, PriceReport

if TYPE_CHECKING:
    from testnet.sim.node import Node

Out = list[tuple[int | None, bytes]]  # to one member, or to all others if None


class Behaviour:
    """The base does everything right."""

    name = "honest"
    machines = 1  # that run with its key

    def __init__(self, rng: random.Random) -> None:
        self.rng = rng

    def on_send(self, node: Node, peer: int | None, data: bytes) -> Out:
        """Instead of sending `data`."""
        return [(peer, data)]

    def on_receive(self, node: Node, peer: int, data: bytes) -> Out:
        """Beside handling `data`."""
        return []

    def on_commitment(self, node: Node, commitment: bytes) -> bytes:
        """The result that an own block claims."""
        return commitment

    def on_payload(self, node: Node, payload: Payload) -> Payload:
        """What an own block carries; executed again if it is another."""
        return payload

    def on_report(self, node: Node, report: PriceReport) -> PriceReport | None:
        """The own price report, once a second; None says nothing."""
        return report

    def on_batch(self, node: Node, batch: Batch) -> list[tuple[int | None, Batch]]:
        """Instead of sending an own batch to all."""
        return [(None, batch)]

    def on_restart(self, node: Node, records: Sequence[bytes]) -> Sequence[bytes]:
        """What it remembers of the journal."""
        return records

    def on_range(self, run: list[tuple[Block, Certificate]]) -> list[tuple[Block, Certificate]]:
        """The answer to a range request."""
        return run
