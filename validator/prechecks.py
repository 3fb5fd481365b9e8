"""What a node can say of a command before a block does: refusals that cost the trader nothing, not even the nonce.

Only rules that need no margin and no book are judged here. The engine judges everything again.
"""

from collections.abc import Iterator

from engine import views
from engine.authority import SCOPE_BUILDER
from engine.commands import (
    ALL_MARKETS,
    AMEND,
    AT_MARKET,
    CANCEL,
    CANCEL_ALL,
    OFFER,
    PLACE,
    TRIGGER,
    WITHDRAW,
    Action,
    Command,
)
from engine.inbox import encode_key
from engine.limits import NONCES_REMEMBERED
from engine.results import Code
from engine.state import EngineState
from engine.tables import ACCOUNT_COUNT, EXPIRY_COUNT, USER_ACCOUNT_FIRST
from engine.tree import read_key

_IN_A_MARKET = (PLACE, CANCEL, CANCEL_ALL, AMEND, TRIGGER, OFFER)
_WITH_A_SIZE = (PLACE, OFFER)


def user_accounts(state: EngineState) -> Iterator[int]:
    """Indices of all accounts that belong to traders."""
    return iter(range(USER_ACCOUNT_FIRST, int(state.tables.counters[ACCOUNT_COUNT])))


def account_key(state: EngineState, index: int) -> tuple[bytes, int]:
    """Owner and subaccount of an account in use."""
    return read_key(state.tables, index)


def list_expiries(state: EngineState) -> tuple[tuple[int, int], ...]:
    """(number of the underlying, time_ms) of every expiry, in the order of the price feeds."""
    rows = state.tables.expiries[: int(state.tables.counters[EXPIRY_COUNT])]
    return tuple((int(row["underlying"]), int(row["expiry_ms"])) for row in rows)


def may_sign(state: EngineState, owner: bytes, subaccount: int, signer: bytes) -> bool:
    """Whether an address is the owner or holds a session key of the account, expired ones included."""
    if signer == owner:
        return signer != bytes(20)
    account = views.find_account(state, owner, subaccount)
    return account is not None and holds_key(state, account, signer)


def holds_key(state: EngineState, account: int, signer: bytes) -> bool:
    """Whether an address holds a session key of an account, be it expired."""
    sessions, wanted = state.tables.sessions, encode_key(signer, 0)
    row = int(state.tables.accounts[account]["session_first"])
    while row:
        session = sessions[row]
        key = (int(session["key_a"]), int(session["key_b"]), int(session["key_c"]))
        if key == wanted and int(session["scopes"]) != SCOPE_BUILDER:
            return True
        row = int(session["next"])
    return False


def precheck(state: EngineState, command: Command, now_ms: int) -> Code:
    """OK, or the first rule in order of precedence that the message, then one of its actions, already breaks at the
    head state.
    """
    if command.expiry_ms < now_ms:
        return Code.EXPIRED
    account = views.find_account(state, command.owner, command.subaccount)
    if account is None:
        return Code.UNKNOWN_ACCOUNT
    count = int(state.tables.accounts[account]["nonce_count"])
    spent = state.tables.nonces[account, :count].tolist()
    if command.nonce in spent:
        return Code.NONCE_REUSED
    if count == NONCES_REMEMBERED and command.nonce < spent[0]:
        return Code.NONCE_TOO_OLD
    codes = (_precheck_action(state, action) for action in command.actions)
    return next((code for code in codes if code != Code.OK), Code.OK)


def _precheck_action(state: EngineState, action: Action) -> Code:
    is_all = action.kind == CANCEL_ALL and action.market == ALL_MARKETS
    if action.kind in _IN_A_MARKET and not is_all and action.market >= views.market_count(state):
        return Code.UNKNOWN_MARKET
    if action.kind == WITHDRAW and action.size_lots <= 0:
        return Code.AMOUNT_NOT_POSITIVE
    if action.kind not in _WITH_A_SIZE:
        return Code.OK
    market = state.tables.markets[action.market]
    if action.size_lots <= 0:
        return Code.SIZE_NOT_POSITIVE
    if action.size_lots > int(market["order_lots_max"]):
        return Code.SIZE_TOO_LARGE
    is_priced = not action.flags & AT_MARKET or action.price_ticks != 0
    if is_priced and not 0 < action.price_ticks <= int(market["price_ticks_max"]):
        return Code.PRICE_OUT_OF_RANGE
    return Code.OK
