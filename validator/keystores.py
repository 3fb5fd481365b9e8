"""Secrets in files that a passphrase opens: EIP-2335 for the voting key, Ethereum's keystore version 3 for the others.

The formats are those of the staking and wallet tools, so that a backup made here opens there.
"""

import json

from net.keystore import STAKING_VERSION, WALLET_VERSION, Kdf, KeystoreError, decrypt_secret, encrypt_secret
from validator.config import ConfigError

_KDFS: dict[str, Kdf] = {"bls": "scrypt", "network": "pbkdf2", "operator": "scrypt"}


def lock(name: str, secret: bytes, passphrase: str) -> str:
    """The keystore's text. `name`: bls, network or operator."""
    made = encrypt_secret(secret, passphrase, STAKING_VERSION if name == "bls" else WALLET_VERSION, _KDFS[name])
    if name == "bls":
        made["description"] = "Hansa voting key"
    if name == "network":
        made.pop("address", None)  # an ed25519 seed has none
    return json.dumps(made, indent=1) + "\n"


def unlock(text: str, passphrase: str, where: str) -> bytes:
    """The secret. Raises `ConfigError` for a wrong passphrase, and for what is no keystore."""
    try:
        return decrypt_secret(json.loads(text), passphrase, where)
    except KeystoreError as error:
        raise ConfigError(str(error)) from None
    except ValueError as error:
        raise ConfigError(f"{where}: no keystore ({error})") from None
