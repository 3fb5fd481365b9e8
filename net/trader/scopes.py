"""What an API key may do: Deribit's scopes, such as `trade:read_write account:read`.

A scope is an area and a level. A key that says nothing of an area has none of it; `trade` and `account` of a key that
names no scope at all are `read_write`, `wallet` is not.
"""

from collections.abc import Sequence

AREAS = ("account", "trade", "wallet", "block_trade", "block_rfq")
LEVELS = ("none", "read", "read_write")
DEFAULT_SCOPE = "account:read_write trade:read_write block_trade:read_write block_rfq:read_write wallet:read"

# Methods of other areas than trade; those that begin with get_ only read.
_ACCOUNT_READS = frozenset(
    {"get_account_summary", "get_account_summaries", "get_positions", "get_position", "get_subaccounts"}
    | {"get_subaccounts_details", "get_transaction_log", "get_margins", "simulate_portfolio", "x_margin_explain"}
    | {"x_list_session_keys", "get_portfolio_margins"}
)
_WALLET = frozenset(
    {"withdraw", "submit_transfer_to_subaccount", "submit_transfer_to_user", "get_withdrawals", "get_deposits"}
    | {"get_transfers", "get_current_deposit_address", "submit_transfer_between_subaccounts"}
)
_ACCOUNT_WRITES = frozenset({"x_register_session_key", "x_revoke_session_key", "x_set_margin_mode"})
_OF_EVERYBODY = frozenset({"logout", "subscribe", "unsubscribe", "unsubscribe_all"})
_CHANNEL_AREAS = {"portfolio": "account", "lock": "account"}


class ScopeError(ValueError):
    """Text that names no scope."""


def parse_scope(text: str) -> dict[str, str]:
    """Level by area. Raises `ScopeError`; what clients add about the session (`session:name`) is passed over."""
    levels: dict[str, str] = {}
    for part in text.replace(",", " ").split():
        area, _, level = part.partition(":")
        if area in ("session", "connection", "mainaccount", "expires", "ip"):
            continue
        if area not in AREAS or level not in LEVELS:
            raise ScopeError(f"{part!r}: one of {', '.join(AREAS)}, a colon, and one of {', '.join(LEVELS)}")
        levels[area] = level
    return levels


def show_scope(levels: dict[str, str]) -> str:
    return " ".join(f"{area}:{levels[area]}" for area in AREAS if area in levels)


def narrow(granted: dict[str, str], wanted: dict[str, str]) -> dict[str, str]:
    """What a login may do that asks for less than its key has."""
    if not wanted:
        return granted
    return {
        area: min(level, wanted.get(area, "none"), key=LEVELS.index)
        for area, level in granted.items()
        if wanted.get(area, "none") != "none"
    }


def needed_for(method: str, is_signed: bool) -> tuple[str, str] | None:
    """Area and level that a private method needs; None where being logged in is enough."""
    name = method.partition("/")[2]
    if name in _OF_EVERYBODY:
        return None
    level = "read_write" if is_signed else "read"
    if name in _WALLET:
        return "wallet", level
    if name in _ACCOUNT_READS or name in _ACCOUNT_WRITES:
        return "account", level
    if "block_trade" in name or "block_rfq" in name:
        return "block_trade" if "block_trade" in name else "block_rfq", level
    if name.endswith("_cancel_on_disconnect") and not name.startswith("get_"):
        level = "read_write"
    return "trade", level


def needed_for_channels(channels: Sequence[str]) -> list[tuple[str, str]]:
    """What subscribing needs: user channels need reading of their area, all others nothing; nor do those that name an
    owner, which any node tells to anybody.
    """
    topics = [
        name.split(".")[1]
        for name in channels
        if name.startswith("user.") and not name.rpartition(".")[2].startswith("0x")
    ]
    return [(_CHANNEL_AREAS.get(topic, "trade"), "read") for topic in topics]


def is_enough(granted: dict[str, str], needed: tuple[str, str]) -> bool:
    area, level = needed
    return LEVELS.index(granted.get(area, "none")) >= LEVELS.index(level)
