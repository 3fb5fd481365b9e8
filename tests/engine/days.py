"""A day at the exchange as a file, so that engines in other processes can live it again.

`python -m tests.engine.days SCRIPT.json` prints the state root after every block.
"""

import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from random import Random
from typing import Any

from tests.engine.agreement import execute, genesis
from tests.engine.blocks import START_MS
from tests.engine.worlds import Script, World, build_block, make_world_params
from tests.reference import exchange


@cache
def write_day(seed: int, blocks: int, actions: int, funds_usd: int = 20_000) -> Script:
    """A day of so many blocks and messages a block; the reference exchange shows the traders what there is."""
    draw = Random(seed).randrange
    world, script = World(draw), Script()
    x = exchange.genesis(make_world_params(), START_MS)
    step = world.first_step(x, funds_usd)
    for _ in range(blocks):
        script.steps.append(step)
        x = exchange.execute(x, build_block(x, step))
        step = world.next_step(x, actions)
    return script


def live(script: Script, consume: bool = False) -> Iterator[tuple[Any, Any]]:
    """`(state, result)` of the engine after every block."""
    state = genesis(make_world_params(**script.changes), START_MS)
    for step in script.steps:
        state, result = execute(state, build_block(state, step), consume=consume)
        yield state, result


if __name__ == "__main__":
    for state, _ in live(Script.from_json(Path(sys.argv[1]).read_text())):
        print(state.state_root.hex())
