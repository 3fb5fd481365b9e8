"""What an account has decided about itself, read from the engine's tables: keys, protection, switch, nonces, offers."""

from collections.abc import Iterator

import numpy as np

from engine import views
from engine.authority import SCOPE_BUILDER
from engine.commands import NO_SIGNER, Command
from engine.inbox import encode_key
from engine.limits import NONCES_REMEMBERED
from engine.state import EngineState
from engine.tables import ACCOUNT_COUNT, OFFERS_USED, USER_ACCOUNT_FIRST
from net.gateway.account_data import (
    BuilderView,
    Judgement,
    OfferView,
    ProtectionView,
    SessionKeyView,
    SettingsView,
)
from validator.prechecks import account_key, precheck

_PROTECTION_FIELDS = (
    "window_ms", "freeze_ms", "quote_max", "delta_quote_max", "vega_quote_max", "window_start_ms", "quote_sum",
    "delta_quote_sum", "vega_quote_sum", "frozen_until_ms",
)  # fmt: skip


def list_subaccounts(state: EngineState, owner: bytes) -> list[int]:
    """Numbers of an owner's subaccounts, ascending."""
    key_a, key_b, key_c = encode_key(owner, 0)
    rows = state.tables.accounts[: int(state.tables.counters[ACCOUNT_COUNT])]
    is_own = (rows["key_a"] == key_a) & (rows["key_b"] == key_b) & (rows["key_c"] >> 32 == key_c >> 32)
    found = [int(at) for at in np.flatnonzero(is_own) if at >= USER_ACCOUNT_FIRST]
    return sorted(account_key(state, at)[1] for at in found)


def _list_session_rows(state: EngineState, account: int) -> Iterator[np.void]:
    row = int(state.tables.accounts[account]["session_first"])
    while row:
        yield state.tables.sessions[row]
        row = int(state.tables.sessions[row]["next"])


def _read_session_key(row: np.void) -> tuple[bytes, int]:
    key = b"".join(int(row[name]).to_bytes(8, "big", signed=True) for name in ("key_a", "key_b", "key_c"))
    return key[:20], int.from_bytes(key[20:], "big")


def read_settings(state: EngineState, owner: bytes, subaccount: int, time_ms: int) -> SettingsView | None:
    """None for an account that does not exist."""
    account = views.find_account(state, owner, subaccount)
    if account is None:
        return None
    row = state.tables.accounts[account]
    keys, builders = [], []
    for session in _list_session_rows(state, account):
        key, number = _read_session_key(session)
        if int(session["scopes"]) == SCOPE_BUILDER:
            builders.append(BuilderView(key, number, int(session["order_quote_max"])))
        else:
            scopes, until_ms = int(session["scopes"]), int(session["expiry_ms"])
            keys.append(SessionKeyView(key, scopes, until_ms, int(session["order_quote_max"])))
    referrer = int(row["referrer"])
    count = int(row["nonce_count"])
    return SettingsView(
        height=state.height, time_ms=time_ms, mode=int(row["mode"]), cancel_at_ms=int(row["cancel_at_ms"]),
        keys=tuple(keys), builders=tuple(builders), referrer=account_key(state, referrer) if referrer else None,
        protection=_read_protection(state, int(row["protection"])),
        nonces=tuple(state.tables.nonces[account, :count].tolist()),
    )  # fmt: skip


def _read_protection(state: EngineState, row: int) -> ProtectionView | None:
    protection = state.tables.protections[row]
    if not row or not protection["is_live"]:
        return None
    return ProtectionView(*(int(protection[name]) for name in _PROTECTION_FIELDS))


def list_offers(state: EngineState) -> list[OfferView]:
    """All that are live, oldest first."""
    offers = state.tables.offers[: int(state.tables.counters[OFFERS_USED])]
    found = offers[offers["is_live"] != 0]
    return [_read_offer(state, row) for row in found[np.argsort(found["order_id"])]]


def _read_offer(state: EngineState, row: np.void) -> OfferView:
    owner, subaccount = account_key(state, int(row["account"]))
    counterparty = int(row["counterparty"])
    return OfferView(
        offer_id=int(row["order_id"]), client_id=int(row["client_id"]), market=int(row["market"]),
        side=int(row["side"]), price_ticks=int(row["price_ticks"]), size_lots=int(row["size_lots"]), owner=owner,
        subaccount=subaccount, counterparty=account_key(state, counterparty) if counterparty else None,
        created_ms=int(row["placed_ms"]), good_till_ms=int(row["good_till_ms"]),
    )  # fmt: skip


def judge(state: EngineState, command: Command, signer: bytes, time_ms: int) -> Judgement:
    """By the rules that need no book and no margin."""
    settings = read_settings(state, command.owner, command.subaccount, time_ms)
    role, scopes = _find_role(settings, command, signer, time_ms)
    code = precheck(state, command, time_ms)
    return Judgement(
        height=state.height, time_ms=time_ms, signer_role=role, scopes=scopes,
        nonce_state=_judge_nonce(settings, command.nonce), is_expired=command.expiry_ms < time_ms, code=code,
    )  # fmt: skip


def _find_role(settings: SettingsView | None, command: Command, signer: bytes, time_ms: int) -> tuple[str, int]:
    if signer == NO_SIGNER:
        return "nobody", 0
    if signer == command.owner:
        return "owner", 0
    for key in settings.keys if settings else ():
        if key.key == signer:
            return "session_key" if key.valid_until_ms >= time_ms else "expired_session_key", key.scopes
    return "stranger", 0


def _judge_nonce(settings: SettingsView | None, nonce: int) -> str:
    if settings is None:
        return "unknown_account"
    if nonce in settings.nonces:
        return "spent"
    is_too_old = len(settings.nonces) == NONCES_REMEMBERED and nonce < settings.nonces[0]
    return "too_old" if is_too_old else "fresh"
