"""What a process says on stderr: one line for one fact, for people or for programs.

A call of a logger names an event and its fields, `log.info("peer.up peer=%d height=%d", peer, height)`, and may end
with a note for people in brackets. `FORM` is that grammar; tests/test_tidy.py holds every call against it, and
docs/logs.md lists all events. From it a line of JSON or a line to read is made; nobody has to parse a sentence.

What other libraries say becomes `library.message`.
"""

import json
import logging
import re
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import lru_cache
from typing import TextIO

FORM = re.compile(
    r"(?P<event>[a-z][a-z0-9_]*\.[a-z0-9_]+)"
    r"(?P<fields>(?: [a-z0-9_]+=%(?:\.\d+)?[sdrf])*)"
    r"(?: \((?P<note>[^()%]+)\))?"
)
FIELD = re.compile(r"([a-z0-9_]+)=%(?:\.(\d+))?([sdrf])")
FORMATS = ("auto", "console", "json")
LEVELS = ("debug", "info", "warning", "error", "critical")
LIBRARY_EVENT = "library.message"
_BARE = re.compile(r"[^\s\"=]+")
_COLOURS = {
    logging.DEBUG: "2",
    logging.INFO: "32",
    logging.WARNING: "33",
    logging.ERROR: "31",
    logging.CRITICAL: "1;31",
}


@dataclass(frozen=True, slots=True)
class Fact:
    """What one call of a logger says."""

    event: str
    fields: dict[str, object]
    note: str = ""


@dataclass(slots=True)
class Process:
    """Who speaks: stands in every line of JSON. `height`: the last block that it has executed."""

    names: dict[str, object] = field(default_factory=dict)
    height: Callable[[], int] | None = None


def begin_logs(level: str, log_format: str = "auto", stream: TextIO | None = None) -> None:
    """For a process that has said nothing yet. `auto`: to read in a terminal, JSON elsewhere."""
    stream = sys.stderr if stream is None else stream
    is_terminal = stream.isatty()
    is_console = log_format == "console" or (log_format == "auto" and is_terminal)
    handler = logging.StreamHandler(stream)
    handler.setFormatter(ConsoleLines(has_colours=is_terminal) if is_console else JsonLines())
    logging.basicConfig(level=level.upper(), handlers=[handler])


def name_process(height: Callable[[], int] | None = None, **names: object) -> None:
    """What all later lines of JSON carry, such as `chain` and `node`."""
    for handler in logging.getLogger().handlers:
        if isinstance(handler.formatter, JsonLines):
            handler.formatter.process = Process(names, height)


class JsonLines(logging.Formatter):
    """`time`, `level`, `event`, then who speaks, then the event's own fields, which count where names are the same."""

    def __init__(self) -> None:
        super().__init__()
        self.process = Process()

    def format(self, record: logging.LogRecord) -> str:
        fact = read_fact(record)
        line: dict[str, object] = {
            "time": format_time(record.created), "level": record.levelname.lower(), "event": fact.event,
            **self.process.names,
        }  # fmt: skip
        if self.process.height is not None:
            line["own_height"] = self.process.height()
        line |= fact.fields
        if fact.note:
            line["note"] = fact.note
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line, default=str, ensure_ascii=False)


class ConsoleLines(logging.Formatter):
    """`time level event key=value ... (note)`, then the exception."""

    def __init__(self, has_colours: bool = False) -> None:
        super().__init__()
        self._has_colours = has_colours

    def format(self, record: logging.LogRecord) -> str:
        fact = read_fact(record)
        level = f"{record.levelname.lower():<8}"
        if self._has_colours:
            level = f"\x1b[{_COLOURS.get(record.levelno, '0')}m{level}\x1b[0m"
        shown = [f"{name}={_quote(value)}" for name, value in fact.fields.items()]
        line = " ".join([format_time(record.created), level, fact.event, *shown])
        line += f" ({fact.note})" if fact.note else ""
        return line + ("\n" + self.formatException(record.exc_info) if record.exc_info else "")


def read_fact(record: logging.LogRecord) -> Fact:
    """By the call's own words; anything that is not in our form is somebody else's message."""
    template = _read_template(record.msg) if isinstance(record.msg, str) else None
    arguments = record.args if isinstance(record.args, tuple) else ()
    if template is None or len(template[1]) != len(arguments):
        return Fact(LIBRARY_EVENT, {"logger": record.name, "text": record.getMessage()})
    event, fields, note = template
    values = (_convert(value, kind, digits) for (_, digits, kind), value in zip(fields, arguments, strict=True))
    return Fact(event, dict(zip((name for name, _, _ in fields), values, strict=True)), note)


@lru_cache(maxsize=1_000)
def _read_template(text: str) -> tuple[str, list[tuple[str, str, str]], str] | None:
    found = FORM.fullmatch(text)
    return None if found is None else (found["event"], FIELD.findall(found["fields"]), found["note"] or "")


def _convert(value: object, kind: str, digits: str) -> object:
    """As JSON has it, with what the format says of it."""
    if kind == "f" and isinstance(value, int | float):
        return round(value, int(digits or 6)) if digits != "0" else round(value)
    if kind == "r":
        return repr(value)
    return value if isinstance(value, int | float | list | type(None)) else str(value)


def _quote(value: object) -> str:
    text = str(value)
    return text if _BARE.fullmatch(text) else json.dumps(text, ensure_ascii=False)


def format_time(time_s: float) -> str:
    """UTC to the millisecond."""
    return datetime.fromtimestamp(time_s, UTC).strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3] + "Z"
