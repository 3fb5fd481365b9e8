"""The texts of labels, kept in a SQLite file: a node knows an order's label as a number only (`net.client.labels`), and
a client wants back what it wrote, after a restart too.
"""

import sqlite3
from pathlib import Path
from typing import Any

from net.client.labels import number_label
from net.gateway.errors import ApiError
from net.trader.faults import BAD_LABEL


class Labels:
    """The texts that this machine has used."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._base = sqlite3.connect(path, isolation_level=None)
        self._base.execute("PRAGMA journal_mode = WAL")
        self._base.execute("CREATE TABLE IF NOT EXISTS labels (number INTEGER PRIMARY KEY, label TEXT NOT NULL)")
        self._texts: dict[int, str] = dict(self._base.execute("SELECT number, label FROM labels"))

    def close(self) -> None:
        self._base.close()

    def to_numbers(self, params: Any) -> Any:
        """The parameters with every `label` as the text of its number. Raises `ApiError`."""
        if isinstance(params, dict):
            return {
                name: self._number_text(value) if name == "label" else self.to_numbers(value)
                for name, value in params.items()
            }
        return [self.to_numbers(item) for item in params] if isinstance(params, list) else params

    def text(self, number_text: str) -> str:
        """What the client called it; the number of a label of another machine."""
        return self._texts.get(int(number_text), number_text) if number_text.isdecimal() else number_text

    def _number_text(self, label: object) -> str | None:
        if label is None:
            return None
        if not isinstance(label, str | int) or isinstance(label, bool):
            raise ApiError(BAD_LABEL, "label", "a label is text")
        text = str(label)
        try:
            number = number_label(text)
        except ValueError as error:
            raise ApiError(BAD_LABEL, "label", str(error)) from None
        if str(number) != text and number and number not in self._texts:
            self._base.execute("INSERT OR REPLACE INTO labels VALUES (?, ?)", (number, text))
            self._texts[number] = text
        return str(number) if number else ""
