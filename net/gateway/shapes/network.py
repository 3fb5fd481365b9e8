"""Answers about the network, its committee and what it proves."""

from typing import Any, TypedDict

from net.gateway.shapes.account import TreeNode
from net.gateway.shapes.market import Instrument
from net.gateway.shapes.scalars import Address, Count, DecimalText, Hash, Height, HexText, Millis


class SigningDomain(TypedDict):
    """What a command is signed with."""

    domain: dict[str, Any]
    types: dict[str, Any]
    domain_separator: Hash
    network_id: Hash
    token: Address
    node: Count
    node_key: HexText
    testnet: bool
    instruments: list[Instrument]


class CertificateAnswer(TypedDict):
    """A finalised header and the certificate that makes it final."""

    height: Height
    epoch: Count
    view: Count
    timestamp: Millis
    header: HexText
    header_hash: Hash
    state_root: Hash
    account_root: Hash
    withdrawals_root: Hash
    kind: Count
    bitmap: HexText
    signature: HexText
    signers: list[Count]


class AccountProofAnswer(TypedDict):
    """The path of one leaf of the account tree to the account root of a certified header."""

    index: Count
    owner: Address
    subaccount: Count
    claims: DecimalText
    debt: DecimalText
    holdings: HexText
    aux_hash: Hash
    siblings: list[TreeNode]
    certificate: CertificateAnswer


class WithdrawalProofAnswer(TypedDict):
    """The path of one leaf of the withdrawal tree to a certified header."""

    index: Count
    owner: Address
    token: Address
    amount: DecimalText
    siblings: list[Hash]
    certificate: CertificateAnswer


class EvidenceAnswer(TypedDict):
    """A proven fault of committee members."""

    key: HexText
    type: str
    epoch: Count
    view: Count
    culprits: list[Count]
    evidence: HexText
    is_in_court: bool
    transaction_hash: HexText | None


class MemberUptime(TypedDict):
    """How often one member signed."""

    index: Count
    signed: Count
    signed_bps: Count


class Uptime(TypedDict):
    """How many of the last finalisation certificates each member signed."""

    first_height: Height
    last_height: Height
    blocks: Count
    validators: list[MemberUptime]


class BlockNotice(TypedDict):
    """A finalised block."""

    height: Height
    hash: Hash
    state_root: Hash
    timestamp: Millis
    commands: Count
    trades: Count
