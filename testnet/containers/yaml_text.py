"""Plain values as YAML for people to read: what compose and Kubernetes need, and no more of the language."""

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

# Text that no reader of YAML takes for anything else; all other text is written in quotes, as JSON.
_PLAIN = re.compile(r"[A-Za-z/][A-Za-z0-9_./-]*")
LINE_MAX = 100
_WORDS = frozenset({"true", "false", "yes", "no", "on", "off", "null", "y", "n"})


def to_yaml(value: Any, indent: int = 0) -> str:
    """A mapping or a list, ending with a line break. Text of several lines is a block."""
    pad = " " * indent
    lines = []
    if isinstance(value, Mapping):
        for key, item in value.items():
            lines.append(f"{pad}{_scalar(str(key), indent)}:{_behind(item, indent)}")
    else:
        for item in value:
            if isinstance(item, (Mapping, list, tuple)) and item:
                lines.append(f"{pad}- {to_yaml(item, indent + 2).lstrip().rstrip()}")
            else:
                lines.append(f"{pad}-{_behind(item, indent)}")
    return "\n".join(lines) + "\n"


def _behind(item: Any, indent: int) -> str:
    """What follows a colon or a dash."""
    if isinstance(item, Mapping) and item:
        return "\n" + to_yaml(item, indent + 2).rstrip("\n")
    if isinstance(item, Sequence) and not isinstance(item, str) and item:
        is_flat = all(isinstance(member, (str, int)) and "\n" not in str(member) for member in item)
        line = " [" + ", ".join(_scalar(member, indent) for member in item) + "]" if is_flat else ""
        if is_flat and len(line) <= LINE_MAX:
            return line
        return "\n" + to_yaml(item, indent + 2).rstrip("\n")
    return " " + _scalar(item, indent)


def _scalar(item: Any, indent: int) -> str:
    if not isinstance(item, str):
        return json.dumps(item)
    if "\n" in item and item.endswith("\n") and not item.startswith((" ", "\n")) and not item.endswith("\n\n"):
        pad = " " * (indent + 2)
        return "|\n" + "\n".join(pad + line if line else "" for line in item.rstrip("\n").split("\n"))
    if _PLAIN.fullmatch(item) and item.lower() not in _WORDS:
        return item
    return json.dumps(item)
