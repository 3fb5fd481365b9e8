"""`python -m testnet.scenario.member start --home DIR`: the validator, obeying DIR/controls.

It is the very program that operators run. What scenarios need beside it stands here and not in the node: a time of day
that is wrong, a disk that is slow, a market that moves, a price program that is dead, and a member that lies.
"""

import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING

import trio

from testnet.scenario.clockwork import follow_clock
from testnet.scenario.controls import Controls
from validator import __main__ as program
from validator.compilecache import prepare_compile_cache
from validator.left_out import leave_out

if TYPE_CHECKING:
    from net.committee import Committee
    from validator.clocks import Clocks
    from validator.disk import Disk
    from validator.node import Node
    from validator.peering import Peering


def obey(controls: Controls, home: Path) -> None:
    """Put our parts where the node takes its own from; before it is built."""
    from testnet.scenario.liar import Liar
    from validator import disk, node, peering, pricefeed

    follow_clock(controls)
    replace(disk.Disk, "wait", slow_down(controls, disk.Disk.wait))
    replace(pricefeed, "compute_path_ticks", move_market(controls, pricefeed.compute_path_ticks))

    def link(owner: "Node", committee: "Committee", clocks: "Clocks") -> "Peering":
        made = peering.Peering(owner, committee, clocks)
        Liar(controls, owner, made, home).take_over()
        return made

    replace(node, "Peering", link)


def replace(owner: object, name: str, value: object) -> None:
    """What no type checker would let pass in a program, and what this one is for."""
    setattr(owner, name, value)


def slow_down(
    controls: Controls, wait: Callable[["Disk"], Awaitable[None]]
) -> Callable[["Disk"], Awaitable[None]]:  # fmt: skip
    async def wait_longer(own: "Disk") -> None:
        if controls.sync_ms:
            await trio.sleep(controls.sync_ms / 1000)
        await wait(own)

    return wait_longer


def move_market(controls: Controls, compute: Callable[[int, int, int, int], int]) -> Callable[..., int]:
    def compute_moved(seed: int, market: int, time_ms: int, start_ticks: int) -> int:
        ticks = compute(seed, market, time_ms, start_ticks)
        return max(1, ticks + ticks * controls.move_bps(market) // 10_000)

    return compute_moved


def main() -> None:
    home = Path(sys.argv[sys.argv.index("--home") + 1])
    # As `hansa start` does before it imports the rest.
    prepare_compile_cache()
    leave_out()
    obey(Controls(home), home)
    program.main()


if __name__ == "__main__":
    main()
