"""`python -m validator.log_events` prints docs/logs.md: every event that the programs log, read from their source."""

import ast
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from validator.log_meanings import AREAS, MEANINGS
from validator.logs import FIELD, FORM

ROOT = Path(__file__).parents[1]
FOLDERS = ("net", "validator")
LOGGERS = frozenset({"log", "_log", "logger"})
LEVELS = {
    "debug": "debug", "info": "info", "warning": "warning", "error": "error", "exception": "error",
    "critical": "critical",
}  # fmt: skip
INTRODUCTION = """# What the programs log

`hansa start`, `api`, `public` and `gateway` write a line for each fact to stderr, in one of two forms; `log_format` in
config.toml chooses, and by default it is the first in a terminal and the second elsewhere:

```
2026-11-26T11:04:20.002Z info     peer.up peer=3 height=1204
{"time": "2026-11-26T11:04:20.002Z", "level": "info", "event": "peer.up", "chain": "hansa-1", "node": 0, ...}
```

Every line of JSON has `time` (UTC), `level`, `event`, and once the process knows them `chain`, `node` (the number of
the registration) and `own_height` (the last final block that it has executed); `process` says that it is not the node
itself. Then come the event's own fields, which count where names are the same, `note` for people, and `exception`
where something failed. What a library says is `library.message` with `logger` and `text`.

An event's name means one thing and does not change; fields may be added. Errors want somebody's attention; warnings
are what others did to us, or what is tried again.
"""


@dataclass(frozen=True, slots=True)
class Event:
    """One form of a log call. `files`: where it stands, from the checkout's root."""

    name: str
    level: str
    fields: tuple[str, ...]
    note: str
    files: tuple[str, ...]


def list_events() -> list[Event]:
    """By name; a name with several forms comes several times, which a test refuses."""
    places: dict[tuple[str, str, tuple[str, ...], str], list[str]] = {}
    for folder in FOLDERS:
        for path in sorted((ROOT / folder).rglob("*.py")):
            for form in _read_forms(path):
                places.setdefault(form, []).append(path.relative_to(ROOT).as_posix())
    return [Event(*form, tuple(dict.fromkeys(files))) for form, files in sorted(places.items())]


def _read_forms(path: Path) -> Iterator[tuple[str, str, tuple[str, ...], str]]:
    for node in ast.walk(ast.parse(path.read_text())):
        match node:
            case ast.Call(
                func=ast.Attribute(value=ast.Name(id=owner), attr=method), args=[ast.Constant(value=str() as text), *_]
            ) if owner in LOGGERS and method in LEVELS:
                found = FORM.fullmatch(text)
                if found is not None:
                    fields = tuple(name for name, _, _ in FIELD.findall(found["fields"]))
                    yield found["event"], LEVELS[method], fields, found["note"] or ""


def make_page() -> str:
    """The text of docs/logs.md."""
    events = list_events()
    lines = [INTRODUCTION]
    named = {area for _, areas in AREAS for area in areas}
    others = tuple({event.name.split(".")[0] for event in events} - named)
    for title, areas in (*AREAS, *((("Others", others),) if others else ())):
        rows = [event for event in events if event.name.split(".")[0] in areas]
        lines += [f"## {title}", "", "| event | level | fields | meaning |", "|---|---|---|---|"]
        lines += [_make_row(event) for event in rows] + [""]
    return "\n".join(lines)


def _make_row(event: Event) -> str:
    fields = ", ".join(f"`{name}`" for name in event.fields) or "-"
    meaning = MEANINGS.get(event.name, event.note or "-")
    return f"| `{event.name}` | {event.level} | {fields} | {meaning} |"


if __name__ == "__main__":
    sys.stdout.write(make_page())
