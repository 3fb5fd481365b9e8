"""Runs a scenario on a back end: every fault at its time, every probe, and at the end the verdicts."""

from collections.abc import Callable
from dataclasses import dataclass, field

import trio

from testnet.scenario.backend import Backend
from testnet.scenario.facts import Facts, Happening, Verdict
from testnet.scenario.harms import Fault
from testnet.scenario.judging import judge_all
from testnet.scenario.probes import Probe
from testnet.scenario.records import Scenario

# A stop that hangs must not hide what was found.
STOP_S_MAX = 60.0
_END, _BEGIN, _TRY = range(3)


@dataclass(slots=True)
class Outcome:
    """All that the report shows. `spans`: when each fault really began and ended, by its number."""

    scenario: Scenario
    backend: str
    facts: Facts
    verdicts: list[Verdict]
    happenings: list[Happening] = field(default_factory=list)
    spans: dict[int, tuple[float, float]] = field(default_factory=dict)

    @property
    def is_passed(self) -> bool:
        return bool(self.verdicts) and all(verdict.is_met for verdict in self.verdicts)


def plan_steps(scenario: Scenario) -> list[tuple[float, int, Fault | Probe]]:
    """In order of time; what ends at a moment ends before anything begins at it."""
    steps: list[tuple[float, int, Fault | Probe]] = []
    for fault in scenario.faults:
        steps.append((fault.at_s, _BEGIN, fault))
        if fault.is_healed:
            steps.append((fault.ends_s, _END, fault))
    steps += [(probe.at_s, _TRY, probe) for probe in scenario.probes]
    return sorted(steps, key=lambda step: (*step[:2], step[2].number))


async def run_scenario(scenario: Scenario, backend: Backend, say: Callable[[str], None]) -> Outcome:
    """What the back end has not, and what this machine does not allow, was refused before. Raises what the back end
    raises when its network dies.
    """
    try:
        await backend.start(scenario)
        return await _run(scenario, backend, say)
    finally:
        with trio.CancelScope(shield=True), trio.move_on_after(STOP_S_MAX):
            await backend.stop()


async def _run(scenario: Scenario, backend: Backend, say: Callable[[str], None]) -> Outcome:
    tried: list[Verdict] = []
    happenings: list[Happening] = []
    spans: dict[int, tuple[float, float]] = {}
    end_s = scenario.network.duration_s
    for at_s, what, step in plan_steps(scenario):
        if what == _END and isinstance(step, Fault):
            # A fault that began late, after a long probe, lasts as long as any other.
            at_s = max(at_s, spans[step.number][0] + step.ends_s - step.at_s)
        now_s = await backend.wait_until(at_s)
        if isinstance(step, Probe):
            text = f"probe {step.kind}"
            say(f"{now_s:5.1f} s  {text}")
            tried += await backend.attempt(step)
        elif what == _BEGIN:
            text = f"begin {step.title}"
            say(f"{now_s:5.1f} s  {text}")
            await backend.apply(step)
            spans[step.number] = now_s, end_s
        else:
            text = f"end {step.title}"
            say(f"{now_s:5.1f} s  {text}")
            await backend.heal(step)
            spans[step.number] = spans[step.number][0], now_s
        happenings.append(Happening(now_s, text))
    now_s = await backend.wait_until(end_s)
    say(f"{now_s:5.1f} s  looking at what it has become")
    facts = await backend.observe()
    return Outcome(
        scenario, backend.name, facts, judge_all(scenario, facts) + tried, happenings, spans
    )  # fmt: skip
