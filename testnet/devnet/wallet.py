"""The accounts of the well-known test mnemonic, which anvil and Hardhat fund, too: the same keys, the same addresses.

Seeds by BIP-39 (PBKDF2 over the words), keys by BIP-32 along m/44'/60'/0'/0/i (BIP-44, Ethereum). Written out here
because the library that does it takes longer to import than the whole devnet to start.
"""

import hashlib
import hmac
from dataclasses import dataclass

from coincurve import PrivateKey

from engine.commands import address_of

MNEMONIC = "test test test test test test test test test test test junk"
HARDENED = 1 << 31
PATH = (44 + HARDENED, 60 + HARDENED, HARDENED, 0)
BIP39_ROUNDS = 2048


@dataclass(frozen=True, slots=True)
class Wallet:
    """One account of the mnemonic."""

    number: int
    key: bytes
    address: bytes

    @property
    def key_text(self) -> str:
        return "0x" + self.key.hex()

    @property
    def address_text(self) -> str:
        return "0x" + self.address.hex()


def derive_wallets(first: int, count: int) -> list[Wallet]:
    """Accounts `first` to `first + count - 1`."""
    words = hashlib.pbkdf2_hmac("sha512", MNEMONIC.encode(), b"mnemonic", BIP39_ROUNDS)
    key, chain_code = _split(hmac.digest(b"Bitcoin seed", words, "sha512"))
    for index in PATH:
        key, chain_code = _derive_child(key, chain_code, index)
    children = [(number, _derive_child(key, chain_code, number)[0]) for number in range(first, first + count)]
    return [Wallet(number, child, address_of(PrivateKey(child).public_key)) for number, child in children]


def _split(digest: bytes) -> tuple[bytes, bytes]:
    return digest[:32], digest[32:]


def _derive_child(key: bytes, chain_code: bytes, index: int) -> tuple[bytes, bytes]:
    """Key and chain code of a child (BIP-32, private parent to private child)."""
    parent = PrivateKey(key)
    head = b"\0" + key if index >= HARDENED else parent.public_key.format(compressed=True)
    tweak, child_code = _split(hmac.digest(chain_code, head + index.to_bytes(4, "big"), "sha512"))
    child: bytes = parent.add(tweak).secret
    return child, child_code
