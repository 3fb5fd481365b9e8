"""Links between members: delay, loss, duplicates, reordering, partitions of any shape."""

import random
from dataclasses import dataclass, field


@dataclass(slots=True)
class Network:
    """Decides when, and how often, a message arrives. Order is whatever the random delays make of it."""

    rng: random.Random
    member_count: int
    delay_mean_ms: float
    loss: float
    duplicates: float
    blocked: dict[tuple[int, int], None] = field(default_factory=dict)  # one-way cuts

    def deliveries_ms(self, source: int, target: int) -> list[int]:
        """The delay of each copy that arrives."""
        rng = self.rng
        if (source, target) in self.blocked or rng.random() < self.loss:
            return []
        copies = 2 if rng.random() < self.duplicates else 1
        return [1 + int(rng.expovariate(1.0 / self.delay_mean_ms)) for _ in range(copies)]

    def partition(self) -> None:
        """Halves, one member alone, or one-way: drawn anew."""
        rng, members = self.rng, list(range(self.member_count))
        rng.shuffle(members)
        side = members[: rng.choice((1, self.member_count // 2))]
        is_one_way = rng.random() < 0.3
        self.blocked = {
            (source, target): None
            for source in members
            for target in members
            if (source in side) != (target in side) and not (is_one_way and source in side)
        }

    def heal_partition(self) -> None:
        self.blocked = {}

    def calm_down(self) -> None:
        """Second phase: no loss, no partition, short delays."""
        self.blocked, self.loss, self.duplicates = {}, 0.0, 0.0
        self.delay_mean_ms = min(self.delay_mean_ms, 20.0)
