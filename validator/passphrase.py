"""The passphrase of a validator's keystores: from a file, the service manager, or whoever sits at the terminal.

Never from an argument or an environment variable, which other users of the machine and crash reports can see.
"""

import getpass
import os
import sys
from pathlib import Path

from validator.config import ConfigError

FILE_VARIABLE = "HANSA_PASSPHRASE_FILE"
CREDENTIAL = "hansa-passphrase"  # of systemd's LoadCredential=
CHARS_MIN = 12


def find_passphrase(what: str) -> str:
    """To open `what`. Raises `ConfigError` when there is nowhere to ask."""
    path = _find_file()
    if path is not None:
        return read_passphrase(path)
    if sys.stdin.isatty():
        return getpass.getpass(f"passphrase of {what}: ")
    raise ConfigError(
        f"{what} is locked: put its passphrase into a file that only you may read and name that in {FILE_VARIABLE}, "
        f"hand it over as the systemd credential {CREDENTIAL}, or start from a terminal"
    )


def choose_passphrase(what: str) -> str:
    """For a new `what`: as `find_passphrase`, but typed twice, and long enough."""
    path = _find_file()
    if path is not None:
        passphrase = read_passphrase(path)
    elif sys.stdin.isatty():
        passphrase = getpass.getpass(f"new passphrase for {what}: ")
        if getpass.getpass("the same again: ") != passphrase:
            raise ConfigError("the two passphrases differ: nothing was written")
    else:
        return find_passphrase(what)
    if len(passphrase) < CHARS_MIN:
        raise ConfigError(f"the passphrase has {len(passphrase)} characters: use at least {CHARS_MIN}")
    return passphrase


def read_passphrase(path: Path) -> str:
    """The first line of a file. Raises `ConfigError` if others may read it."""
    try:
        if path.stat().st_mode & 0o077:
            raise ConfigError(f"{path} can be read by others: chmod 600 {path}")
        lines = path.read_text().splitlines()
    except OSError as error:
        raise ConfigError(f"{path} cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise ConfigError(f"{path} is no text") from None
    if not lines or not lines[0]:
        raise ConfigError(f"{path} is empty: its first line is the passphrase")
    return lines[0]


def _find_file() -> Path | None:
    named = os.environ.get(FILE_VARIABLE)
    if named:
        return Path(named)
    handed = Path(os.environ.get("CREDENTIALS_DIRECTORY", "")) / CREDENTIAL
    return handed if "CREDENTIALS_DIRECTORY" in os.environ and handed.exists() else None
