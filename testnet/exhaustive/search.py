"""Breadth first through all global states: what each honest member is in, nothing else, since the network follows.

So the first violation found is one with the fewest steps.
"""

import time
from dataclasses import dataclass, field

from testnet.exhaustive.locals import Locals
from testnet.exhaustive.properties import compute_certified, find_global_fault, find_member_fault
from testnet.exhaustive.universe import QUORUM, VIEWS, Scenario, Universe, leader_of

Global = tuple[int, ...]  # the state of each honest member: leaders first, then the interchangeable ones in order


@dataclass(slots=True)
class Outcome:
    """What one scenario came to."""

    scenario: str
    states: int = 0
    transitions: int = 0
    depth: int = 0  # the longest run has so many steps
    member_states: int = 0
    core_calls: int = 0
    statement_sets: int = 0
    walks: int = 0  # random walks afterwards that stayed inside
    elapsed_s: float = 0.0
    is_complete: bool = True
    violation: str = ""
    trace: list[str] = field(default_factory=list)


class Search:
    """One scenario. `quorum` is what the cores take for one; below `QUORUM` only when that rule is removed."""

    def __init__(self, scenario: Scenario, quorum: int = QUORUM, is_strict: bool = True) -> None:
        self.universe = Universe(scenario, is_strict)
        self.quorum = quorum
        self.outcome = Outcome(scenario.name)
        leaders = [leader_of(view) for view in range(1, VIEWS + 1)]
        leading = [member for member in self.universe.honest if member in leaders]
        following = [member for member in self.universe.honest if member not in leaders]
        shared = Locals(self.universe, following[0])
        self.tables = [*(Locals(self.universe, member) for member in leading), *(shared for _ in following)]
        self.names = (*leading, *following)
        self.leading_count = len(leading)
        # How each state was first reached: the state before, and whose step it was.
        self.origins: dict[Global, tuple[Global, int] | None] = {}
        self.statement_sets: dict[tuple[int, ...], None] = {}  # what members had said, in every state
        self._views: dict[tuple[int, ...], tuple[int, str]] = {}

    def run(self, states_max: int | None = None) -> Outcome:
        """Every state, or as many as allowed; stops at the first violation."""
        start_s = time.monotonic()
        outcome = self.outcome
        start = tuple(table.start for table in self.tables)
        self.origins[start] = None
        level = [start]
        while level:
            outcome.depth += 1
            fresh: list[Global] = []
            for state in level:
                if not self._expand(state, fresh):
                    fresh = []
                    break
                if states_max is not None and len(self.origins) > states_max:
                    outcome.is_complete, fresh = False, []
                    break
            level = fresh
        outcome.states = len(self.origins)
        tables = self.tables[: self.leading_count + 1]
        outcome.member_states = sum(len(table) for table in tables)
        outcome.core_calls = sum(table.core_calls for table in tables)
        outcome.statement_sets = len(self.statement_sets)
        outcome.elapsed_s = round(time.monotonic() - start_s, 2)
        return outcome

    def _expand(self, state: Global, fresh: list[Global]) -> bool:
        """All steps of all members from here; False once a property is broken."""
        deliverable, fault = self._look(self._said_by(state))
        if fault:
            return self._fail(state, fault)
        for place, (table, at) in enumerate(zip(self.tables, state)):
            if place > self.leading_count and state[place - 1] == at:
                continue  # its equal has just taken the same steps
            for after in table.steps(at, deliverable):
                self.outcome.transitions += 1
                follower = self._arrange((*state[:place], after, *state[place + 1 :]))
                if follower in self.origins:
                    continue
                self.origins[follower] = (state, place)
                fresh.append(follower)
                fault = find_member_fault(self.universe, table.said[after]) or table.fault[after]
                if fault:
                    return self._fail(follower, fault)
        return True

    def _said_by(self, state: Global) -> tuple[int, ...]:
        return tuple(table.said[at] for table, at in zip(self.tables, state))

    def _arrange(self, state: Global) -> Global:
        """Interchangeable members in order."""
        count = self.leading_count
        return (*state[:count], *sorted(state[count:]))

    def arrange_said(self, said: tuple[int, ...]) -> tuple[int, ...]:
        """The same for what they said."""
        return self._arrange(said)

    def _look(self, said: tuple[int, ...]) -> tuple[int, str]:
        """What can be delivered, and what is wrong, once these statements were made."""
        known = self._views.get(said)
        if known is None:
            self.statement_sets[self.arrange_said(said)] = None
            universe = self.universe
            certified = compute_certified(universe, said, self.quorum)
            anybody = 0
            for mask in said:
                anybody |= mask
            deliverable = 0
            for place, delivery in enumerate(universe.deliveries):
                if delivery.needs & ~certified == 0 and delivery.needs_said & ~anybody == 0:
                    deliverable |= 1 << place
            known = self._views[said] = (deliverable, find_global_fault(universe, certified))
        return known

    def _fail(self, state: Global, fault: str) -> bool:
        self.outcome.violation, self.outcome.trace = fault, self.trace(state)
        return False

    def trace(self, state: Global) -> list[str]:
        """The way to a state in words, each member under its own name throughout."""
        hops = []
        while (origin := self.origins[state]) is not None:
            hops.append((state, *origin))
            state = origin[0]
        names, lines = list(self.names), []
        for after, before, place in reversed(hops):
            table, at_first = self.tables[place], before[place]
            moved = self._find_moved(after, before, place)
            fresh = table.said[moved] & ~table.said[at_first]
            deliverable, _ = self._look(self._said_by(before))
            way = table.describe_way(at_first, moved, deliverable)
            lines.append(f"member {names[place]}: {way} -> says {self.universe.describe_mask(fresh)}")
            pairs = [(moved if at == place else before[at], names[at]) for at in range(len(names))]
            count = self.leading_count
            names = [name for _, name in [*pairs[:count], *sorted(pairs[count:])]]
        return lines

    def _find_moved(self, after: Global, before: Global, place: int) -> int:
        """The new state of the member that moved: what is in `after` beyond the others of `before`."""
        if place < self.leading_count:
            return after[place]
        rest = list(after[self.leading_count :])
        for at in range(self.leading_count, len(before)):
            if at != place:
                rest.remove(before[at])
        return rest[0]
