"""The three secrets of a validator, one file each, readable by the owner alone: a keystore that a passphrase opens
(`bls.json`), or 64 hexadecimal digits (`bls.key`) as local networks have them.
"""

import json
import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from consensus.crypto import KEY_BYTES, derive_public_key
from validator import keystores
from validator.config import ConfigError
from validator.passphrase import find_passphrase

NAMES = ("bls", "network", "operator")


@dataclass(frozen=True, slots=True)
class Keys:
    """`bls` votes (None: a process of its own holds it), `network` (ed25519 seed) is the libp2p identity, `operator`
    (secp256k1) pays gas on the settlement chain.
    """

    bls: bytes | None
    network: bytes
    operator: bytes

    def __repr__(self) -> str:
        return "Keys(...)"

    def voting_secret(self) -> bytes:
        """`bls`, where it is here. Raises `ConfigError`."""
        if self.bls is None:
            raise ConfigError("the voting key is with the signer that config.toml names")
        return self.bls


def load_keys(folder: Path, passphrase: str | None = None, *, has_voting_key: bool = True) -> Keys:
    """Read the three key files; asks for the passphrase once, if there are keystores among them and it is not given.
    Without a voting key there must be none: one key in two places is how a validator contradicts itself. Raises
    `ConfigError` naming the file that is missing or malformed.
    """
    if has_voting_key:
        return Keys(**_load_all(folder, NAMES, passphrase))
    for ending in (".key", ".json"):
        if (folder / f"bls{ending}").exists():
            raise ConfigError(
                f"config.toml says that a signer holds the voting key, but {folder}/bls{ending} is here, too: "
                'move it there with `hansa signer take`, or write signer = "inside"'
            )
    return Keys(None, **_load_all(folder, NAMES[1:], passphrase))


def load_voting_key(folder: Path, passphrase: str | None = None) -> bytes:
    """As `load_keys`, of the folder of a signer."""
    return _load_all(folder, NAMES[:1], passphrase)["bls"]


def load_operator_key(folder: Path, passphrase: str | None = None) -> bytes:
    """As `load_keys`, of the operator's account alone."""
    return _load_all(folder, NAMES[2:], passphrase)["operator"]


def read_key_file(path: Path, passphrase: str | None = None) -> bytes:
    """A secret by itself: a keystore, or 64 hexadecimal digits. Raises `ConfigError`."""
    text = _read(path)
    if not text.lstrip().startswith("{"):
        return _load(path)
    return keystores.unlock(text, find_passphrase(str(path)) if passphrase is None else passphrase, str(path))


def read_public_voting_key(folder: Path) -> bytes:
    """Without a passphrase: a keystore names it. Raises `ConfigError`."""
    keystore = folder / "bls.json"
    if not keystore.exists():
        return derive_public_key(_load(folder / "bls.key"))
    try:
        key = bytes.fromhex(json.loads(_read(keystore))["pubkey"])
    except (ValueError, KeyError, TypeError):
        key = b""
    if len(key) != KEY_BYTES:
        raise ConfigError(f"{keystore} names no public key: restore it from your backup")
    return key


def copy_voting_key(folder: Path, to: Path) -> None:
    """As it is, locked or not; one that is there already is kept. Durable when it returns."""
    if any((to / f"bls{ending}").exists() for ending in (".key", ".json")):
        return
    to.mkdir(parents=True, exist_ok=True, mode=0o700)
    name = "bls.json" if (folder / "bls.json").exists() else "bls.key"
    _write(to / name, _read(folder / name))


def drop_voting_key(folder: Path) -> None:
    """For good: it is elsewhere now."""
    for ending in (".key", ".json"):
        (folder / f"bls{ending}").unlink(missing_ok=True)


def save_keys(folder: Path, keys: Keys, passphrase: str | None = None) -> None:
    """Write the three key files, as keystores if there is a passphrase; never overwrites one that exists."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in NAMES:
        secret: bytes | None = getattr(keys, name)
        if secret is None:
            continue
        if passphrase is None:
            _write(folder / f"{name}.key", secret.hex() + "\n")
        else:
            _write(folder / f"{name}.json", keystores.lock(name, secret, passphrase))


def _load_all(folder: Path, names: tuple[str, ...], passphrase: str | None) -> dict[str, bytes]:
    locked = {name: _read(folder / f"{name}.json") for name in names if (folder / f"{name}.json").exists()}
    for name in locked:
        if (folder / f"{name}.key").exists():
            raise ConfigError(f"{folder} holds both {name}.json and {name}.key: move away the one that is not yours")
    opened: dict[str, bytes] = {}
    if locked:
        phrase = find_passphrase(f"the keystores in {folder}") if passphrase is None else passphrase
        with ThreadPoolExecutor() as pool:  # each is made to take a second
            opened = dict(zip(locked, pool.map(lambda name: _unlock(folder, name, locked[name], phrase), locked)))
    return {name: opened[name] if name in opened else _load(folder / f"{name}.key") for name in names}


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
        secret = bytes.fromhex(text.strip().removeprefix("0x"))
    except ValueError:
        secret = b""
    if len(secret) != 32:
        raise ConfigError(f"{path} must hold 64 hexadecimal digits")
    return secret
