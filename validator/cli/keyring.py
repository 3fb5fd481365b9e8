"""A trader's keys on disk: Ethereum keystore files (version 3) in one folder, as every wallet reads and writes them."""

import json
import os
import re
from pathlib import Path
from typing import Any

from validator.cli.terms import UsageError
from validator.keystores import lock, unlock
from validator.passphrase import choose_passphrase, find_passphrase

FOLDER_VARIABLE = "HANSA_KEYS"
DEFAULT_FOLDER = "~/.hansa/keys"
_NAME = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._-]{0,63}")


def keys_folder() -> Path:
    return Path(os.environ.get(FOLDER_VARIABLE) or DEFAULT_FOLDER).expanduser()


def list_keys() -> dict[str, str]:
    """Addresses by name."""
    return {path.stem: read_address(path) for path in sorted(keys_folder().glob("*.json"))}


def find_file(name_or_file: str) -> Path:
    """A file that is there, or the key of that name. Raises `UsageError`."""
    named = keys_folder() / f"{name_or_file}.json"
    given = Path(name_or_file).expanduser()
    if _NAME.fullmatch(name_or_file) and named.exists():
        return named
    if given.is_file():
        return given
    known = ", ".join(list_keys()) or "none"
    raise UsageError(f"no key {name_or_file}: there is no such file, and the names in {keys_folder()} are: {known}")


def read_address(path: Path) -> str:
    """Without the passphrase. Raises `UsageError` for what is no keystore."""
    try:
        made: dict[str, Any] = json.loads(path.read_text())
        return "0x" + str(made["address"]).removeprefix("0x").lower()
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UsageError(f"{path} is no keystore of a wallet: {error!r}") from None


def open_key(name_or_file: str) -> str:
    """The secret in hexadecimal; asks for the passphrase (or HANSA_PASSPHRASE_FILE)."""
    path = find_file(name_or_file)
    return "0x" + unlock(path.read_text(), find_passphrase(str(path)), str(path)).hex()


def save_key(name: str, secret: bytes) -> Path:
    """Locked by a passphrase that is asked for, readable by the owner alone; never over another one."""
    if not _NAME.fullmatch(name):
        raise UsageError(f"{name!r} is no name for a key: letters, digits, dot, dash and underscore")
    folder = keys_folder()
    path = folder / f"{name}.json"
    if path.exists():
        raise UsageError(f"{path} exists and stays: choose another name")
    text = lock("operator", secret, choose_passphrase(str(path)))
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    return path
