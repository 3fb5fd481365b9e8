"""Texts of answers that stay as they are for long. Pure."""

import json
from collections.abc import Callable, Hashable

from net.gateway.wire import JsonText

# Whatever is asked for in more ways than this is made anew.
TEXTS_MAX = 64


class KeptTexts:
    """The texts of one method's answers, by what was asked for, as long as what they are made from stays the same."""

    def __init__(self) -> None:
        self._sources: tuple[object, bytes] = (None, b"")
        self._texts: dict[Hashable, JsonText] = {}

    def find(self, table: object, marks: bytes, key: Hashable, make: Callable[[], list[object]]) -> JsonText:
        """What `make` answers, made again when `table` is another object or `marks` are others than last time. An empty
        answer is not kept: nothing is made more cheaply, and there is no end of questions that have it.
        """
        if self._sources[0] is not table or self._sources[1] != marks:
            self._texts.clear()
            self._sources = table, marks
        text = self._texts.get(key)
        if text is None:
            rows = make()
            text = JsonText(json.dumps(rows))
            if rows and len(self._texts) < TEXTS_MAX:
                self._texts[key] = text
        return text
