"""The signed nouns: what a trader may ask for, as 160 bytes, as EIP-712 struct and as a row of an array.

Layout and type strings: docs/protocol.md, section 5. A record that decodes here is well-formed, nothing more; whether
the state allows it is `engine.apply`'s question. Importing this module starts no compiler.
"""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import sha3
from coincurve import PrivateKey, PublicKey

COMMAND_BYTES = 160
COMMAND = np.dtype(
    [
        ("kind", "u1"), ("side", "u1"), ("time_in_force", "u1"), ("flags", "u1"), ("market", "<u4"),
        ("subaccount", "<u4"), ("reserved", "<u4"), ("price_ticks", "<i8"), ("size_lots", "<i8"), ("client_id", "<i8"),
        ("order_id", "<i8"), ("nonce", "<i8"), ("expiry_ms", "<i8"), ("owner", "u1", 20), ("signature", "u1", 65),
        ("pad", "u1", 11),
    ]
)  # fmt: skip
assert COMMAND.itemsize == COMMAND_BYTES

PLACE, CANCEL, CANCEL_ALL, WITHDRAW = 1, 2, 3, 4
BUY, SELL = 0, 1
GOOD_TILL_CANCELLED, IMMEDIATE_OR_CANCEL, POST_ONLY = 0, 1, 2
ALL_MARKETS = 0xFFFFFFFF
NO_SIGNER = bytes(20)
_SECP256K1_HALF_ORDER = 0x7FFFFFFFFFFFFFFFFFFFFFFFFFFFFFFF5D576E7357A4501DDFE92F46681B20A0


def keccak(data: bytes) -> bytes:
    """Keccak-256, Ethereum's hash."""
    digest: bytes = sha3.keccak_256(data).digest()
    return digest


@dataclass(frozen=True, slots=True)
class Command:
    """One signed request. `size_lots` of a withdrawal is its amount in quote units."""

    kind: int
    owner: bytes
    nonce: int
    expiry_ms: int
    subaccount: int = 0
    market: int = 0
    side: int = 0
    time_in_force: int = 0
    flags: int = 0
    price_ticks: int = 0
    size_lots: int = 0
    client_id: int = 0
    order_id: int = 0
    signature: bytes = bytes(65)

    def encode(self) -> bytes:
        """The 160 bytes. Raises `OverflowError` or `ValueError` when a field does not fit."""
        if len(self.owner) != 20 or len(self.signature) != 65:
            raise ValueError("owner has 20 bytes, signature 65")
        small = bytes([self.kind, self.side, self.time_in_force, self.flags])
        words = self.market.to_bytes(4, "little") + self.subaccount.to_bytes(4, "little") + bytes(4)
        numbers = (self.price_ticks, self.size_lots, self.client_id, self.order_id, self.nonce, self.expiry_ms)
        longs = b"".join(number.to_bytes(8, "little", signed=True) for number in numbers)
        return small + words + longs + self.owner + self.signature + bytes(11)

    @classmethod
    def decode(cls, data: bytes) -> "Command":
        """Any 160 bytes decode; unused and reserved fields are judged by `is_well_formed`."""
        if len(data) != COMMAND_BYTES:
            raise ValueError(f"a command has {COMMAND_BYTES} bytes, not {len(data)}")
        row = np.frombuffer(data, dtype=COMMAND)[0]
        fields = (
            "kind", "nonce", "expiry_ms", "subaccount", "market", "side", "time_in_force", "flags", "price_ticks",
            "size_lots", "client_id", "order_id",
        )  # fmt: skip
        numbers = {name: int(row[name]) for name in fields}
        return cls(owner=row["owner"].tobytes(), signature=row["signature"].tobytes(), **numbers)

    def signed(self, private_key: PrivateKey, domain_separator: bytes) -> "Command":
        """This command with the signature of `private_key` (recoverable, low s)."""
        return replace(self, signature=private_key.sign_recoverable(command_id(self, domain_separator), hasher=None))


_TYPES = {
    PLACE: (
        b"Place(address owner,uint32 subaccount,uint32 market,uint8 side,uint8 timeInForce,uint8 flags,"
        b"int64 priceTicks,int64 sizeLots,uint64 clientId,uint64 nonce,uint64 expiryMs)",
        ("market", "side", "time_in_force", "flags", "price_ticks", "size_lots", "client_id"),
    ),
    CANCEL: (
        b"Cancel(address owner,uint32 subaccount,uint32 market,uint64 orderId,uint64 clientId,uint64 nonce,"
        b"uint64 expiryMs)",
        ("market", "order_id", "client_id"),
    ),
    CANCEL_ALL: (b"CancelAll(address owner,uint32 subaccount,uint32 market,uint64 nonce,uint64 expiryMs)", ("market",)),
    WITHDRAW: (
        b"Withdraw(address owner,uint32 subaccount,uint64 amountQuote,uint64 nonce,uint64 expiryMs)",
        ("size_lots",),
    ),
}
_TYPE_HASHES = {kind: keccak(text) for kind, (text, _) in _TYPES.items()}
_ALL_BODY_FIELDS = ("market", "side", "time_in_force", "flags", "price_ticks", "size_lots", "client_id", "order_id")
_DOMAIN_TYPE_HASH = keccak(b"EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)")


def compute_domain_separator(chain_id: int, contract: bytes) -> bytes:
    """EIP-712 domain separator; `contract` is the settlement contract's 20 bytes."""
    return keccak(
        _DOMAIN_TYPE_HASH + keccak(b"Hansa") + keccak(b"1") + chain_id.to_bytes(32, "big") + bytes(12) + contract
    )


def is_well_formed(command: Command) -> bool:
    """The kind is known and every field the kind does not use is zero."""
    if command.kind not in _TYPES:
        return False
    used = _TYPES[command.kind][1]
    return all(getattr(command, name) == 0 for name in _ALL_BODY_FIELDS if name not in used)


def command_id(command: Command, domain_separator: bytes) -> bytes:
    """The EIP-712 digest: what is signed, and the command's name on every node. Unknown kinds raise `KeyError`."""
    fields = _TYPES[command.kind][1]
    numbers = (command.subaccount, *(getattr(command, name) for name in fields), command.nonce, command.expiry_ms)
    body = b"".join((number % (1 << 256)).to_bytes(32, "big") for number in numbers)
    struct_hash = keccak(_TYPE_HASHES[command.kind] + bytes(12) + command.owner + body)
    return keccak(b"\x19\x01" + domain_separator + struct_hash)


def typed_data(chain_id: int, contract: bytes) -> dict[str, Any]:
    """Domain and types as JSON for wallets (`eth_signTypedData_v4`)."""
    types = {"EIP712Domain": [
        {"name": "name", "type": "string"}, {"name": "version", "type": "string"},
        {"name": "chainId", "type": "uint256"}, {"name": "verifyingContract", "type": "address"},
    ]}  # fmt: skip
    for text, _ in _TYPES.values():
        name, _, members = text.decode().rstrip(")").partition("(")
        pairs = [member.split(" ") for member in members.split(",")]
        types[name] = [{"name": field, "type": kind} for kind, field in pairs]
    domain = {"name": "Hansa", "version": "1", "chainId": chain_id, "verifyingContract": "0x" + contract.hex()}
    return {"domain": domain, "types": types}


def address_of(public_key: PublicKey) -> bytes:
    """The 20-byte Ethereum address of a secp256k1 key."""
    return keccak(public_key.format(compressed=False)[1:])[12:]


def recover_signer(command: Command, domain_separator: bytes) -> bytes:
    """Address whose key signed the command, or `NO_SIGNER`. Never raises: hostile bytes are nobody's signature."""
    if not is_well_formed(command):
        return NO_SIGNER
    signature = command.signature
    if signature[64] > 1 or int.from_bytes(signature[32:64], "big") > _SECP256K1_HALF_ORDER:
        return NO_SIGNER
    try:
        key = PublicKey.from_signature_and_message(signature, command_id(command, domain_separator), hasher=None)
    except Exception:  # libsecp256k1 refuses in several ways; all mean that nobody signed this
        return NO_SIGNER
    return address_of(key)
