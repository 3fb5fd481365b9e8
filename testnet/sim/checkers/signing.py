"""What an honest core must not ask its key for: a notarization of data it lacks (R3), anything while it syncs (R7)."""

from testnet.sim.checkers.violation import require


def check_signing(node: int, is_syncing: bool, missing_count: int) -> None:
    """`missing_count`: batches of the block to be notarized that the node lacks."""
    require(not is_syncing, f"R7 node {node} signs while it syncs")
    require(missing_count == 0, f"R3 node {node} notarizes a block of which it lacks {missing_count} batches")
