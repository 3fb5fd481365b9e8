"""Secrets in files that a passphrase opens: EIP-2335 for the voting key, Ethereum's keystore version 3 for the others.

The formats are those of the staking and wallet tools, so that a backup made here opens there.
"""

import json
from typing import Any, Literal

from validator.config import ConfigError

VOTING_VERSION, WALLET_VERSION = 4, 3
# Each file of a voting or operator key takes an attacker 256 MiB and a second of work for every guess.
_KDFS: dict[str, Literal["scrypt", "pbkdf2"]] = {"bls": "scrypt", "network": "pbkdf2", "operator": "scrypt"}


def lock(name: str, secret: bytes, passphrase: str) -> str:
    """The keystore's text. `name`: bls, network or operator."""
    from eth_keyfile.keyfile import create_keyfile_json  # two thirds of a second that plain keys need not cost

    version = VOTING_VERSION if name == "bls" else WALLET_VERSION
    made: dict[str, Any] = dict(create_keyfile_json(secret, passphrase.encode(), version=version, kdf=_KDFS[name]))
    if name == "bls":
        made["description"] = "Hansa voting key"
    if name == "network":
        made.pop("address", None)  # an ed25519 seed has none
    return json.dumps(made, indent=1) + "\n"


def unlock(text: str, passphrase: str, where: str) -> bytes:
    """The secret. Raises `ConfigError` for a wrong passphrase, and for what is no keystore."""
    from eth_keyfile.keyfile import decode_keyfile_json

    try:
        made = json.loads(text)
        return bytes(decode_keyfile_json(made, passphrase.encode()))
    except ValueError as error:
        is_mismatch = "mismatch" in str(error).lower() or "checksum" in str(error).lower()
        reason = "another passphrase locked it" if is_mismatch else f"no keystore ({error})"
        raise ConfigError(f"{where}: {reason}") from None
    except (KeyError, TypeError, AttributeError, NotImplementedError) as error:
        raise ConfigError(f"{where}: no keystore ({error!r})") from None
