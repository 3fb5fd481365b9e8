"""What a node can say of a command before a block does: refusals that cost the trader nothing, not even the nonce.

Only rules that need no margin and no book are judged here. The engine judges everything again.
"""

from collections.abc import Iterator

from engine import views
from engine.commands import ALL_MARKETS, CANCEL, CANCEL_ALL, PLACE, WITHDRAW, Action, Command
from engine.intake import EXECUTED_KINDS
from engine.layout import ACCOUNT_COUNT, NONCE_COUNT
from engine.limits import NONCES_REMEMBERED, USER_ACCOUNT_FIRST
from engine.results import Code
from engine.state import EngineState
from engine.tree import read_key


def user_accounts(state: EngineState) -> Iterator[int]:
    """Indices of all accounts that belong to traders."""
    return iter(range(USER_ACCOUNT_FIRST, int(state.tables.counters[ACCOUNT_COUNT])))


def account_key(state: EngineState, index: int) -> tuple[bytes, int]:
    """Owner and subaccount of an account in use."""
    return read_key(state.tables, index)


def precheck(state: EngineState, command: Command, now_ms: int) -> Code:
    """OK, or the first rule in order of precedence that the message, then one of its actions, already breaks at the
    head state.
    """
    if command.expiry_ms < now_ms:
        return Code.EXPIRED
    account = views.find_account(state, command.owner, command.subaccount)
    if account is None:
        return Code.UNKNOWN_ACCOUNT
    count = int(state.tables.accounts[account, NONCE_COUNT])
    spent = state.tables.nonces[account, :count].tolist()
    if command.nonce in spent:
        return Code.NONCE_REUSED
    if count == NONCES_REMEMBERED and command.nonce < spent[0]:
        return Code.NONCE_TOO_OLD
    codes = (_precheck_action(state, action) for action in command.actions)
    return next((code for code in codes if code != Code.OK), Code.OK)


def _precheck_action(state: EngineState, action: Action) -> Code:
    if action.kind not in EXECUTED_KINDS or action.display_lots or action.good_till_ms or action.link:
        return Code.MALFORMED
    if action.kind == WITHDRAW and action.market:
        return Code.MALFORMED
    markets = state.params.markets
    is_all = action.kind == CANCEL_ALL and action.market == ALL_MARKETS
    if action.kind in (PLACE, CANCEL, CANCEL_ALL) and not is_all and action.market >= len(markets):
        return Code.UNKNOWN_MARKET
    if action.kind == WITHDRAW and action.size_lots <= 0:
        return Code.AMOUNT_NOT_POSITIVE
    if action.kind != PLACE:
        return Code.OK
    market = markets[action.market]
    if action.size_lots <= 0:
        return Code.SIZE_NOT_POSITIVE
    if action.size_lots > market.size_lots_max:
        return Code.SIZE_TOO_LARGE
    if not 0 < action.price_ticks <= market.price_ticks_max:
        return Code.PRICE_OUT_OF_RANGE
    return Code.OK
