"""JSON-RPC 2.0 text to requests, answers to text. Numbers never become floats: what is no small integer stays text."""

import json
import time
from dataclasses import dataclass
from typing import Any

from net.gateway.errors import INVALID_JSON, INVALID_REQUEST, ApiError

_EXACT_INT_DIGITS_MAX = 20
_ID_CHARS_MAX = 128


class NumberText(str):
    """A JSON number that is no small integer, exactly as it was written."""

    __slots__ = ()


class JsonText(str):
    """A result that is JSON already."""

    __slots__ = ()


@dataclass(frozen=True, slots=True)
class Request:
    """One well-formed call; whether the method exists is not known yet."""

    request_id: str | int | None
    method: str
    params: dict[str, Any]


class RequestError(Exception):
    """Text that is no request; carries the id, if one could be read, for the answer."""

    def __init__(self, request_id: str | int | None, error: ApiError) -> None:
        super().__init__(str(error))
        self.request_id, self.error = request_id, error


def _parse_int(text: str) -> int | NumberText:
    return int(text) if len(text) <= _EXACT_INT_DIGITS_MAX else NumberText(text)


def _refuse_constant(text: str) -> None:
    raise ValueError(f"{text} is not JSON")


def parse_request(text: str | bytes) -> Request:
    """Raises `RequestError` for everything that is not exactly one request object with named parameters."""
    return _request(_load_object(text))


def parse_named_request(text: bytes, method: str) -> Request:
    """The same where the path names the method: the text is a request without it, or only the parameters."""
    item = _load_object(text)
    is_request = "params" in item or "jsonrpc" in item
    return _request(item | {"method": method} if is_request else {"method": method, "params": item})


def load_json(text: str | bytes) -> Any:
    """Any JSON value. Raises `ValueError` or `RecursionError`."""
    return json.loads(text, parse_float=NumberText, parse_int=_parse_int, parse_constant=_refuse_constant)


def _load_object(text: str | bytes) -> dict[str, Any]:
    try:
        item = load_json(text)
    except (ValueError, RecursionError) as error:  # UnicodeDecodeError and JSONDecodeError are ValueErrors
        hint = "nested too deeply" if isinstance(error, RecursionError) else str(error)[:100]
        raise RequestError(None, ApiError(INVALID_JSON, hint=hint)) from None
    if not isinstance(item, dict):
        raise RequestError(None, ApiError(INVALID_REQUEST))
    return item


def _request(item: dict[str, Any]) -> Request:
    request_id = item.get("id")
    if type(request_id) not in (str, int, type(None)) or len(str(request_id)) > _ID_CHARS_MAX:
        raise RequestError(None, ApiError(INVALID_REQUEST, "id", "a string of at most 128 characters or an integer"))
    if item.get("jsonrpc", "2.0") != "2.0":
        raise RequestError(request_id, ApiError(INVALID_REQUEST, "jsonrpc", 'must be "2.0"'))
    method, params = item.get("method"), item.get("params")
    if not isinstance(method, str):
        raise RequestError(request_id, ApiError(INVALID_REQUEST, "method", "a method name is required"))
    if params is not None and not isinstance(params, dict):
        raise RequestError(request_id, ApiError(INVALID_REQUEST, "params", "parameters are passed by name"))
    return Request(request_id, method, params or {})


def now_us() -> int:
    """Wall clock in microseconds, for the envelope."""
    return time.time_ns() // 1000


def result_text(
    request_id: str | int | None, result: object, start_us: int, is_testnet: bool, credits: dict[str, int] | None = None
) -> str:
    """The envelope of a success; `credits` are what the client has left."""
    return _envelope(request_id, "result", result, start_us, is_testnet, credits)


def error_text(request_id: str | int | None, error: ApiError, start_us: int, is_testnet: bool) -> str:
    """The envelope of a refusal."""
    return _envelope(request_id, "error", error.to_json(), start_us, is_testnet)


def _envelope(
    request_id: str | int | None, key: str, value: object, start_us: int, is_testnet: bool,
    credits: dict[str, int] | None = None,
) -> str:  # fmt: skip
    value_text = value if isinstance(value, JsonText) else json.dumps(value)
    end_us = now_us()
    times = {"usIn": start_us, "usOut": end_us, "usDiff": end_us - start_us, "testnet": is_testnet}
    end = json.dumps(times | ({} if credits is None else {"x_credits": credits}))
    return f'{{"jsonrpc": "2.0", "id": {json.dumps(request_id)}, "{key}": {value_text}, {end[1:]}'


def notification_text(channel: str, data: object, number: int) -> str:
    """One message of a subscription; `number`: see `net.gateway.stream`."""
    params = {"channel": channel, "data": data, "x_seq": number}
    return json.dumps({"jsonrpc": "2.0", "method": "subscription", "params": params})
