"""The timeline of a run as one SVG: what was broken when, how heights grew, how long blocks took to become final."""

import math
from collections.abc import Callable, Iterator, Sequence
from html import escape

from testnet.scenario.facts import Final
from testnet.scenario.harms import TimeLeap
from testnet.scenario.judging import find_gap_s
from testnet.scenario.running import Outcome

WIDTH, LEFT, RIGHT = 960, 132, 18
ROW_PX, HEIGHTS_PX, FINALITY_PX, GAP_PX, TOP_PX = 22, 210, 120, 34, 26
LABEL_X_MIN, LABEL_X_MAX = 330, 780  # where there is room for a label before and after a bar
FINAL_MS_DECADES = (10, 100, 1_000, 10_000, 100_000)
MEMBER_COLOURS = ("#1a66b3", "#c98a00", "#2a8a4a", "#b8322a", "#7a4fb5", "#2a8f8f", "#a0507a", "#6a6a2a")
STYLE = (
    "text{font:12px system-ui,sans-serif;fill:#555}.name{fill:#222}.line{stroke:#ddd}.fault{fill:#d9534f;opacity:.75}"
    ".healed{fill:#e8a838;opacity:.8}.shade{fill:#d9534f;opacity:.07}.member{fill:none;stroke-width:1.8}"
    ".final{fill:#1a66b3;opacity:.45}.case{stroke:#b8322a;stroke-width:1.5}.probe{fill:#7a4fb5}"
)


class Timeline:
    """One picture; parts are drawn from the top down."""

    def __init__(self, outcome: Outcome) -> None:
        self._outcome = outcome
        self._end_s = max(outcome.facts.duration_s, outcome.scenario.network.duration_s)
        self._parts: list[str] = []
        self._y = TOP_PX

    def _x(self, at_s: float) -> float:
        return LEFT + (WIDTH - LEFT - RIGHT) * min(max(at_s, 0.0), self._end_s) / self._end_s

    def draw(self) -> str:
        faults_y = self._y
        self._draw_faults()
        self._draw_heights()
        self._draw_finality()
        self._draw_time(faults_y)
        head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {self._y + 30}" role="img">'
        title = f"<title>{escape(self._outcome.scenario.title)}</title><style>{STYLE}</style>"
        return f'{head}{title}<rect width="100%" height="100%" fill="#fff"/>' + "".join(self._parts) + "</svg>"

    def _text(self, x: float, y: float, text: str, anchor: str = "start", kind: str = "") -> None:
        mark = f' class="{kind}"' if kind else ""
        self._parts.append(f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}"{mark}>{escape(text)}</text>')

    def _rect(self, kind: str, x: float, y: float, width: float, height: float) -> None:
        self._parts.append(
            f'<rect class="{kind}" x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" height="{height:.1f}" rx="3"/>'
        )

    def _draw_faults(self) -> None:
        """A bar for each, from when it really began; probes as diamonds."""
        spans = self._outcome.spans
        for fault in self._outcome.scenario.faults:
            begin_s, end_s = spans.get(fault.number, (fault.at_s, fault.ends_s))
            x, width = self._x(begin_s), max(3.0, self._x(end_s) - self._x(begin_s))
            if isinstance(fault.harm, TimeLeap):
                width = 3.0  # it happens at once, and stays
            self._rect("healed" if fault.is_healed else "fault", x, self._y, width, 14)
            if x + width < LABEL_X_MAX:
                self._text(x + width + 6, self._y + 11, fault.title)
            elif x > LABEL_X_MIN:
                self._text(x - 6, self._y + 11, fault.title, "end")
            else:
                self._text(x + 6, self._y + 11, fault.title, kind="name")
            self._y += ROW_PX
        for probe in self._outcome.scenario.probes:
            x, y = self._x(probe.at_s), self._y + 7
            self._parts.append(f'<path class="probe" d="M{x - 6:.1f} {y}l6 -6l6 6l-6 6z"/>')
            self._text(x + 12, y + 4, f"probe: {probe.kind.replace('_', ' ')}")
            self._y += ROW_PX
        if self._outcome.scenario.faults or self._outcome.scenario.probes:
            self._text(8, TOP_PX + 12, "what is done to it", kind="name")
        self._y += GAP_PX // 2

    def _draw_heights(self) -> None:
        facts, top = self._outcome.facts, self._y
        seen = [height for sample in facts.samples for height in sample.heights if height]
        low, high = (min(seen), max(seen)) if seen else (0, 1)
        scale = _scale(low, max(high, low + 1), top, HEIGHTS_PX)
        for value in _round_steps(low, max(high, low + 1)):
            self._line(scale(value))
            self._text(LEFT - 8, scale(value) + 4, f"{value:,}", "end")
        for member in range(facts.member_count):
            colour = MEMBER_COLOURS[member % len(MEMBER_COLOURS)]
            for run in self._runs(member):
                points = " ".join(f"{self._x(at_s):.1f},{scale(height):.1f}" for at_s, height in run)
                self._parts.append(f'<polyline class="member" stroke="{colour}" points="{points}"/>')
            self._text(8, top + 34 + 16 * member, f"— validator {member}")
            self._parts[-1] = self._parts[-1].replace("<text", f'<text style="fill:{colour}"')
        for case in facts.liquidations:
            x = self._x(case.at_s)
            text = escape(f"account {case.account} was liquidated: {case.fault or 'due'}")
            mark = f'<path class="case" d="M{x:.1f} {top + HEIGHTS_PX - 8}v8"><title>{text}</title></path>'
            self._parts.append(mark)
        self._text(8, top + 12, "height", kind="name")
        self._y += HEIGHTS_PX + GAP_PX

    def _runs(self, member: int) -> Iterator[list[tuple[float, int]]]:
        """Stretches in which it answered."""
        run: list[tuple[float, int]] = []
        for sample in self._outcome.facts.samples:
            height = sample.heights[member] if member < len(sample.heights) else None
            if height is None:
                if run:
                    yield run
                run = []
            else:
                run.append((sample.at_s, height))
        if run:
            yield run

    def _draw_finality(self) -> None:
        """Each block a dot; a logarithmic axis, because a halt makes one that took seconds."""
        finals, top = self._outcome.facts.finals, self._y
        if not finals:
            return
        low, high = FINAL_MS_DECADES[0], _decade_above(finals)
        scale = _scale(math.log10(low), math.log10(high), top, FINALITY_PX)
        for value_ms in FINAL_MS_DECADES:
            if value_ms <= high:
                self._line(scale(math.log10(value_ms)))
                self._text(LEFT - 8, scale(math.log10(value_ms)) + 4, _describe_ms(value_ms), "end")
        for x, y in dict.fromkeys(self._dots(finals, scale, low)):
            self._parts.append(f'<circle class="final" cx="{x}" cy="{y}" r="2"/>')
        self._text(8, top + 12, "time to finality", kind="name")
        self._y += FINALITY_PX + GAP_PX

    def _dots(self, finals: Sequence[Final], scale: Callable[[float], float], low_ms: int) -> Iterator[tuple[int, int]]:
        for final in finals:
            yield round(self._x(final.at_s)), round(scale(math.log10(max(final.finality_ms, low_ms))))

    def _line(self, y: float) -> None:
        self._parts.append(f'<path class="line" d="M{LEFT} {y:.1f}H{WIDTH - RIGHT}"/>')

    def _draw_time(self, top: float) -> None:
        """The axis, and where nothing became final for long."""
        bottom = self._y - GAP_PX // 2
        step_s = next(step for step in (5, 10, 20, 30, 60, 120, 300, 600, 3_600, 86_400) if self._end_s / step <= 12)
        at_s = 0
        while at_s <= self._end_s:
            self._text(self._x(at_s), bottom + 16, f"{at_s} s", "middle")
            self._parts.append(f'<path class="line" d="M{self._x(at_s):.1f} {bottom}v4"/>')
            at_s += step_s
        for fault in self._outcome.scenario.faults:
            begin_s, end_s = self._outcome.spans.get(fault.number, (0.0, 0.0))
            if fault.is_healed:
                self._rect("shade", self._x(begin_s), top, self._x(end_s) - self._x(begin_s), bottom - top)
                self._parts.insert(0, self._parts.pop())
        pause_s = find_gap_s(self._outcome.facts.samples, self._end_s)
        self._text(WIDTH - RIGHT, 16, f"longest time without a new height: {pause_s:.1f} s", "end")


def _scale(low: float, high: float, top: float, height_px: float) -> Callable[[float], float]:
    return lambda value: top + height_px - (value - low) / (high - low) * height_px


def _round_steps(low: int, high: int) -> list[int]:
    """Round numbers from one to the other, about five."""
    step = 10 ** max(0, math.floor(math.log10(max(1, high - low))) - 1)
    for factor in (1, 2, 5, 10, 20, 50):
        if (high - low) / (step * factor) <= 6:
            step *= factor
            break
    first = -(-low // step) * step
    return list(range(first, high + 1, step))


def _decade_above(finals: Sequence[Final]) -> int:
    slowest_ms = max(final.finality_ms for final in finals)
    return next((value_ms for value_ms in FINAL_MS_DECADES if value_ms >= slowest_ms), FINAL_MS_DECADES[-1])


def _describe_ms(value_ms: int) -> str:
    return f"{value_ms} ms" if value_ms < 1_000 else f"{value_ms // 1_000} s"


def draw_timeline(outcome: Outcome) -> str:
    return Timeline(outcome).draw()
