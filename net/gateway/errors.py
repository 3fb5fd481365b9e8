"""The one table of everything that can be refused, with its number, its JSON-RPC code and what to do about it.

`error.code` is Deribit's where Deribit has one, so that existing clients react rightly; `error.data.code` is Hansa's
own number, never reused: 1xx to 5xx are the engine's (`engine/results.py`), 6xx the connection, 7xx the parameters,
8xx the node.
docs/errors.md is generated from here.
"""

from dataclasses import dataclass
from typing import Any

from engine.results import Code
from net.gateway.backend import Refusal


@dataclass(frozen=True, slots=True)
class Fault:
    """One row of the table. `is_transient`: the same intent may succeed later (a new command, where one was signed)."""

    number: int
    reason: str
    rpc_code: int
    message: str
    hint: str
    is_transient: bool = False
    http_status: int = 400


def _engine(code: Code, rpc_code: int, message: str, hint: str, is_transient: bool = False) -> Fault:
    return Fault(int(code), code.name.lower(), rpc_code, message, hint, is_transient)


INVALID_JSON = Fault(601, "invalid_json", -32700, "parse error", "send one JSON object as UTF-8 text")
INVALID_REQUEST = Fault(
    602, "invalid_request", -32600, "invalid request",
    "an object with jsonrpc, id, method and named params; batches are not served",
)  # fmt: skip
UNKNOWN_METHOD = Fault(603, "unknown_method", -32601, "method not found", "docs/api.md lists every method", False, 404)
TOO_LARGE = Fault(
    604, "too_large", -32600, "message too large", "64 KiB per HTTP body, 32 KiB per WebSocket message", False, 413
)
RATE_LIMITED = Fault(
    605,
    "rate_limited",
    10028,
    "too_many_requests",
    "wait for `data.retry_after_ms`; see public/x_get_limits",
    True,
    429,
)
TOO_MANY_CONNECTIONS = Fault(
    606, "too_many_connections", 10028, "too_many_requests", "close idle connections or use another node", True, 503
)
TOO_MANY_CHANNELS = Fault(607, "too_many_channels", 10028, "too_many_requests", "unsubscribe from what you do not read")
UNKNOWN_CHANNEL = Fault(608, "unknown_channel", 11050, "bad_request", "docs/api.md lists every channel")
MUST_BE_WEBSOCKET = Fault(609, "must_be_websocket", 10030, "must_be_websocket_request", "use /ws/api/v2")
INTERNAL = Fault(610, "internal", 11094, "internal_server_error", "our mistake; the node has logged it", True, 500)
SLOW_CONSUMER = Fault(
    611, "slow_consumer", 10028, "too_many_requests", "read faster; connect again with x_resume", True
)
HEARTBEAT_MISSED = Fault(
    612, "heartbeat_missed", 10028, "too_many_requests", "answer test_request with public/test; connect again", True
)
REQUEST_TOO_SLOW = Fault(
    613, "request_too_slow", -32600, "invalid request", "send the whole body within 10 seconds", True, 408
)

MISSING_PARAM = Fault(701, "missing_param", -32602, "invalid params", "the parameter is required")
WRONG_TYPE = Fault(702, "wrong_type", -32602, "invalid params", "see the parameter's type in docs/api.md")
BAD_NUMBER = Fault(703, "bad_number", -32602, "invalid params", 'exact decimal text such as "64000.5"')
NUMBER_OVERFLOW = Fault(704, "number_overflow", -32602, "invalid params", "the number is outside the range of its type")
PRICE_OFF_TICK = Fault(705, "price_off_tick", 10043, "price_wrong_tick", "a multiple of the instrument's tick_size")
SIZE_OFF_LOT = Fault(706, "size_off_lot", 10021, "invalid_amount", "a multiple of the instrument's min_trade_amount")
UNKNOWN_INSTRUMENT = Fault(
    707, "unknown_instrument", 10020, "invalid_or_unsupported_instrument", "public/get_instruments lists them"
)
UNKNOWN_VALUE = Fault(708, "unknown_value", -32602, "invalid params", "one of the values in docs/api.md")
BAD_HEX = Fault(709, "bad_hex", -32602, "invalid params", "hexadecimal digits of the right length, 0x optional")
NOT_SUPPORTED = Fault(
    710, "not_supported", 10033, "not_implemented", "refused rather than ignored: the order would not do what you asked"
)
ORDER_NOT_FOUND = Fault(711, "order_not_found", 10004, "order_not_found", "this node does not know it", False, 404)
NOT_FOUND = Fault(712, "not_found", 13020, "not_found", "this node has no such thing", False, 404)
AMOUNT_OFF_UNIT = Fault(713, "amount_off_unit", 10021, "invalid_amount", "at most six decimals")
NO_LOGIN = Fault(
    714, "no_login", 13009, "unauthorized",
    "a node keeps no accounts and no secrets: API keys belong into `hansa gateway` on your own machine; here "
    "grant_type x_owner with an owner says whose account is read, and a signature is what writes",
)  # fmt: skip

SYNCING = Fault(801, "syncing", 13028, "temporarily_unavailable", "this node is catching up; use another", True, 503)
NO_QUORUM = Fault(802, "no_quorum", 10040, "retry", "no block was finalised for too long; not queued", True, 503)
QUEUE_FULL = Fault(803, "queue_full", 10047, "matching_engine_queue_full", "retry, or use another node", True, 503)
HALTED = Fault(
    804, "halted", 11051, "system_maintenance", "the network is frozen: claim on the settlement contract", False, 503
)
HISTORY_NOT_KEPT = Fault(
    805, "history_not_kept", 13020, "not_found", "this node began with a later state; ask one that began earlier",
    False, 404,
)  # fmt: skip

_C = Code
_ENGINE_ROWS: tuple[tuple[Code, int, str, str] | tuple[Code, int, str, str, bool], ...] = (
    (_C.MALFORMED, 11029, "invalid_arguments", "a field that this kind of command does not use is not zero"),
    (_C.BAD_SIGNATURE, 13009, "unauthorized",
     "signed by another key, or for another chain id, contract or content: see data.domain, data.recovered_signer"),
    (_C.EXPIRED, 11030, "other_reject", "sign again with a later expiry_ms; check your clock with public/get_time"),
    (_C.UNKNOWN_ACCOUNT, 10009, "not_enough_funds", "deposit to (owner, subaccount) first"),
    (_C.NONCE_REUSED, 11030, "other_reject", "a command with this nonce was executed; sign with a new nonce"),
    (_C.NONCE_TOO_OLD, 11030, "other_reject", "use the time in microseconds as nonce"),
    (_C.NOT_PERMITTED, 13021, "forbidden", "beyond this key's scopes; governance is the governor's alone"),
    (_C.UNKNOWN_MARKET, 10020, "invalid_or_unsupported_instrument", "public/get_instruments lists them"),
    (_C.SIZE_NOT_POSITIVE, 10021, "invalid_amount", "amount must be above zero"),
    (_C.SIZE_TOO_LARGE, 10021, "invalid_amount", "split the order"),
    (_C.PRICE_OUT_OF_RANGE, 10023, "invalid_price", "price must be above zero and below the largest price"),
    (_C.PRICE_OUTSIDE_BAND, 10011, "price_not_allowed", "nearer to the mark price, see public/ticker"),
    (_C.NO_PRICE, 13028, "temporarily_unavailable", "the market has no fresh oracle price; sign again later", True),
    (_C.WOULD_CROSS, 11054, "post_only_reject", "the post-only order would have traded"),
    (_C.UNKNOWN_ORDER, 10004, "order_not_found", "not open, or not this account's"),
    (_C.DUPLICATE_CLIENT_ID, 11030, "other_reject", "an order that is open, or among the last 16, carries this label"),
    (_C.UNKNOWN_ENUM, 11029, "invalid_arguments", "side, time_in_force or flags has no such value"),
    (_C.PHASE_REFUSES, 11051, "system_maintenance", "the market's phase does not admit it, see public/ticker", True),
    (_C.NOT_FILLABLE, 11030, "other_reject", "fill or kill: not enough rests within the price"),
    (_C.NOT_REDUCING, 11030, "other_reject", "reduce-only: there is no position on the other side"),
    (_C.CONTRADICTORY, 11029, "invalid_arguments", "the parts of the action do not go together, see docs/spec.md"),
    (_C.BAD_TRIGGER, 11029, "invalid_arguments", "trigger price out of range, or its link names nothing here"),
    (_C.PROTECTED, 11030, "other_reject", "market-maker protection is frozen; wait, or set it again"),
    (_C.ABOVE_SESSION_CAP, 11030, "other_reject", "worth more than this key may place; the owner's key may"),
    (_C.UNKNOWN_ASSET, 11029, "invalid_arguments", "no such collateral"),
    (_C.PARAMETER_OUT_OF_BOUNDS, 11029, "invalid_arguments", "outside its bounds, or more than half of itself away"),
    (_C.COUNTERPARTY_FAILED, 11030, "other_reject", "the other account does not exist or cannot bear its side", True),
    (_C.LEG_FAILED, 11030, "other_reject", "a leg of the combination fails; its own receipt says why"),
    (_C.INSUFFICIENT_MARGIN, 10009, "not_enough_funds", "reduce the order or deposit"),
    (_C.POSITION_TOO_LARGE, 11030, "other_reject", "the position would pass the market's limit"),
    (_C.INSUFFICIENT_BALANCE, 10009, "not_enough_funds", "see withdrawable in private/get_account_summary"),
    (_C.AMOUNT_NOT_POSITIVE, 10021, "invalid_amount", "amount must be above zero"),
    (_C.WRONG_MARGIN_MODE, 11030, "other_reject", "an isolated account holds one market; close it, or change the mode"),
    (_C.TOO_MANY_OPEN_ORDERS, 11030, "other_reject", "cancel some of the account's orders"),
    (_C.BOOK_FULL, 10047, "matching_engine_queue_full", "the market's book is full; sign again later", True),
    (_C.WITHDRAWALS_FULL, 10047, "matching_engine_queue_full", "the block's withdrawals are full", True),
    (_C.TOO_MANY_TRIGGERS, 11030, "other_reject", "cancel some of the account's triggers"),
    (_C.POSITIONS_FULL, 11030, "other_reject", "close a position first"),
    (_C.TABLE_FULL, 11030, "other_reject", "revoke a key, or wait for an offer to end"),
)  # fmt: skip
ENGINE_FAULTS: dict[Code, Fault] = {row[0]: _engine(*row) for row in _ENGINE_ROWS}

REFUSAL_FAULTS: dict[Refusal, Fault] = {
    Refusal.SYNCING: SYNCING, Refusal.NO_QUORUM: NO_QUORUM, Refusal.QUEUE_FULL: QUEUE_FULL, Refusal.HALTED: HALTED,
}  # fmt: skip

GATEWAY_FAULTS: tuple[Fault, ...] = (
    INVALID_JSON, INVALID_REQUEST, UNKNOWN_METHOD, TOO_LARGE, RATE_LIMITED, TOO_MANY_CONNECTIONS, TOO_MANY_CHANNELS,
    UNKNOWN_CHANNEL, MUST_BE_WEBSOCKET, INTERNAL, SLOW_CONSUMER, HEARTBEAT_MISSED, REQUEST_TOO_SLOW,
    MISSING_PARAM, WRONG_TYPE, BAD_NUMBER, NUMBER_OVERFLOW, PRICE_OFF_TICK, SIZE_OFF_LOT, UNKNOWN_INSTRUMENT,
    UNKNOWN_VALUE, BAD_HEX, NOT_SUPPORTED, ORDER_NOT_FOUND, NOT_FOUND, AMOUNT_OFF_UNIT, NO_LOGIN, SYNCING, NO_QUORUM,
    QUEUE_FULL, HALTED, HISTORY_NOT_KEPT,
)  # fmt: skip


class ApiError(Exception):
    """A request that is refused. `details` go into `error.data`."""

    def __init__(self, fault: Fault, param: str | None = None, hint: str | None = None, **details: object) -> None:
        super().__init__(fault.reason)
        self.fault, self.param, self.hint, self.details = fault, param, hint or fault.hint, details

    def to_json(self) -> dict[str, Any]:
        """The `error` member of the answer."""
        data: dict[str, object] = {"reason": self.fault.reason, "code": self.fault.number, "hint": self.hint}
        if self.param is not None:
            data["param"] = self.param
        return {"code": self.fault.rpc_code, "message": self.fault.message, "data": data | self.details}


def engine_error(code: Code, param: str | None = None, hint: str | None = None, **details: object) -> ApiError:
    """The refusal that an engine code stands for; `code` is not OK."""
    return ApiError(ENGINE_FAULTS[code], param, hint, **details)


def table() -> list[Fault]:
    """Every row, by number."""
    return sorted([*ENGINE_FAULTS.values(), *GATEWAY_FAULTS], key=lambda fault: fault.number)
