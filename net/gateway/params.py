"""Typed access to the named parameters of one call. Every refusal names the parameter.

Over HTTP GET all values are text, so text is accepted wherever it has one exact reading.
"""

import re
from collections.abc import Mapping
from typing import TypeVar

from net.gateway.errors import BAD_HEX, BAD_NUMBER, MISSING_PARAM, NUMBER_OVERFLOW, UNKNOWN_VALUE, WRONG_TYPE, ApiError
from net.gateway.wire import NumberText, load_json

T = TypeVar("T")
I64_MAX = (1 << 63) - 1
U32_MAX = (1 << 32) - 1
_DECIMAL = re.compile(r"(-?)([0-9]+)(?:\.([0-9]+))?(?:[eE]([+-]?[0-9]{1,4}))?", re.ASCII)
_DIGITS_MAX = 40


def _require(name: str, value: T | None) -> T:
    """A value, or the default of one that was not given. Raises `ApiError` when there is neither."""
    if value is None:
        raise ApiError(MISSING_PARAM, name)
    return value


class Params:
    """The parameters of one call; reads convert and check."""

    def __init__(self, values: Mapping[str, object]) -> None:
        self.values = values

    def text(self, name: str, default: str | None = None) -> str:
        value = self.values.get(name)
        if value is None:  # null and absent are the same
            return _require(name, default)
        if type(value) is not str:
            raise ApiError(WRONG_TYPE, name, "a string")
        return value

    def choice(self, name: str, options: Mapping[str, T], default: str | None = None) -> T:
        key = self.text(name, default)
        if key not in options:
            raise ApiError(UNKNOWN_VALUE, name, "one of " + ", ".join(options))
        return options[key]

    def flag(self, name: str, default: bool = False) -> bool:
        value = self.values.get(name)
        if value is None:
            return default
        if type(value) is bool:
            return value
        if value in ("true", "false"):
            return value == "true"
        raise ApiError(WRONG_TYPE, name, "true or false")

    def integer(self, name: str, low: int, high: int, default: int | None = None) -> int:
        value = self.values.get(name)
        if value is None:
            return _require(name, default)
        if type(value) is str and re.fullmatch(r"-?[0-9]{1,40}", value, re.ASCII):
            value = int(value)
        if type(value) is NumberText:
            plain = plain_decimal(name, value)
            if "." in plain:
                raise ApiError(WRONG_TYPE, name, "an integer")
            value = int(plain)
        if type(value) is not int:
            raise ApiError(WRONG_TYPE, name, "an integer")
        if not low <= value <= high:
            raise ApiError(NUMBER_OVERFLOW, name, f"from {low} to {high}")
        return value

    def decimal(self, name: str) -> str:
        """Exact decimal text without exponent, such as `64000.5`."""
        value = _require(name, self.values.get(name))
        if type(value) is int:
            return str(value)
        if not isinstance(value, str):
            raise ApiError(WRONG_TYPE, name, "decimal text or a number")
        return plain_decimal(name, value)

    def hex_bytes(self, name: str, length: int) -> bytes:
        text = self.text(name)
        digits = text[2:] if text[:2] in ("0x", "0X") else text
        if len(digits) != 2 * length or not re.fullmatch(r"[0-9a-fA-F]*", digits, re.ASCII):
            raise ApiError(BAD_HEX, name, f"{2 * length} hexadecimal digits, 0x optional")
        return bytes.fromhex(digits)

    def hex_message(self, name: str, length_max: int) -> bytes:
        """Bytes of any length up to `length_max`."""
        text = self.text(name)
        digits = text[2:] if text[:2] in ("0x", "0X") else text
        return self.hex_bytes(name, min(len(digits) // 2, length_max))

    def integer_map(self, name: str, high: int) -> dict[str, int]:
        """An object with numbers up to `high`; empty without it."""
        value = self.values.get(name)
        if value is None:
            return {}
        if not isinstance(value, dict):
            raise ApiError(WRONG_TYPE, name, "an object with integers")
        return {key: Params(value).integer(key, 0, high) for key in value}

    def text_list(self, name: str, count_max: int) -> list[str]:
        """A list of strings; over HTTP GET one string with commas or a JSON-like list."""
        value = _require(name, self.values.get(name))
        if type(value) is str:
            value = [part.strip(' "') for part in value.strip("[]").split(",")]
        if type(value) is not list or any(type(part) is not str for part in value):
            raise ApiError(WRONG_TYPE, name, "a list of strings")
        if not 1 <= len(value) <= count_max:
            raise ApiError(NUMBER_OVERFLOW, name, f"1 to {count_max} entries")
        return value

    def nested(self, name: str) -> "Params":
        """An object's own parameters; over HTTP GET as JSON text."""
        return _nest(name, self._loaded(name))

    def nested_list(self, name: str, count_max: int) -> list["Params"]:
        """A list of objects; over HTTP GET as JSON text."""
        value = self._loaded(name)
        if type(value) is not list:
            raise ApiError(WRONG_TYPE, name, "a list of objects")
        if not 1 <= len(value) <= count_max:
            raise ApiError(NUMBER_OVERFLOW, name, f"1 to {count_max} entries")
        return [_nest(name, item) for item in value]

    def _loaded(self, name: str) -> object:
        value = _require(name, self.values.get(name))
        if type(value) is not str:
            return value
        try:
            loaded: object = load_json(value)
        except (ValueError, RecursionError):
            raise ApiError(WRONG_TYPE, name, "JSON") from None
        return loaded


def _nest(name: str, value: object) -> Params:
    if type(value) is not dict:
        raise ApiError(WRONG_TYPE, name, "an object")
    return Params(value)


def plain_decimal(name: str, text: str) -> str:
    """The same number without exponent and superfluous zeros. Refuses what is no decimal or has over 40 digits."""
    match = _DECIMAL.fullmatch(text)
    if match is None:
        too_long = re.fullmatch(r"-?[0-9]+(\.[0-9]+)?[eE][+-]?[0-9]+", text, re.ASCII)
        raise ApiError(NUMBER_OVERFLOW if too_long else BAD_NUMBER, name)
    sign, whole, fraction, exponent = match[1], match[2], match[3] or "", int(match[4] or 0)
    point = len(whole) + exponent
    digits = whole + fraction
    if len(digits) > _DIGITS_MAX or abs(exponent) > _DIGITS_MAX:
        raise ApiError(NUMBER_OVERFLOW, name, "at most 40 digits")
    digits = "0" * max(0, 1 - point) + digits
    point = max(point, 1)
    digits += "0" * max(0, point - len(digits))
    whole, fraction = digits[:point].lstrip("0") or "0", digits[point:].rstrip("0")
    plain = whole + ("." + fraction if fraction else "")
    return plain if plain == "0" else sign + plain
