"""The states one honest member can be in, and its steps between them, computed once by the real core and remembered.

A step is what others can notice: deliveries and choices up to and including the first after which the member has said
something new (or shown a fault). What it took in without a word is part of the step.
"""

from testnet.exhaustive.freezer import Freezer
from testnet.exhaustive.member import Answer, Member, answer, fire, receive, start_member
from testnet.exhaustive.naming import Name, name_state
from testnet.exhaustive.universe import VIEWS, Universe

Choice = int | Answer | None  # a delivery by its place, a late answer of the host, or the timer
Ahead = tuple[tuple[int, ...], tuple[int, ...]]  # states reached without a word, states reached by saying something


class Locals:
    """The states of one role, numbered; members that lead no view share one table."""

    def __init__(self, universe: Universe, index: int) -> None:
        self.universe = universe
        self._deliveries = universe.deliveries_to(index)
        self.core_calls = 0
        self._freezer = Freezer()
        self.said: list[int] = []
        self.fault: list[str] = []
        self._view: list[int] = []
        self._answers: list[tuple[Answer, ...]] = []
        self._frozen: list[bytes] = []
        self._numbers: dict[Name, int] = {}
        self._after: list[dict[Choice, int]] = []
        self._idle: list[int] = []  # mask of deliveries known to change nothing
        self._ahead: dict[tuple[int, int], Ahead] = {}
        self._steps: dict[tuple[int, int], tuple[int, ...]] = {}
        self.start = self._number(start_member(universe, index))

    def __len__(self) -> int:
        return len(self._frozen)

    def _number(self, member: Member) -> int:
        name = name_state(member)
        number = self._numbers.get(name)
        if number is None:
            number = self._numbers[name] = len(self._frozen)
            self.said.append(member.said)
            self.fault.append(member.fault)
            self._view.append(member.core.view)
            self._answers.append(member.answers)
            self._frozen.append(self._freezer.freeze(member))
            self._after.append({})
            self._idle.append(0)
        return number

    def steps(self, state: int, deliverable: int) -> tuple[int, ...]:
        """Where a member can get by saying something while these deliveries (a mask) are possible."""
        key = (state, deliverable)
        known = self._steps.get(key)
        if known is None:
            known = self._steps[key] = self._find_steps(state, deliverable)
        return known

    def _find_steps(self, state: int, deliverable: int) -> tuple[int, ...]:
        """Of all steps, only those that took in no more than they needed.

        A state that another one reaches by taking in more, or by saying more, comes later anyway: whatever can be
        delivered now can be delivered then.
        """
        _, found = self._look_ahead(state, deliverable)
        steps = dict.fromkeys(found)
        for first in found:
            if first in steps and not self.fault[first]:
                quiet, loud = self._look_ahead(first, deliverable)
                for other in (*quiet, *loud):
                    if other != first:
                        steps.pop(other, None)
        return tuple(steps)

    def _look_ahead(self, state: int, deliverable: int) -> Ahead:
        key = (state, deliverable)
        known = self._ahead.get(key)
        if known is None:
            origins = self._explore(state, deliverable)
            quiet = tuple(after for after in origins if not self._is_loud(state, after))
            loud = tuple(after for after in origins if self._is_loud(state, after))
            known = self._ahead[key] = (quiet, loud)
        return known

    def _is_loud(self, before: int, after: int) -> bool:
        return self.said[after] != self.said[before] or bool(self.fault[after])

    def _explore(self, state: int, deliverable: int) -> dict[int, tuple[int, Choice]]:
        """Every state up to the next word, with the state and the event it was reached by."""
        origins: dict[int, tuple[int, Choice]] = {state: (state, None)}
        queue = [state]
        for current in queue:
            for event in self._events(current, deliverable):
                after = self._apply(current, event)
                if after not in origins:
                    origins[after] = (current, event)
                    if not self._is_loud(state, after):
                        queue.append(after)
        return origins

    def _events(self, state: int, deliverable: int) -> list[Choice]:
        events: list[Choice] = []
        mask = deliverable & ~self._idle[state]
        while mask:
            bit = mask & -mask
            events.append(bit.bit_length() - 1)
            mask ^= bit
        if self._view[state] <= VIEWS:
            events.append(None)
        events += self._answers[state]
        return events

    def _apply(self, state: int, event: Choice) -> int:
        after = self._after[state].get(event)
        if after is None:
            self.core_calls += 1
            member = self._freezer.thaw(self._frozen[state])
            if isinstance(event, int):
                receive(self.universe, member, self._deliveries[event])
            elif event is None:
                fire(self.universe, member, self._view[state])
            else:
                answer(self.universe, member, event)
            after = self._after[state][event] = self._number(member)
            if after == state and isinstance(event, int):
                self._idle[state] |= 1 << event
        return after

    def describe_way(self, state: int, after: int, deliverable: int) -> str:
        """What happened in a step, in words."""
        origins = self._explore(state, deliverable)
        words: list[str] = []
        while after != state:
            before, event = origins[after]
            words.append(self._describe(before, event))
            after = before
        return ", ".join(reversed(words))

    def _describe(self, state: int, event: Choice) -> str:
        if isinstance(event, int):
            return "gets " + self._deliveries[event].name
        if event is None:
            return f"its timer of view {self._view[state]}"
        return f"its host's {event[0]} in view {event[1]}"
