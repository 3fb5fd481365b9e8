"""Who may do what: messages are judged once, in input order, before anything of the block executes (BLK-3, ACC-2 to 4).

A message passes when its bytes are well-formed, somebody who may sign for the account signed it, it has not expired,
its nonce is new, and every one of its actions is within what the signer may do. Then its nonce is spent. A message that
fails changes nothing, and all its actions carry its code.

What an account lets others do is one list (`session_first`), in order of creation, of at most 8 rows: session keys,
whose `scopes` say what they may sign, and approvals of builders. An approval's `scopes` are `SCOPE_BUILDER`, its key is
the key of the builder's account, and its `order_quote_max` the highest builder fee in parts per million.
"""

import numpy as np

from engine.accounts import find_account, touch
from engine.commands import (
    ACCEPT,
    ACTION,
    AMEND,
    CANCEL,
    CANCEL_ALL,
    CANCEL_ALL_AFTER,
    COMBO,
    DELIST,
    LIST,
    MESSAGE,
    OFFER,
    PLACE,
    SET_PARAMETER,
    SET_PHASE,
    SET_PROTECTION,
    TRANSFER,
    TRIGGER,
)
from engine.compiling import entry_point, kernel
from engine.intake import CLASS_ACCOUNT, Intake
from engine.limits import NONCES_REMEMBERED
from engine.results import Code
from engine.tables import (
    DIRTY_AUX,
    DIRTY_LEAF,
    GOVERNOR_ACCOUNT,
    SCOPE_CANCEL,
    SCOPE_TRADE,
    SCOPE_TRANSFER,
    Number,
    Outputs,
    Tables,
    Truth,
)

OK, MALFORMED, BAD_SIGNATURE = np.int64(Code.OK), np.int64(Code.MALFORMED), np.int64(Code.BAD_SIGNATURE)
EXPIRED, UNKNOWN_ACCOUNT = np.int64(Code.EXPIRED), np.int64(Code.UNKNOWN_ACCOUNT)
NONCE_REUSED, NONCE_TOO_OLD = np.int64(Code.NONCE_REUSED), np.int64(Code.NONCE_TOO_OLD)
NOT_PERMITTED = np.int64(Code.NOT_PERMITTED)
NOBODY, NOTHING = np.int64(-1), np.int64(0)
SPENT = np.int64(DIRTY_LEAF | DIRTY_AUX)
SCOPE_BUILDER = 8
KEY_SCOPES = SCOPE_TRADE | SCOPE_CANCEL | SCOPE_TRANSFER

# Rows of messages and actions as kernels read them: the same bytes without fields that are arrays.
MESSAGE_ROW = np.dtype(
    {
        "names": ["nonce", "expiry_ms", "count"],
        "formats": ["<i8", "<i8", "u1"],
        "offsets": [24, 32, 105],
        "itemsize": MESSAGE.itemsize,
    }
)
ACTION_ROW = np.dtype(
    [("kind", "u1"), ("side", "u1"), ("time_in_force", "u1"), ("flags", "u1"), ("market", "<u4")]
    + [(name, "<i8") for name in ("price_ticks", "size_lots", "client_id", "order_id", "trigger_ticks")]
    + [(name, "<i8") for name in ("display_lots", "good_till_ms", "link", "data_a", "data_b", "data_c")]
)

# By kind: any of these scopes lets a session key do it.
GOVERNANCE = np.int64(1 << 8)
_ADMITTING_SCOPES = np.zeros(256, dtype=np.int64)
_ADMITTING_SCOPES[[PLACE, AMEND, TRIGGER, COMBO, OFFER, ACCEPT, SET_PROTECTION]] = SCOPE_TRADE
_ADMITTING_SCOPES[[CANCEL, CANCEL_ALL, CANCEL_ALL_AFTER]] = SCOPE_TRADE | SCOPE_CANCEL
_ADMITTING_SCOPES[TRANSFER] = SCOPE_TRANSFER
_ADMITTING_SCOPES[[LIST, SET_PARAMETER, DELIST, SET_PHASE]] = GOVERNANCE


def view_actions(actions: np.ndarray) -> np.ndarray:
    """Rows (n,) `ACTION` as (n,) `ACTION_ROW` without a copy."""
    if actions.dtype != ACTION:
        raise ValueError("actions must be (n,) ACTION")
    return np.ascontiguousarray(actions).view(ACTION_ROW)


def encode_addresses(addresses: np.ndarray, tails: np.ndarray | None = None) -> np.ndarray:
    """(n, 20) uint8 addresses and (n,) uint32 subaccounts (default 0) as (n, 3) int64: the key columns of accounts."""
    keys = np.zeros((len(addresses), 24), dtype=np.uint8)
    keys[:, :20] = addresses
    if tails is not None:
        keys[:, 20:] = np.ascontiguousarray(tails.astype(">u4")).view(np.uint8).reshape(-1, 4)
    return keys.view(">i8").astype(np.int64)


def encode_data(intake: Intake) -> np.ndarray:
    """The addresses in the data of a block's actions as (n, 3) key columns; only actions of class 0 have any."""
    if not (intake.classes == CLASS_ACCOUNT).any():
        return np.zeros((len(intake.actions), 3), dtype=np.int64)
    return encode_addresses(intake.actions["data"][:, :20])


@kernel
def find_key(t: Tables, account: Number, key_a: Number, key_b: Number, key_c: Number, is_builder: Truth) -> Number:
    """Row of the account's session key (or builder approval) with this key, expired or not; 0 without one."""
    row = np.int64(t.accounts[account]["session_first"])
    while row != NOTHING:
        session = t.sessions[row]
        is_same = session["key_a"] == key_a and session["key_b"] == key_b and session["key_c"] == key_c
        if is_same and (np.int64(session["scopes"]) == SCOPE_BUILDER) == is_builder:
            return row
        row = np.int64(session["next"])
    return NOTHING


@kernel
def check_nonce(t: Tables, account: Number, nonce: Number) -> Number:
    """Code of ACC-2; the remembered nonces ascend, so the search starts where a new one belongs."""
    count = np.int64(t.accounts[account]["nonce_count"])
    at = count
    while at > 0 and t.nonces[account, at - 1] > nonce:
        at -= 1
    if at > 0 and t.nonces[account, at - 1] == nonce:
        return NONCE_REUSED
    return NONCE_TOO_OLD if at == 0 and count == NONCES_REMEMBERED else OK


@kernel
def spend_nonce(t: Tables, out: Outputs, account: Number, nonce: Number) -> None:
    """Remember a nonce that passed `check_nonce`; a full memory forgets its smallest."""
    count = np.int64(t.accounts[account]["nonce_count"])
    nonces = t.nonces[account]
    if count == NONCES_REMEMBERED:
        for forgotten in range(count - 1):
            nonces[forgotten] = nonces[forgotten + 1]
        count -= 1
    at = count
    while at > 0 and nonces[at - 1] > nonce:
        nonces[at] = nonces[at - 1]
        at -= 1
    nonces[at] = nonce
    t.accounts[account]["nonce_count"] = count + 1
    touch(t, out, account, SPENT)


@kernel
def _find_signer(
    t: Tables, account: Number, key: np.ndarray, signer: np.ndarray, time_ms: Number
) -> tuple[Truth, Number]:
    """Whether somebody who may sign for the account signed, and the row of the session key that did (0: the owner)."""
    if signer[0] == 0 and signer[1] == 0 and signer[2] == 0:
        return False, NOTHING
    if signer[0] == key[0] and signer[1] == key[1] and signer[2] >> 32 == key[2] >> 32:
        return True, NOTHING
    if account == NOBODY:
        return False, NOTHING
    row = find_key(t, account, signer[0], signer[1], signer[2], False)
    return row != NOTHING and time_ms <= t.sessions[row]["expiry_ms"], row


@kernel
def _is_permitted(t: Tables, account: Number, session: Number, action: np.void, data: np.ndarray) -> Truth:
    """ACC-3 for one action: the owner all but governance, the governor nothing else, a key what its scopes admit."""
    needed = _ADMITTING_SCOPES[np.int64(action["kind"])]
    if session == NOTHING:
        return (needed == GOVERNANCE) == (account == GOVERNOR_ACCOUNT)
    if needed & np.int64(t.sessions[session]["scopes"]) == 0:
        return False
    if np.int64(action["kind"]) != TRANSFER or (data[0] == 0 and data[1] == 0 and data[2] == 0):
        return True
    owner = t.accounts[account]
    return data[0] == owner["key_a"] and data[1] == owner["key_b"] and data[2] >> 32 == owner["key_c"] >> 32


@kernel
def _judge_message(
    t: Tables, key: np.ndarray, signer: np.ndarray, message: np.void, time_ms: Number
) -> tuple[Number, Number, Number]:
    """`(code, account, session)` by rules 102 to 204."""
    account = find_account(t, key[0], key[1], key[2])
    is_signed, session = _find_signer(t, account, key, signer, time_ms)
    if not is_signed:
        return BAD_SIGNATURE, account, session
    if time_ms > message["expiry_ms"]:
        return EXPIRED, account, session
    if account == NOBODY:
        return UNKNOWN_ACCOUNT, account, session
    return check_nonce(t, account, message["nonce"]), account, session


@entry_point
def _judge(
    t: Tables, out: Outputs, keys: np.ndarray, signers: np.ndarray, messages: np.ndarray, actions: np.ndarray,
    data: np.ndarray, codes: np.ndarray, accounts: np.ndarray, caps: np.ndarray, time_ms: Number,
) -> None:  # fmt: skip
    """Judge all messages: `codes` (n,) holds 0 or 101 and gets the answers, `accounts` and `caps` (m,) are filled."""
    first = np.int64(0)
    for at in range(messages.shape[0]):
        message = messages[at]
        end = first + np.int64(message["count"])
        code, account, session = _judge_message(t, keys[at], signers[at], message, time_ms)
        for action in range(first, end):
            if codes[action] != OK:
                code = MALFORMED
        for action in range(first, end):
            if code == OK and not _is_permitted(t, account, session, actions[action], data[action]):
                code = NOT_PERMITTED
        if code == OK:
            spend_nonce(t, out, account, message["nonce"])
        codes[first:end] = code
        is_named = code == OK or code >= NONCE_REUSED  # before, the account may be anybody's claim
        accounts[at] = account if is_named else NOBODY
        caps[at] = t.sessions[session]["order_quote_max"] if session != NOTHING else NOTHING
        first = end


def judge_messages(t: Tables, out: Outputs, intake: Intake, time_ms: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Rules 101 to 205 for every message of a block (BLK-3); nonces of those that pass are spent.

    Returns `codes` (n,) int64, one for each action; `accounts` (m,), the account of each message or -1; and `caps`
    (m,) quote, the most that an order of the message may be worth (0: no cap, ACC-4).
    """
    messages = intake.messages
    codes, accounts, caps = intake.codes.copy(), np.empty(len(messages), np.int64), np.empty(len(messages), np.int64)
    _judge(
        t, out, encode_addresses(messages["owner"], messages["subaccount"]), encode_addresses(intake.signers),
        np.ascontiguousarray(messages).view(MESSAGE_ROW), view_actions(intake.actions),
        encode_data(intake), codes, accounts, caps, np.int64(time_ms),
    )  # fmt: skip
    return codes, accounts, caps
