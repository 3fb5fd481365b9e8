"""Members that answer catch-up requests wrongly."""

from __future__ import annotations

from consensus.messages import Block, Certificate
from testnet.sim.byzantine.behaviour import Behaviour


class Liar(Behaviour):
    """Answers range requests with a run that does not hold together."""

    name = "sync liar"

    def on_range(self, run: list[tuple[Block, Certificate]]) -> list[tuple[Block, Certificate]]:
        match self.rng.randrange(4):
            case 0:
                return run[1:]
            case 1:
                return run[:-1]
            case 2:
                return run[::-1]
            case _:
                return [change_time(run[0]), *run[1:]]


def change_time(entry: tuple[Block, Certificate]) -> tuple[Block, Certificate]:
    """A block that the ones after it do not extend."""
    block, certificate = entry
    return Block(block.header._replace(timestamp_ms=block.header.timestamp_ms + 1), block.payload), certificate


class Inventor(Behaviour):
    """Answers range requests with blocks that nobody agreed on, under a certificate that nobody signed."""

    name = "sync inventor"

    def on_range(self, run: list[tuple[Block, Certificate]]) -> list[tuple[Block, Certificate]]:
        block, certificate = run[-1]
        header = block.header._replace(timestamp_ms=block.header.timestamp_ms + 1)
        moved = type(block)(header, block.payload)
        forged = Certificate(
            certificate.kind, certificate.epoch, header.view, moved.hash(), certificate.bitmap, certificate.signature
        )
        return [*((entry, forged) for entry, _ in run[:-1]), (moved, forged)]
