"""B4: no structure of a node outgrows the bound it claims."""

from collections.abc import Mapping

from testnet.sim.checkers.violation import require


def check_sizes(node: int, sizes: Mapping[str, tuple[int, int]]) -> None:
    """`sizes`: for every structure how much it holds, and how much it may."""
    for name, (held, bound) in sizes.items():
        require(held <= bound, f"B4 node {node}: {held} {name}, bound {bound}")
