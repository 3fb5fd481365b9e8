"""`hansa top` in a terminal: four panels that follow several nodes. Data comes from `Reader`, pictures from `drawing`.

In a small terminal the network's panel stands above one other, which Tab changes; in a large one all four are there and
Tab chooses which of them the arrow keys scroll.
"""

import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import ClassVar

from rich.console import RenderableType
from textual import work
from textual.app import App, ComposeResult
from textual.binding import Binding
from textual.containers import VerticalScroll
from textual.events import Resize
from textual.widgets import Footer, Static

from validator.top.drawing import draw_committee, draw_findings, draw_network, draw_nodes
from validator.top.findings import list_findings
from validator.top.looks import Look
from validator.top.reading import Reader

# So many lines hold all panels at once.
LARGE_LINES = 34
HISTORY_LOOKS = 240
RATE_LOOKS = 10
FRAME_COLUMNS = 4
PANELS = ("nodes", "committee", "alerts")


class Top(App[None]):
    """Until q is pressed."""

    CSS = """
    Screen { layout: vertical; }
    VerticalScroll { border: round $primary-darken-2; border-title-color: $text-muted; padding: 0 1; height: 1fr; }
    VerticalScroll.chosen { border: round $accent; border-title-color: $accent; }
    #network { height: 7; }
    .hidden { display: none; }
    """
    BINDINGS: ClassVar = [
        Binding("q", "quit", "Quit"),
        Binding("tab", "next_panel", "Next panel", priority=True),
        Binding("p", "pause", "Pause"),
        Binding("r", "look_now", "Look now"),
    ]
    ENABLE_COMMAND_PALETTE = False

    def __init__(self, reader: Reader, interval_s: float, wall_s: Callable[[], float] = time.time) -> None:
        super().__init__()
        self._reader, self._interval_s, self._wall_s = reader, interval_s, wall_s
        self.looks: list[Look] = []
        self.is_paused = False
        self._chosen = 0
        self._finality_ms: deque[float] = deque(maxlen=HISTORY_LOOKS)
        self._heights: deque[tuple[float, int]] = deque(maxlen=RATE_LOOKS)

    def compose(self) -> ComposeResult:
        for name in ("network", *PANELS):
            panel = VerticalScroll(Static(id=f"{name}_text"), id=name)
            panel.border_title = name
            yield panel
        yield Footer()

    def on_mount(self) -> None:
        self.set_interval(self._interval_s, self._look_unless_paused)
        self.look()
        self._arrange()

    def on_resize(self, event: Resize) -> None:
        self.call_after_refresh(self._redraw)  # until then the size is the old one

    def action_next_panel(self) -> None:
        self._chosen = (self._chosen + 1) % len(PANELS)
        self._redraw()

    def action_pause(self) -> None:
        self.is_paused = not self.is_paused
        self._draw()

    def action_look_now(self) -> None:
        self.look()

    def _look_unless_paused(self) -> None:
        if not self.is_paused:
            self.look()

    @work(exclusive=True, group="look")
    async def look(self) -> None:
        """One look at all nodes; one that takes longer than the interval gives way to the next."""
        self.take(await self._reader.look())

    def take(self, looks: Sequence[Look]) -> None:
        """What was seen, to be shown and remembered."""
        self.looks = list(looks)
        there = [look for look in looks if look.is_there]
        if there:
            self._finality_ms.append(max(look.finality_p50_ms for look in there))
            self._heights.append((self._wall_s(), max(look.height for look in there)))
        self._draw()

    @property
    def blocks_per_s(self) -> float:
        """Over the last looks."""
        if len(self._heights) < 2:
            return 0.0
        (first_s, first), (last_s, last) = self._heights[0], self._heights[-1]
        return max(0, last - first) / max(0.001, last_s - first_s)

    def _redraw(self) -> None:
        self._arrange()
        self._draw()

    @property
    def _is_large(self) -> bool:
        return self.size.height >= LARGE_LINES

    def _arrange(self) -> None:
        """Which panels are there, and which of them has the keys."""
        for at, name in enumerate(PANELS):
            panel = self.query_one(f"#{name}", VerticalScroll)
            panel.set_class(not self._is_large and at != self._chosen, "hidden")
            panel.set_class(at == self._chosen, "chosen")
            if at == self._chosen:
                panel.focus()

    def _draw(self) -> None:
        if not self.looks:
            return
        width_columns = max(40, self.size.width - FRAME_COLUMNS)
        findings = list_findings(self.looks)
        pictures: dict[str, RenderableType] = {
            "network": draw_network(self.looks, self.blocks_per_s, self._finality_ms, width_columns),
            "nodes": draw_nodes(self.looks, width_columns),
            "committee": draw_committee(self.looks, width_columns),
            "alerts": draw_findings(findings),
        }
        for name, picture in pictures.items():
            self.query_one(f"#{name}_text", Static).update(picture)
        there = sum(look.is_there for look in self.looks)
        clock = time.strftime("%H:%M:%S", time.gmtime(self._wall_s()))
        state = "PAUSED" if self.is_paused else f"{clock} UTC"
        self.query_one("#network").border_title = f"hansa top: {there} of {len(self.looks)} nodes answer, {state}"
        self.query_one("#alerts").border_title = title = f"alerts: {len(findings)}"
        for name in PANELS[:2]:  # in a small terminal the alerts may be out of sight
            is_needed = findings and not self._is_large
            self.query_one(f"#{name}").border_subtitle = title if is_needed else ""
