"""Logins as Deribit's clients make them: `public/auth`, bearer tokens, and the signed header of each HTTP request."""

import re
import time

from net.gateway.errors import MISSING_PARAM, UNKNOWN_VALUE, ApiError
from net.gateway.params import I64_MAX, Params
from net.trader.api_keys import Grant, Logins
from net.trader.faults import FORBIDDEN, INVALID_CREDENTIALS, UNAUTHORIZED
from net.trader.scopes import ScopeError, is_enough, needed_for

_GRANT_TYPES = {name: name for name in ("client_credentials", "client_signature", "refresh_token")}
_HEADER = re.compile(r"deri-hmac-sha256\s+(.*)", re.IGNORECASE | re.ASCII | re.DOTALL)
_SHOWN_CHARS = 50


class Access:
    """Who somebody is, and whether he may."""

    def __init__(self, logins: Logins) -> None:
        self._logins = logins

    def log_in(self, params: Params) -> Grant:
        """The parameters of `public/auth`. Raises `ApiError`."""
        kind = params.choice("grant_type", _GRANT_TYPES)
        now_ms = _now_ms()
        try:
            if kind == "client_credentials":
                grant = self._logins.by_secret(
                    params.text("client_id"), params.text("client_secret"), params.text("scope", ""), now_ms
                )
            elif kind == "refresh_token":
                grant = self._logins.refresh(params.text("refresh_token"), now_ms)
            else:
                grant = self._logins.by_signature(
                    params.text("client_id"), params.integer("timestamp", 0, I64_MAX), params.text("nonce", ""),
                    params.text("data", ""), params.text("signature"), params.text("scope", ""), now_ms,
                )  # fmt: skip
        except ScopeError as error:
            raise ApiError(UNKNOWN_VALUE, "scope", str(error)) from None
        if grant is None:
            raise ApiError(INVALID_CREDENTIALS)
        return grant

    def of_params(self, params: dict[str, object]) -> Grant | None:
        """The login that an `access_token` among the parameters stands for. Raises `ApiError` for one that is none."""
        token = params.get("access_token")
        return self._by_token(token) if isinstance(token, str) else None

    def of_header(self, header: str | None, method: str, uri: str, body: str, is_write: bool) -> Grant | None:
        """The login of an HTTP request; None without an Authorization header. Raises `ApiError` for a wrong one."""
        if not header:
            return None
        scheme, _, rest = header.partition(" ")
        if scheme.lower() == "bearer":
            return self._by_token(rest.strip())
        match = _HEADER.fullmatch(header)
        if match is None:
            raise ApiError(UNAUTHORIZED, "Authorization", f"{scheme[:_SHOWN_CHARS]!r} is no scheme of this gateway")
        fields = {name.strip(): value.strip() for name, _, value in (p.partition("=") for p in match[1].split(","))}
        missing = [name for name in ("id", "ts", "sig", "nonce") if not fields.get(name)]
        if missing:
            raise ApiError(MISSING_PARAM, "Authorization", f"the header lacks {', '.join(missing)}")
        timestamp_ms = Params(fields).integer("ts", 0, I64_MAX)
        request = f"{method}\n{uri}\n{body}\n"
        grant = self._logins.by_request(
            fields["id"], timestamp_ms, fields["nonce"], request, fields["sig"], is_write, _now_ms()
        )
        if grant is None:
            raise ApiError(UNAUTHORIZED)
        return grant

    def check(self, grant: Grant | None, method: str, is_signed: bool) -> None:
        """Raises `ApiError` for a private method that the login does not allow. The login of a connection lasts as long
        as the connection; tokens are judged where they are read.
        """
        if grant is None:
            raise ApiError(UNAUTHORIZED)
        needed = needed_for(method, is_signed)
        if needed is not None:
            self.check_level(grant, needed)

    def check_level(self, grant: Grant | None, needed: tuple[str, str]) -> None:
        """Raises `ApiError` for an area that the login does not open so far."""
        if grant is None:
            raise ApiError(UNAUTHORIZED)
        if not is_enough(grant.levels, needed):
            raise ApiError(FORBIDDEN, hint=f"the API key has no scope {needed[0]}:{needed[1]}")

    def forget(self, grant: Grant) -> None:
        self._logins.forget(grant)

    def _by_token(self, token: str) -> Grant:
        grant = self._logins.by_token(token, _now_ms())
        if grant is None:
            raise ApiError(UNAUTHORIZED, "access_token", "unknown, or expired: log in again, or use the refresh_token")
        return grant


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
