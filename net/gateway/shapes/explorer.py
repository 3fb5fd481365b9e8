"""Answers about blocks, what is in them, and who makes them."""

from typing import Any, TypedDict

from net.gateway.shapes.network import CertificateAnswer
from net.gateway.shapes.orders import CommandState
from net.gateway.shapes.scalars import Address, Count, DecimalText, Hash, Height, HexText, Millis


class BlockSummary(TypedDict):
    """A final block in numbers. `signers` are the members whose signatures its certificate holds."""

    height: Height
    hash: Hash
    parent_hash: Hash
    epoch: Count
    view: Count
    proposer: Count
    timestamp: Millis
    commands: Count
    trades: Count
    batches: Count
    price_reports: Count
    inbox_entries: Count
    size_bytes: Count
    state_root: Hash
    l1_block: Count
    is_direct: bool
    signers: list[Count]
    is_on_chain: bool


class BatchReference(TypedDict):
    """A batch that a block names, by its author's number."""

    author: Count
    sequence: Count
    hash: Hash


class ExecutedAction(TypedDict):
    """One action of a block: who sent it, what it says, what became of it."""

    command_id: Hash
    height: Height
    number: Count
    owner: Address
    subaccount: Count
    nonce: Count
    expiry_ms: Millis
    kind: str
    text: str
    fields: dict[str, Any]
    result: CommandState


class BlockAnswer(BlockSummary):
    """A block with its certificate and a page of its actions."""

    certificate: CertificateAnswer
    batch_references: list[BatchReference]
    actions: list[ExecutedAction]


class Checkpoint(TypedDict):
    """The last state of the exchange on the settlement chain. `posted_height` may yet vanish with a young block."""

    height: Height
    block: Count
    posted_height: Height


class CommandLife(TypedDict):
    """Everything from a command's block to its checkpoint; null for what has not happened yet. A command that this
    node only has in its queue has nothing but a status.
    """

    command_id: Hash
    status: str
    action: ExecutedAction | None
    block: BlockSummary | None
    certificate: CertificateAnswer | None
    checkpoint: Checkpoint | None


class ValidatorAnswer(TypedDict):
    """A member of the committee. `signed` counts the last `blocks` finalisation certificates."""

    index: Count
    number: Count
    bls_key: HexText
    network_key: HexText
    weight: Count
    signed: Count
    signed_bps: Count
    is_this_node: bool


class CommitteeAnswer(TypedDict):
    """The committee of this epoch."""

    epoch: Count
    quorum: Count
    first_height: Height
    last_height: Height
    blocks: Count
    validators: list[ValidatorAnswer]


class SeatAnswer(TypedDict):
    """One member of a committee; its place in the list is its index in bitmaps."""

    number: Count
    bls_key: HexText
    network_key: HexText
    weight: Count


class SealCertificate(TypedDict):
    """Of the last of the headers beside it."""

    kind: Count
    epoch: Count
    view: Count
    header_hash: Hash
    bitmap: HexText
    signature: HexText


class SuccessionAnswer(TypedDict):
    """The committee of an epoch and what proves it."""

    epoch: Count
    members: list[SeatAnswer]
    headers: list[HexText]
    certificate: SealCertificate | None


class ExpiryReport(TypedDict):
    """What one validator says of an expiry: forward, and the parameters of its volatility slice."""

    underlying: str
    expiration_timestamp: Millis
    forward: DecimalText | None
    surface: list[DecimalText] | None


class PriceReportAnswer(TypedDict):
    """One validator's report. An index that it has no opinion on is null."""

    validator: Count
    timestamp: Millis
    indexes: dict[str, DecimalText | None]
    expiries: list[ExpiryReport]


class AgreedIndex(TypedDict):
    """What the committee's reports made of an index. `dispersion_bps`: how far the last reports lay apart."""

    name: str
    price: DecimalText | None
    timestamp: Millis
    is_fresh: bool
    dispersion_bps: Count


class OracleRound(TypedDict):
    """The price reports of one block, and the indexes as they are now."""

    height: Height
    timestamp: Millis
    reports: list[PriceReportAnswer]
    indexes: list[AgreedIndex]


class RoundNotice(TypedDict):
    """How a block became final. `finality_ms`: from its proposer's clock to this node's."""

    height: Height
    view: Count
    proposer: Count
    timestamp: Millis
    finality_ms: Count
    commands: Count
    trades: Count
    is_direct: bool
    signers: list[Count]
