"""Keys on disk, opened with a passphrase: JSON of Ethereum wallets (version 3) and staking tools (4, EIP-2335)."""

import json
import os
from pathlib import Path
from typing import Any, Literal

SECRET_BYTES = 32
WALLET_VERSION, STAKING_VERSION = 3, 4
Kdf = Literal["scrypt", "pbkdf2"]


class KeystoreError(Exception):
    """A keystore that cannot be opened or written; the message names the file."""


def encrypt_secret(
    secret: bytes, passphrase: str, version: int = WALLET_VERSION, kdf: Kdf = "pbkdf2"
) -> dict[str, Any]:
    """The JSON of one secret. `kdf`: what a guess at the passphrase costs, scrypt a second and 256 MiB."""
    from eth_keyfile.keyfile import create_keyfile_json  # slow to import, and needed at start only

    return dict(create_keyfile_json(secret, passphrase.encode(), version=version, kdf=kdf))


def decrypt_secret(shown: dict[str, Any], passphrase: str, where: Path | str) -> bytes:
    """Raises `KeystoreError`."""
    from eth_keyfile.exceptions import EthKeyfileException
    from eth_keyfile.keyfile import decode_keyfile_json

    try:
        secret = bytes(decode_keyfile_json(shown, passphrase.encode()))
    except (EthKeyfileException, ValueError, KeyError, TypeError, AttributeError) as error:
        is_mismatch = "mismatch" in str(error).lower()
        reason = "another passphrase locked it" if is_mismatch else f"no keystore ({error!r})"
        raise KeystoreError(f"{where}: {reason}") from None
    if len(secret) != SECRET_BYTES:
        raise KeystoreError(f"{where}: no key of {SECRET_BYTES} bytes")
    return secret


def load_secret(path: Path, passphrase: str) -> bytes:
    """The key of a keystore file. Raises `KeystoreError`."""
    return decrypt_secret(read_json(path), passphrase, path)


def save_secret(path: Path, secret: bytes, passphrase: str) -> None:
    """A new keystore file. Raises `KeystoreError` if there is one already: a key is never overwritten."""
    if path.exists():
        raise KeystoreError(f"{path} exists already; keys are not overwritten")
    write_json(path, encrypt_secret(secret, passphrase))


def read_json(path: Path) -> dict[str, Any]:
    """Raises `KeystoreError`."""
    try:
        shown = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise KeystoreError(f"{path}: {error}") from None
    if not isinstance(shown, dict):
        raise KeystoreError(f"{path} is no JSON object")
    return shown


def write_json(path: Path, content: dict[str, Any]) -> None:
    """Whole before it has its name, readable by its owner only. Raises `KeystoreError`."""
    aside = path.with_name(path.name + ".partial")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            json.dump(content, file, indent=2)
            file.flush()
            os.fsync(file.fileno())
        os.replace(aside, path)
    except OSError as error:
        raise KeystoreError(f"{path}: {error}") from None
