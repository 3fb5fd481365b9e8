# pragma version 0.4.3
# pragma evm-version prague
"""
@title queues: who waits to enter the committee, and who waits to leave it
@notice Two queues of validators' numbers. Joining the end and leaving from anywhere cost the same however long they are, so
        nobody makes it dear for others by waiting. A validator is in one queue at most.
@dev A queue is a ring of links through a head. A validator's position is its number plus two; positions 0 and 1 are the
     heads. Numbers are stored in 16 bits.
"""

COMMITTEE_MAX: constant(uint256) = 255
ENTRY_QUEUE: constant(uint256) = 0
EXIT_QUEUE: constant(uint256) = 1
POSITION_FIRST: constant(uint256) = 2
MASK_16: constant(uint256) = 2**16 - 1

# By position: next (bits 16-31) and previous (0-15).
links: HashMap[uint256, uint256]


@deploy
def __init__():
    self.links[EXIT_QUEUE] = (EXIT_QUEUE << 16) | EXIT_QUEUE  # the other ring is empty when zero


@internal
def append(queue: uint256, number: uint256):
    """@notice To the end of a queue; the validator waits in none."""
    position: uint256 = number + POSITION_FIRST
    last: uint256 = self.links[queue] & MASK_16
    self.links[position] = (queue << 16) | last
    # The head may be its own neighbour, so what changes is read when it is written.
    self.links[last] = (position << 16) | (self.links[last] & MASK_16)
    self.links[queue] = (self.links[queue] & ~MASK_16) | position


@internal
def unlink(number: uint256):
    """@notice Out of the queue in which the validator waits."""
    word: uint256 = self.links[number + POSITION_FIRST]
    next: uint256 = word >> 16
    previous: uint256 = word & MASK_16
    self.links[previous] = (next << 16) | (self.links[previous] & MASK_16)
    self.links[next] = (self.links[next] & ~MASK_16) | previous
    self.links[number + POSITION_FIRST] = 0


@internal
@view
def first_of(queue: uint256, count: uint256) -> DynArray[uint256, COMMITTEE_MAX]:
    """@notice At most `count` numbers from the front of a queue."""
    found: DynArray[uint256, COMMITTEE_MAX] = []
    position: uint256 = self.links[queue] >> 16
    for _: uint256 in range(count, bound=COMMITTEE_MAX):
        if position == queue:
            break
        found.append(position - POSITION_FIRST)
        position = self.links[position] >> 16
    return found
