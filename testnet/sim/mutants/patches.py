"""Names of modules and classes replaced for a while."""

from collections.abc import Callable
from dataclasses import dataclass
from types import TracebackType
from typing import Any


class Patches:
    """A context: what `put` replaced is as before when it ends."""

    def __init__(self) -> None:
        self._before: list[tuple[object, str, Any]] = []

    def put(self, owner: object, name: str, value: Any) -> None:
        """Replace `owner.name`, which must exist: a patch of nothing would be a mutant of nothing."""
        self._before.append((owner, name, vars(owner)[name]))
        setattr(owner, name, value)

    def __enter__(self) -> "Patches":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        for owner, name, value in reversed(self._before):
            setattr(owner, name, value)


Plant = Callable[[Patches], None]


@dataclass(frozen=True, slots=True)
class Mutant:
    """One bug, the rule that it breaks, and the schedules that are to find it."""

    plant: Plant
    rule: str
    profile: str = "swarm"
    seeds_max: int = 300

    @property
    def name(self) -> str:
        return self.plant.__name__.replace("_", " ")
