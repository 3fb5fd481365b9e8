"""`validator.prechecks` for many messages at once: columns in, one code a message out, the same codes in the same order
of precedence.

Runs in a worker thread, beside the loop: it only reads, and a state that others may see does not change.
"""

import numpy as np

from engine import views
from engine.commands import (
    ALL_MARKETS,
    AMEND,
    AT_MARKET,
    CANCEL,
    CANCEL_ALL,
    MESSAGE,
    OFFER,
    PLACE,
    TRIGGER,
    WITHDRAW,
)
from engine.intake import HEADER_WORDS, judge_actions
from engine.limits import NONCES_REMEMBERED
from engine.results import Code
from engine.state import EngineState
from validator.prechecks import holds_key

_ACCOUNTS_REMEMBERED_MAX = 1 << 16
_KEY_BYTES = 24  # owner and subaccount, as a header begins
_IN_A_MARKET = np.isin(np.arange(256), (PLACE, CANCEL, CANCEL_ALL, AMEND, TRIGGER, OFFER))
_WITH_A_SIZE = np.isin(np.arange(256), (PLACE, OFFER))


def find_malformed(headers: np.ndarray, actions: np.ndarray) -> np.ndarray:
    """(m,) bool from words (m, 14) and (n, 12): rule 101 holds for the message or for one of its actions."""
    codes, classes = np.empty((2, len(actions)), dtype=np.int64)
    judge_actions(headers, actions, codes, classes)
    is_malformed: np.ndarray = np.maximum.reduceat(codes, find_firsts(headers.view(MESSAGE)[:, 0])) != 0
    return is_malformed


def find_firsts(messages: np.ndarray) -> np.ndarray:
    """(m,): the row of each message's first action."""
    counts = messages["count"].astype(np.int64)
    return np.cumsum(counts) - counts


class Admission:
    """See the module's text. Remembers who has which account: numbers of accounts are for ever."""

    def __init__(self) -> None:
        self._accounts: dict[bytes, int] = {}

    def judge(
        self, state: EngineState, messages: np.ndarray, actions: np.ndarray, signers: np.ndarray, now_ms: int
    ) -> np.ndarray:
        """(m,) codes of well-formed messages, 0 where nothing speaks against them. `signers` (m, 20), zero: nobody."""
        accounts = self._find_accounts(state, messages)
        codes = _judge_actions(state, messages, actions)
        # From the last rule of precedence to the first: the later assignment wins.
        is_spent, is_too_old = _judge_nonces(state, accounts, messages["nonce"])
        codes[is_too_old] = Code.NONCE_TOO_OLD
        codes[is_spent] = Code.NONCE_REUSED
        codes[accounts < 0] = Code.UNKNOWN_ACCOUNT
        codes[messages["expiry_ms"] < now_ms] = Code.EXPIRED
        codes[~_may_sign(state, accounts, messages, signers)] = Code.BAD_SIGNATURE
        return codes

    def _find_accounts(self, state: EngineState, messages: np.ndarray) -> np.ndarray:
        """(m,) account numbers, -1 where nothing was ever credited."""
        words = messages.view("<i8").reshape(len(messages), HEADER_WORDS)
        data, known = np.ascontiguousarray(words[:, : _KEY_BYTES // 8]).tobytes(), self._accounts
        found = np.empty(len(messages), dtype=np.int64)
        for at in range(len(messages)):
            key = data[at * _KEY_BYTES : (at + 1) * _KEY_BYTES]
            account = known.get(key)
            if account is None:
                account = views.find_account(state, key[:20], int.from_bytes(key[20:], "little"))
                if account is not None:
                    if len(known) >= _ACCOUNTS_REMEMBERED_MAX:
                        known.clear()
                    known[key] = account
            found[at] = -1 if account is None else account
        return found


def _may_sign(state: EngineState, accounts: np.ndarray, messages: np.ndarray, signers: np.ndarray) -> np.ndarray:
    may: np.ndarray = (signers == messages["owner"]).all(axis=1) & signers.any(axis=1)
    for at in np.flatnonzero(~may & (accounts >= 0)):
        may[at] = holds_key(state, int(accounts[at]), signers[at].tobytes())
    return may


def _judge_nonces(state: EngineState, accounts: np.ndarray, nonces: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(m,) bool each: the nonce is spent; it is below all that are remembered."""
    rows = np.maximum(accounts, 0)
    spent, counts = state.tables.nonces[rows], state.tables.accounts["nonce_count"][rows]
    is_used = np.arange(NONCES_REMEMBERED) < counts[:, None]
    is_spent = ((spent == nonces[:, None]) & is_used).any(axis=1)
    return is_spent, (counts == NONCES_REMEMBERED) & (nonces < spent[:, 0])


def _judge_actions(state: EngineState, messages: np.ndarray, actions: np.ndarray) -> np.ndarray:
    """(m,) codes of the first action of each message that the rules of its market refuse."""
    kinds, markets, sizes = actions["kind"], actions["market"].astype(np.int64), actions["size_lots"]
    is_everywhere = (kinds == CANCEL_ALL) & (markets == ALL_MARKETS)
    is_unknown = _IN_A_MARKET[kinds] & ~is_everywhere & (markets >= views.market_count(state))
    is_sized = _WITH_A_SIZE[kinds]
    tables = state.tables.markets
    rows = np.where(is_sized & ~is_unknown, markets, 0)
    prices = actions["price_ticks"]
    is_priced = (actions["flags"] & AT_MARKET == 0) | (prices != 0)
    is_off = is_priced & ((prices <= 0) | (prices > tables["price_ticks_max"][rows]))
    codes = np.zeros(len(actions), dtype=np.int64)
    codes[is_sized & is_off] = Code.PRICE_OUT_OF_RANGE
    codes[is_sized & (sizes > tables["order_lots_max"][rows])] = Code.SIZE_TOO_LARGE
    codes[is_sized & (sizes <= 0)] = Code.SIZE_NOT_POSITIVE
    codes[(kinds == WITHDRAW) & (sizes <= 0)] = Code.AMOUNT_NOT_POSITIVE
    codes[is_unknown] = Code.UNKNOWN_MARKET
    found = np.zeros(len(messages), dtype=np.int64)
    bad = np.flatnonzero(codes)
    if len(bad):
        owners = np.searchsorted(find_firsts(messages), bad, side="right") - 1
        found[owners[::-1]] = codes[bad[::-1]]  # of several of one message, the first is assigned last
    return found
