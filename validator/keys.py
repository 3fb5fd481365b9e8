"""The three secrets of a validator, one file each, 64 hexadecimal digits, readable by the owner alone."""

import os
from dataclasses import dataclass
from pathlib import Path

from validator.config import ConfigError

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


def load_keys(folder: Path) -> Keys:
    """Read the three key files. Raises `ConfigError` naming the file that is missing or malformed."""
    return Keys(*(_load(folder / f"{name}.key") for name in NAMES))


def save_keys(folder: Path, keys: Keys) -> None:
    """Write the three key files; never overwrites one that exists."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in NAMES:
        descriptor = os.open(folder / f"{name}.key", os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w") as handle:
            handle.write(getattr(keys, name).hex() + "\n")


def _load(path: Path) -> bytes:
    try:
        secret = bytes.fromhex(path.read_text().strip())
    except FileNotFoundError:
        raise ConfigError(f"{path} is missing: restore it from your backup") from None
    except ValueError:
        secret = b""
    if len(secret) != 32:
        raise ConfigError(f"{path} must hold 64 hexadecimal digits")
    return secret
