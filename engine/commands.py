"""The signed nouns: what a trader may ask for, as bytes, as EIP-712 struct and as rows of arrays.

A message is a header of 112 bytes and 1 to 128 actions of 96 bytes: one signature and one nonce for all of them. Layout
and type strings: docs/protocol.md, section 5. Bytes that decode here are well-formed at most; whether the state allows
them is `engine.apply`'s question. Importing this module starts no compiler.
"""

import struct
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

import numpy as np
import sha3
from coincurve import PrivateKey, PublicKey

MESSAGE = np.dtype(
    [
        ("owner", "u1", 20), ("subaccount", "<u4"), ("nonce", "<i8"), ("expiry_ms", "<i8"), ("signature", "u1", 65),
        ("count", "u1"), ("pad", "u1", 6),
    ]
)  # fmt: skip
ACTION = np.dtype(
    [
        ("kind", "u1"), ("side", "u1"), ("time_in_force", "u1"), ("flags", "u1"), ("market", "<u4"),
        ("price_ticks", "<i8"), ("size_lots", "<i8"), ("client_id", "<i8"), ("order_id", "<i8"),
        ("trigger_ticks", "<i8"), ("display_lots", "<i8"), ("good_till_ms", "<i8"), ("link", "<i8"),
        ("data", "u1", 24),
    ]
)  # fmt: skip
HEADER_BYTES, ACTION_BYTES = MESSAGE.itemsize, ACTION.itemsize
COUNT_OFFSET = 105
ACTIONS_MAX = 128
MESSAGE_BYTES_MAX = HEADER_BYTES + ACTIONS_MAX * ACTION_BYTES
_HEADER_PACK = struct.Struct("<20sIqq65sB6x")
_ACTION_PACK = struct.Struct("<BBBBI8q24s")

PLACE, CANCEL, CANCEL_ALL, WITHDRAW, AMEND, TRIGGER, CANCEL_ALL_AFTER, TRANSFER = range(1, 9)
SET_MARGIN_MODE, SET_SESSION, SET_PROTECTION, COMBO, OFFER, ACCEPT, SET_FEES = range(9, 16)
LIST, SET_PARAMETER, DELIST, SET_PHASE = range(32, 36)  # the exchange's governor only
BUY, SELL = 0, 1
GOOD_TILL_CANCELLED, IMMEDIATE_OR_CANCEL, POST_ONLY, FILL_OR_KILL, GOOD_TILL_TIME, POST_ONLY_SLIDE = range(6)
REDUCE_ONLY, UNDER_PROTECTION, AT_MARKET, TRIGGER_ON_LAST, TRIGGER_BELOW = 1, 2, 16, 32, 64
SELF_TRADE_SHIFT = 2  # two bits of the flags
CANCEL_MAKER, CANCEL_TAKER, CANCEL_BOTH, DECREMENT = range(4)
ALL_MARKETS = 0xFFFFFFFF
NO_SIGNER = bytes(20)
SECP256K1_HALF_ORDER = 0x7FFFFFFFFFFFFFFFFFFFFFFFFFFFFFFF5D576E7357A4501DDFE92F46681B20A0


def keccak(data: bytes) -> bytes:
    """Keccak-256, Ethereum's hash."""
    digest: bytes = sha3.keccak_256(data).digest()
    return digest


@dataclass(frozen=True, slots=True)
class Action:
    """One request of a message. Fields that its kind does not use are zero; `size_lots` of a withdrawal is its amount
    in quote units.
    """

    kind: int
    side: int = 0
    time_in_force: int = 0
    flags: int = 0
    market: int = 0
    price_ticks: int = 0
    size_lots: int = 0
    client_id: int = 0
    order_id: int = 0
    trigger_ticks: int = 0
    display_lots: int = 0
    good_till_ms: int = 0
    link: int = 0
    data: bytes = bytes(24)

    def encode(self) -> bytes:
        """The 96 bytes. Raises `struct.error` when a number does not fit, `ValueError` for data of another length."""
        if len(self.data) != 24:
            raise ValueError("data has 24 bytes")
        return _ACTION_PACK.pack(
            self.kind, self.side, self.time_in_force, self.flags, self.market, self.price_ticks, self.size_lots,
            self.client_id, self.order_id, self.trigger_ticks, self.display_lots, self.good_till_ms, self.link,
            self.data,
        )  # fmt: skip

    @classmethod
    def decode(cls, data: bytes) -> "Action":
        """Any 96 bytes decode; unused fields are judged by `is_well_formed`."""
        return cls(*_ACTION_PACK.unpack(data))


@dataclass(frozen=True, slots=True)
class Command:
    """One signed message of an owner: 1 to 128 actions that share nonce, expiry and signature."""

    owner: bytes
    nonce: int
    expiry_ms: int
    actions: tuple[Action, ...]
    subaccount: int = 0
    signature: bytes = bytes(65)

    @classmethod
    def of(
        cls, kind: int, owner: bytes, nonce: int, expiry_ms: int, *, subaccount: int = 0,
        signature: bytes = bytes(65), **fields: Any,
    ) -> "Command":  # fmt: skip
        """A message with one action; `fields` are those of `Action`."""
        return cls(owner, nonce, expiry_ms, (Action(kind, **fields),), subaccount, signature)

    @property
    def action(self) -> Action:
        """The first action: the only one of a message with one."""
        return self.actions[0]

    def encode(self) -> bytes:
        """Header and actions. Raises `struct.error` or `ValueError` when a field does not fit."""
        if len(self.owner) != 20 or len(self.signature) != 65 or not 1 <= len(self.actions) <= ACTIONS_MAX:
            raise ValueError("owner has 20 bytes, signature 65, and there are 1 to 128 actions")
        header = _HEADER_PACK.pack(
            self.owner, self.subaccount, self.nonce, self.expiry_ms, self.signature, len(self.actions)
        )
        return header + self.encode_actions()

    def encode_actions(self) -> bytes:
        """The bytes of the actions alone, which a message with several of them signs."""
        return b"".join(action.encode() for action in self.actions)

    @classmethod
    def decode(cls, data: bytes) -> "Command":
        """One whole message; padding is dropped. Raises `ValueError` when the length is not what the count says."""
        if split_messages(data) != [data]:
            raise ValueError("not exactly one message")
        owner, subaccount, nonce, expiry_ms, signature, _ = _HEADER_PACK.unpack_from(data)
        actions = tuple(Action(*row) for row in _ACTION_PACK.iter_unpack(data[HEADER_BYTES:]))
        return cls(owner, nonce, expiry_ms, actions, subaccount, signature)

    def signed(self, private_key: PrivateKey, domain_separator: bytes) -> "Command":
        """This command with the signature of `private_key` (recoverable, low s)."""
        return replace(self, signature=private_key.sign_recoverable(command_id(self, domain_separator), hasher=None))


def split_messages(blob: bytes) -> list[bytes]:
    """The messages that `blob` is a concatenation of. Raises `ValueError` when it is none."""
    messages, at = [], 0
    while at < len(blob):
        count = blob[at + COUNT_OFFSET] if at + HEADER_BYTES <= len(blob) else 0
        end = at + HEADER_BYTES + count * ACTION_BYTES
        if not 1 <= count <= ACTIONS_MAX or end > len(blob):
            raise ValueError(f"no whole message at byte {at}")
        messages.append(blob[at:end])
        at = end
    return messages


# Every kind of action: the name of its struct, and the members between `subaccount` and `nonce` in signing order.
# A kind uses exactly the fields that its members stand for, so adding a kind is one row.
_EVERYTHING = (
    "market side timeInForce flags priceTicks sizeLots clientId orderId triggerTicks displayLots goodTillMs link data"
)
_KINDS = {
    PLACE: ("Place", "market side timeInForce flags priceTicks sizeLots clientId displayLots goodTillMs builder"),
    CANCEL: ("Cancel", "market orderId clientId"),
    CANCEL_ALL: ("CancelAll", "market"),
    WITHDRAW: ("Withdraw", "asset amountQuote"),
    AMEND: ("Amend", "market orderId clientId priceTicks sizeLots"),
    TRIGGER: ("Trigger", "market side timeInForce flags priceTicks sizeLots clientId triggerTicks link"),
    CANCEL_ALL_AFTER: ("CancelAllAfter", "deadlineMs"),
    TRANSFER: ("Transfer", "asset amountQuote toOwner toSubaccount"),
    SET_MARGIN_MODE: ("SetMarginMode", "mode"),
    SET_SESSION: ("SetSession", "key scopes validUntilMs orderCapQuote"),
    SET_PROTECTION: ("SetProtection", "sizeLots priceTicks triggerTicks displayLots goodTillMs"),
    COMBO: ("Combo", "legs netTicks goodTillMs"),
    OFFER: ("Offer", "market side priceTicks sizeLots clientId goodTillMs counterparty"),
    ACCEPT: ("Accept", "market side orderId"),
    SET_FEES: ("SetFees", "receiver sizeLots link"),
    LIST: ("List", _EVERYTHING),
    SET_PARAMETER: ("SetParameter", _EVERYTHING),
    DELIST: ("Delist", _EVERYTHING),
    SET_PHASE: ("SetPhase", _EVERYTHING),
}
_MEMBERS = {  # member: (EIP-712 type, field of `Action`)
    "market": ("uint32", "market"), "asset": ("uint32", "market"), "side": ("uint8", "side"),
    "mode": ("uint8", "side"), "legs": ("uint8", "side"), "timeInForce": ("uint8", "time_in_force"),
    "flags": ("uint8", "flags"), "scopes": ("uint8", "flags"), "priceTicks": ("int64", "price_ticks"),
    "netTicks": ("int64", "price_ticks"), "sizeLots": ("int64", "size_lots"), "amountQuote": ("int64", "size_lots"),
    "orderCapQuote": ("int64", "size_lots"), "clientId": ("uint64", "client_id"), "orderId": ("uint64", "order_id"),
    "triggerTicks": ("int64", "trigger_ticks"), "displayLots": ("int64", "display_lots"),
    "goodTillMs": ("uint64", "good_till_ms"), "deadlineMs": ("uint64", "good_till_ms"),
    "validUntilMs": ("uint64", "good_till_ms"), "link": ("uint64", "link"), "builder": ("uint64", "link"),
    "toSubaccount": ("uint64", "link"), "counterparty": ("uint64", "link"), "toOwner": ("address", "data"),
    "key": ("address", "data"), "receiver": ("address", "data"), "data": ("bytes24", "data"),
}  # fmt: skip
BODY_FIELDS = tuple(name for name in ACTION.names or () if name != "kind")
UNSIGNED_FIELDS = ("client_id", "order_id", "good_till_ms", "link")  # int64, but never below zero


def _type_string(name: str, members: tuple[tuple[str, str], ...]) -> bytes:
    """An EIP-712 type: who and when around what."""
    ends = (("address", "owner"), ("uint32", "subaccount")), (("uint64", "nonce"), ("uint64", "expiryMs"))
    return f"{name}({','.join(' '.join(member) for member in (*ends[0], *members, *ends[1]))})".encode()


USED_FIELDS = {kind: tuple(_MEMBERS[name][1] for name in text.split()) for kind, (_, text) in _KINDS.items()}
MEMBERS_BY_KIND = {kind: tuple(_MEMBERS[name] for name in text.split()) for kind, (_, text) in _KINDS.items()}
ADDRESS_KINDS = tuple(
    kind for kind, (_, text) in _KINDS.items() if any(_MEMBERS[name][0] == "address" for name in text.split())
)
TYPE_STRINGS = {
    kind: _type_string(title, tuple((_MEMBERS[name][0], name) for name in text.split()))
    for kind, (title, text) in _KINDS.items()
}
MANY_TYPE_STRING = _type_string("Actions", (("bytes", "actions"),))
TYPE_HASHES = {kind: keccak(text) for kind, text in TYPE_STRINGS.items()}
MANY_TYPE_HASH = keccak(MANY_TYPE_STRING)
_DOMAIN_TYPE_HASH = keccak(b"EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)")


def compute_domain_separator(chain_id: int, contract: bytes) -> bytes:
    """EIP-712 domain separator; `contract` is the settlement contract's 20 bytes."""
    return keccak(
        _DOMAIN_TYPE_HASH + keccak(b"Hansa") + keccak(b"1") + chain_id.to_bytes(32, "big") + bytes(12) + contract
    )


def is_action_well_formed(action: Action) -> bool:
    """The kind is known, every field it does not use is zero, and no number is one that nobody can sign."""
    if action.kind not in _KINDS or any(getattr(action, name) < 0 for name in UNSIGNED_FIELDS):
        return False
    if action.kind in ADDRESS_KINDS and any(action.data[20:]):
        return False
    used = USED_FIELDS[action.kind]
    return all(getattr(action, name) in (0, bytes(24)) for name in BODY_FIELDS if name not in used)


def is_well_formed(command: Command) -> bool:
    """Nonce at least 1, expiry not negative, and every action well-formed."""
    return command.nonce >= 1 and command.expiry_ms >= 0 and all(map(is_action_well_formed, command.actions))


def _word(number: int) -> bytes:
    return (number % (1 << 256)).to_bytes(32, "big")


def _encode_member(name: str, action: Action) -> bytes:
    kind, field = _MEMBERS[name]
    if kind == "address":
        return bytes(12) + action.data[:20]
    return action.data + bytes(8) if kind == "bytes24" else _word(getattr(action, field))


def command_id(command: Command, domain_separator: bytes) -> bytes:
    """The EIP-712 digest: what is signed, and the message's name on every node.

    One action is signed as the struct of its kind, which a wallet can show; several as `Actions` over their bytes.
    Raises `KeyError` for one action of unknown kind.
    """
    if len(command.actions) == 1:
        action = command.action
        head = TYPE_HASHES[action.kind]
        body = b"".join(_encode_member(name, action) for name in _KINDS[action.kind][1].split())
    else:
        head, body = MANY_TYPE_HASH, keccak(command.encode_actions())
    who = bytes(12) + command.owner + _word(command.subaccount)
    struct_hash = keccak(head + who + body + _word(command.nonce) + _word(command.expiry_ms))
    return keccak(b"\x19\x01" + domain_separator + struct_hash)


def compute_action_ids(message_id: bytes, count: int) -> tuple[bytes, ...]:
    """Names of a message's actions: its own id for one, `keccak(id ‖ number (4 B BE))` for several."""
    if count == 1:
        return (message_id,)
    return tuple(keccak(message_id + at.to_bytes(4, "big")) for at in range(count))


def typed_data(chain_id: int, contract: bytes) -> dict[str, Any]:
    """Domain and types as JSON for wallets (`eth_signTypedData_v4`)."""
    types = {"EIP712Domain": [
        {"name": "name", "type": "string"}, {"name": "version", "type": "string"},
        {"name": "chainId", "type": "uint256"}, {"name": "verifyingContract", "type": "address"},
    ]}  # fmt: skip
    for text in (*TYPE_STRINGS.values(), MANY_TYPE_STRING):
        name, _, members = text.decode().rstrip(")").partition("(")
        pairs = [member.split(" ") for member in members.split(",")]
        types[name] = [{"name": field, "type": kind} for kind, field in pairs]
    domain = {"name": "Hansa", "version": "1", "chainId": chain_id, "verifyingContract": "0x" + contract.hex()}
    return {"domain": domain, "types": types}


def typed_message(command: Command) -> tuple[str, dict[str, Any]]:
    """Name and values of the struct that a wallet shows and signs for this command."""
    if len(command.actions) == 1:
        title, text = _KINDS[command.action.kind]
        body = {name: _show_member(name, command.action) for name in text.split()}
    else:
        title, body = "Actions", {"actions": "0x" + command.encode_actions().hex()}
    who = {"owner": "0x" + command.owner.hex(), "subaccount": command.subaccount}
    return title, {**who, **body, "nonce": command.nonce, "expiryMs": command.expiry_ms}


def _show_member(name: str, action: Action) -> Any:
    kind, field = _MEMBERS[name]
    if field != "data":
        return getattr(action, field)
    return "0x" + (action.data[:20] if kind == "address" else action.data).hex()


def address_of(public_key: PublicKey) -> bytes:
    """The 20-byte Ethereum address of a secp256k1 key."""
    return keccak(public_key.format(compressed=False)[1:])[12:]


def recover_signer(command: Command, domain_separator: bytes) -> bytes:
    """Address whose key signed the command, or `NO_SIGNER`. Never raises: hostile bytes are nobody's signature."""
    # The struct of one action covers only what its kind uses; several actions are covered byte by byte.
    if len(command.actions) == 1 and not is_action_well_formed(command.action):
        return NO_SIGNER
    return recover_address(command.signature, command_id(command, domain_separator))


@lru_cache(maxsize=1024)  # a node looks at one client's message several times in a row
def recover_address(signature: bytes, digest: bytes) -> bytes:
    """Address whose key made the 65 bytes `signature` over `digest`, or `NO_SIGNER`. Never raises."""
    if signature[64] > 1 or int.from_bytes(signature[32:64], "big") > SECP256K1_HALF_ORDER:
        return NO_SIGNER
    try:
        key = PublicKey.from_signature_and_message(signature, digest, hasher=None)
    except Exception:  # libsecp256k1 refuses in several ways; all mean that nobody signed this
        return NO_SIGNER
    return address_of(key)
