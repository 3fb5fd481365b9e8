"""Who leads which view: a permutation of the committee, drawn once per epoch, walked in turns.

The permutation is Fisher-Yates keyed by `keccak(seed ‖ epoch)`. The seed is the hash of the sealing block (genesis in
the first epoch), which nobody chooses alone. Draws reject the incomplete last range, so no member is favoured.
"""

from consensus.messages import keccak

_DRAW_LIMIT = 1 << 64


def compute_leaders(seed: bytes, epoch: int, member_count: int) -> tuple[int, ...]:
    """The order in which members lead."""
    key = keccak(seed + epoch.to_bytes(4, "big"))
    order = list(range(member_count))
    draws = 0
    for last in range(member_count - 1, 0, -1):
        limit = _DRAW_LIMIT - _DRAW_LIMIT % (last + 1)
        while True:
            draw = int.from_bytes(keccak(key + draws.to_bytes(4, "big"))[:8], "big")
            draws += 1
            if draw < limit:
                break
        chosen = draw % (last + 1)
        order[last], order[chosen] = order[chosen], order[last]
    return tuple(order)


def get_leader(leaders: tuple[int, ...], view: int) -> int:
    """The member that proposes in `view`; views count from 1, each leader has one view per turn."""
    return leaders[(view - 1) % len(leaders)]
