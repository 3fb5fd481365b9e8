"""D3: a node refuses to start on a damaged disk, and only on one. What a crash tears is no damage."""

from testnet.sim.checkers.violation import require


def check_refusal(node: int, reason: str, is_damaged: bool) -> None:
    """A node would not start; `is_damaged`: somebody flipped bits on its disk."""
    require(is_damaged or "damaged" not in reason, f"D3 node {node} refuses a sound disk: {reason}")
