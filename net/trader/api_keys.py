"""API keys that this machine generated for its own clients, and the logins they allow.

No secret is on disk. `api_keys.json` holds names and scopes, and one random master secret encrypted under the
passphrase; the secret of a key is the HMAC of its id. Whoever reads the file can do nothing with it, and removing a
key's entry ends it.
"""

import base64
import hashlib
import hmac
import secrets
from collections import OrderedDict
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from net.keystore import SECRET_BYTES, KeystoreError, decrypt_secret, encrypt_secret, read_json, write_json
from net.trader.scopes import narrow, parse_scope

ACCESS_S, REFRESH_S = 900, 7 * 86_400
CLOCK_MS_MAX = 60_000  # a signed login is as old at most, and as new
_TOKENS_MAX = 4096
_SIGNATURES_MAX = 100_000


@dataclass(frozen=True, slots=True)
class ApiKey:
    """One entry of the file."""

    client_id: str
    name: str
    scope: str
    created_ms: int


@dataclass(frozen=True, slots=True)
class Grant:
    """What a login allows, until `until_ms`."""

    client_id: str
    levels: dict[str, str]
    until_ms: int
    access_token: str = ""
    refresh_token: str = ""


class KeyRing:
    """The keys of one gateway's folder, opened with the passphrase."""

    def __init__(self, path: Path, master: bytes) -> None:
        self._path = path
        self._master = master
        self._keys: dict[str, ApiKey] = {}
        self._read_at_ns = 0

    @property
    def keys(self) -> dict[str, ApiKey]:
        """As the file has them now: another process may add and remove keys while the gateway runs."""
        written_at_ns = self._path.stat().st_mtime_ns
        if written_at_ns != self._read_at_ns:
            self._keys, self._read_at_ns = _read_keys(self._path, read_json(self._path)), written_at_ns
        return self._keys

    @classmethod
    def open(cls, path: Path, passphrase: str) -> "KeyRing":
        """Makes the file if there is none. Raises `KeystoreError`."""
        if not path.exists():
            master = secrets.token_bytes(SECRET_BYTES)
            write_json(path, {"master": encrypt_secret(master, passphrase), "keys": []})
            return cls(path, master)
        content = read_json(path)
        _read_keys(path, content)
        return cls(path, decrypt_secret(content.get("master", {}), passphrase, path))

    @staticmethod
    def read(path: Path) -> list[ApiKey]:
        """What the file says; none without a file. Raises `KeystoreError`."""
        return list(_read_keys(path, read_json(path)).values()) if path.exists() else []

    def add(self, name: str, scope: str, now_ms: int) -> tuple[ApiKey, str]:
        """A new key and its secret. Raises `ScopeError`, `KeystoreError`."""
        parse_scope(scope)
        key = ApiKey(secrets.token_urlsafe(6), name, scope, now_ms)
        self._save(self.keys | {key.client_id: key})
        return key, self.secret(key.client_id)

    def remove(self, client_id: str) -> bool:
        """Whether there was such a key."""
        if client_id not in self.keys:
            return False
        self._save({name: key for name, key in self.keys.items() if name != client_id})
        return True

    def secret(self, client_id: str) -> str:
        digest = hmac.digest(self._master, b"hansa gateway API key " + client_id.encode(), "sha256")
        return base64.urlsafe_b64encode(digest).decode().rstrip("=")

    def _save(self, keys: dict[str, ApiKey]) -> None:
        content = read_json(self._path)
        write_json(self._path, content | {"keys": [asdict(key) for key in keys.values()]})


def _read_keys(path: Path, content: dict[str, Any]) -> dict[str, ApiKey]:
    try:
        return {row["client_id"]: ApiKey(**row) for row in content["keys"]}
    except (KeyError, TypeError) as error:
        raise KeystoreError(f"{path} is no file of API keys: {error!r}") from None


class Logins:
    """Checks credentials and keeps what was granted, in memory only: a restart ends every token."""

    def __init__(self, ring: KeyRing) -> None:
        self._ring = ring
        self._by_access: OrderedDict[str, Grant] = OrderedDict()
        self._by_refresh: OrderedDict[str, Grant] = OrderedDict()
        self._used: OrderedDict[tuple[str, str], None] = OrderedDict()

    def by_secret(self, client_id: str, secret: str, wanted_scope: str, now_ms: int) -> Grant | None:
        """Deribit's client_credentials."""
        if not self._is_secret(client_id, secret):
            return None
        return self._grant(client_id, wanted_scope, now_ms)

    def by_signature(
        self, client_id: str, timestamp_ms: int, nonce: str, data: str, signature: str, wanted_scope: str, now_ms: int
    ) -> Grant | None:
        """Deribit's client_signature: HMAC-SHA256 over the time, the nonce and the data, a line each. Once each."""
        text = f"{timestamp_ms}\n{nonce}\n{data}"
        if not self._is_signed(client_id, timestamp_ms, text, signature, now_ms):
            return None
        return self._grant(client_id, wanted_scope, now_ms) if self._is_first_use(client_id, signature) else None

    def by_request(
        self, client_id: str, timestamp_ms: int, nonce: str, request: str, signature: str, is_write: bool, now_ms: int
    ) -> Grant | None:
        """Deribit's `deri-hmac-sha256` header; `request` is METHOD, URI and body, a line each. A write counts once."""
        text = f"{timestamp_ms}\n{nonce}\n{request}"
        if not self._is_signed(client_id, timestamp_ms, text, signature, now_ms):
            return None
        if is_write and not self._is_first_use(client_id, signature):
            return None
        return Grant(client_id, parse_scope(self._ring.keys[client_id].scope), now_ms)

    def by_token(self, access_token: str, now_ms: int) -> Grant | None:
        grant = self._by_access.get(access_token)
        return grant if grant is not None and now_ms <= grant.until_ms and self._is_known(grant.client_id) else None

    def refresh(self, refresh_token: str, now_ms: int) -> Grant | None:
        """New tokens for old; the old ones end."""
        old = self._by_refresh.get(refresh_token)
        if old is None or now_ms > old.until_ms + (REFRESH_S - ACCESS_S) * 1000 or not self._is_known(old.client_id):
            return None
        self.forget(old)
        return self._issue(old.client_id, old.levels, now_ms)

    def forget(self, grant: Grant) -> None:
        """Ends its tokens."""
        self._by_access.pop(grant.access_token, None)
        self._by_refresh.pop(grant.refresh_token, None)

    def _is_known(self, client_id: str) -> bool:
        return client_id in self._ring.keys

    def _is_secret(self, client_id: str, secret: str) -> bool:
        return self._is_known(client_id) and hmac.compare_digest(
            self._ring.secret(client_id).encode(), secret.encode("utf-8", "surrogatepass")
        )

    def _is_signed(self, client_id: str, timestamp_ms: int, text: str, signature: str, now_ms: int) -> bool:
        if not self._is_known(client_id) or abs(now_ms - timestamp_ms) > CLOCK_MS_MAX:
            return False
        right = hmac.new(self._ring.secret(client_id).encode(), text.encode("utf-8", "surrogatepass"), hashlib.sha256)
        return hmac.compare_digest(right.hexdigest().encode(), signature.lower().encode("utf-8", "surrogatepass"))

    def _is_first_use(self, client_id: str, signature: str) -> bool:
        name = (client_id, signature.lower())
        if name in self._used:
            return False
        self._used[name] = None
        if len(self._used) > _SIGNATURES_MAX:  # far more than a minute of them
            self._used.popitem(last=False)
        return True

    def _grant(self, client_id: str, wanted_scope: str, now_ms: int) -> Grant:
        granted = parse_scope(self._ring.keys[client_id].scope)
        return self._issue(client_id, narrow(granted, parse_scope(wanted_scope)), now_ms)

    def _issue(self, client_id: str, levels: dict[str, str], now_ms: int) -> Grant:
        access, renewal = secrets.token_urlsafe(32), secrets.token_urlsafe(32)
        grant = Grant(client_id, levels, now_ms + ACCESS_S * 1000, access, renewal)
        self._by_access[access] = self._by_refresh[renewal] = grant
        for tokens in (self._by_access, self._by_refresh):
            if len(tokens) > _TOKENS_MAX:
                tokens.popitem(last=False)
        return grant
