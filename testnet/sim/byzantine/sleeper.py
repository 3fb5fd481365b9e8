"""A liar that lies in its time only: before and after it is a member like others."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import TYPE_CHECKING

from consensus.messages import Block, Certificate
from engine.payload import Batch, Payload, PriceReport
from testnet.sim.byzantine.behaviour import Behaviour, Out

if TYPE_CHECKING:
    from testnet.sim.node import Node


class Sleeper(Behaviour):
    """Does what `liar` does while `is_awake`."""

    def __init__(self, rng: random.Random, liar: Behaviour) -> None:
        super().__init__(rng)
        self.name = liar.name
        self.is_awake = False
        self._liar, self._member = liar, Behaviour(rng)

    @property
    def _face(self) -> Behaviour:
        return self._liar if self.is_awake else self._member

    def on_send(self, node: Node, peer: int | None, data: bytes) -> Out:
        return self._face.on_send(node, peer, data)

    def on_receive(self, node: Node, peer: int, data: bytes) -> Out:
        return self._face.on_receive(node, peer, data)

    def on_commitment(self, node: Node, commitment: bytes) -> bytes:
        return self._face.on_commitment(node, commitment)

    def on_payload(self, node: Node, payload: Payload) -> Payload:
        return self._face.on_payload(node, payload)

    def on_report(self, node: Node, report: PriceReport) -> PriceReport | None:
        return self._face.on_report(node, report)

    def on_batch(self, node: Node, batch: Batch) -> list[tuple[int | None, Batch]]:
        return self._face.on_batch(node, batch)

    def on_restart(self, node: Node, records: Sequence[bytes]) -> Sequence[bytes]:
        return self._face.on_restart(node, records)

    def on_range(self, run: list[tuple[Block, Certificate]]) -> list[tuple[Block, Certificate]]:
        return self._face.on_range(run)
