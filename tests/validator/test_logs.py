"""A line is one fact with its fields, for people and for programs, whoever said it."""

import io
import json
import logging
import sys
from contextlib import contextmanager

import pytest

from validator import logs
from validator.log_events import list_events, make_page
from validator.log_meanings import AREAS, MEANINGS
from validator.logs import ConsoleLines, JsonLines, begin_logs, name_process

TIME_S = 1_764_154_800.1239


def record(message, *args, level=logging.INFO, name="hansa.peering", error=None):
    made = logging.LogRecord(name, level, "file.py", 1, message, args, error)
    made.created = TIME_S
    return made


def told(made, lines=None) -> dict:
    return json.loads((lines or JsonLines()).format(made))


def test_an_events_name_has_one_form_and_one_place_on_the_page():
    events = list_events()
    names = [event.name for event in events]
    assert len(names) > 90 and len(set(names)) == len(names)
    assert set(MEANINGS) <= set(names)
    areas = [area for _, words in AREAS for area in words]
    assert len(set(areas)) == len(areas)
    page = make_page()
    assert all(page.count(f"| `{name}` |") == 1 for name in names)


def test_fields_keep_their_kind():
    line = told(record("a.b n=%d text=%s share=%.1f whole=%.0f list=%s why=%r (a note)", 3, "x y", 0.25, 9.6, [1], "q"))
    assert line == {
        "time": "2025-11-26T11:00:00.123Z", "level": "info", "event": "a.b", "n": 3, "text": "x y", "share": 0.2,
        "whole": 10, "list": [1], "why": "'q'", "note": "a note",
    }  # fmt: skip


def test_a_line_to_read_can_be_taken_apart_again():
    made = record("a.b n=%d text=%s empty=%s (a note)", 3, 'say "x"', "")
    assert (
        ConsoleLines().format(made) == '2025-11-26T11:00:00.123Z info     a.b n=3 text="say \\"x\\"" empty="" (a note)'
    )
    assert "\x1b[32minfo" in ConsoleLines(has_colours=True).format(made)


@pytest.mark.parametrize("message", ["peer %d is up", "a.b n=%d: more", "a.b n=%d m=%d"])
def test_what_is_not_in_the_form_is_a_librarys_message(message):
    made = record(message, *range(message.count("%")), name="libp2p.host")
    if message.count("%") == 2:
        made.args = (0, 1)
        assert told(made)["event"] == "a.b"
    else:
        assert told(made)["event"] == logs.LIBRARY_EVENT and told(made)["logger"] == "libp2p.host"


def test_an_exception_stays_on_its_line():
    try:
        raise ValueError("bad")
    except ValueError:
        made = record("a.failed", level=logging.ERROR, error=sys.exc_info())
    text = JsonLines().format(made)
    assert "\n" not in text and json.loads(text)["exception"].endswith("ValueError: bad")
    assert ConsoleLines().format(made).splitlines()[-1] == "ValueError: bad"


@contextmanager
def a_process_that_has_said_nothing():
    """Without pytest's own handlers."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    root.handlers.clear()
    try:
        yield
    finally:
        root.handlers[:] = handlers
        root.setLevel(level)


@pytest.mark.parametrize(("log_format", "is_json"), [("auto", True), ("json", True), ("console", False)])
def test_the_format_is_the_operators_choice(log_format, is_json):
    stream, height = io.StringIO(), [5]
    with a_process_that_has_said_nothing():
        begin_logs("info", log_format, stream)
        name_process(lambda: height[0], chain="net", node=2)
        height[0] = 7
        log = logging.getLogger("hansa.test_logs")
        log.debug("not.shown")
        log.info("peer.up peer=%d height=%d", 1, 6)
    (line,) = stream.getvalue().splitlines()
    if is_json:
        line = json.loads(line)
        assert (line["chain"], line["node"], line["own_height"], line["height"]) == ("net", 2, 7, 6)
    else:
        assert line.endswith("info     peer.up peer=1 height=6")
