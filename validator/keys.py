"""The three secrets of a validator, one file each, readable by the owner alone: a keystore that a passphrase opens
(`bls.json`), or 64 hexadecimal digits (`bls.key`) as local networks have them.
"""

import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from validator import keystores
from validator.config import ConfigError
from validator.passphrase import find_passphrase

NAMES = ("bls", "network", "operator")


@dataclass(frozen=True, slots=True)
class Keys:
    """`bls` votes, `network` (ed25519 seed) is the libp2p identity, `operator` (secp256k1) pays gas on the settlement
    chain.
    """

    bls: bytes
    network: bytes
    operator: bytes

    def __repr__(self) -> str:
        return "Keys(...)"


def load_keys(folder: Path, passphrase: str | None = None) -> Keys:
    """Read the three key files; asks for the passphrase once, if there are keystores among them and it is not given.
    Raises `ConfigError` naming the file that is missing or malformed.
    """
    locked = {name: _read(folder / f"{name}.json") for name in NAMES if (folder / f"{name}.json").exists()}
    for name in locked:
        if (folder / f"{name}.key").exists():
            raise ConfigError(f"{folder} holds both {name}.json and {name}.key: move away the one that is not yours")
    if not locked:
        return Keys(*(_load(folder / f"{name}.key") for name in NAMES))
    phrase = find_passphrase(f"the keystores in {folder}") if passphrase is None else passphrase
    with ThreadPoolExecutor() as pool:  # each is made to take a second
        opened = dict(zip(locked, pool.map(lambda name: _unlock(folder, name, locked[name], phrase), locked)))
    return Keys(*(opened[name] if name in opened else _load(folder / f"{name}.key") for name in NAMES))


def save_keys(folder: Path, keys: Keys, passphrase: str | None = None) -> None:
    """Write the three key files, as keystores if there is a passphrase; never overwrites one that exists."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in NAMES:
        secret: bytes = getattr(keys, name)
        if passphrase is None:
            _write(folder / f"{name}.key", secret.hex() + "\n")
        else:
            _write(folder / f"{name}.json", keystores.lock(name, secret, passphrase))


def has_keys(folder: Path) -> bool:
    """Whether there is any key file, whole or not."""
    return any((folder / f"{name}{ending}").exists() for name in NAMES for ending in (".key", ".json"))


def _write(path: Path, text: str) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w") as handle:
        handle.write(text)
        handle.flush()
        os.fsync(handle.fileno())


def _unlock(folder: Path, name: str, text: str, passphrase: str) -> bytes:
    return keystores.unlock(text, passphrase, str(folder / f"{name}.json"))


def _read(path: Path) -> str:
    try:
        return path.read_text()
    except FileNotFoundError:
        raise ConfigError(f"{path} is missing: restore it from your backup") from None
    except UnicodeDecodeError:
        raise ConfigError(f"{path} is no text: restore it from your backup") from None


def _load(path: Path) -> bytes:
    text = _read(path)
    try:
        secret = bytes.fromhex(text.strip())
    except ValueError:
        secret = b""
    if len(secret) != 32:
        raise ConfigError(f"{path} must hold 64 hexadecimal digits")
    return secret
