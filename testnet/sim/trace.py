"""Frames and events in words, for the trace of a run."""

from typing import Any

from consensus.messages import Block, Certificate, DecodeError, Proposal, Vote
from engine.payload import Batch, Payload, PriceReport
from testnet.sim.keys import decode

KIND_NAMES = {1: "notarize", 2: "nullify", 3: "finalize"}


def describe(what: str, data: Any) -> str:
    """One event of a node."""
    if what == "order" or not isinstance(data, tuple) or len(data) != 2:
        return what
    peer, body = data
    return f"from {peer}: {describe_frame(what, body)}"


def describe_frame(what: str, body: Any) -> str:
    match body:
        case bytes() if what == "consensus":
            return describe_message(body)
        case Batch():
            return f"batch {body.sequence} of author {body.author}"
        case PriceReport():
            return f"prices of {body.validator} at {body.time_ms}"
        case bytes():
            return f"{what} {body.hex()[:8]}"
    return f"{what} {body}"[:120]


def describe_message(data: bytes) -> str:
    try:
        message = decode(data)
    except DecodeError:
        return f"junk of {len(data)} bytes"
    match message:
        case Vote():
            return f"{KIND_NAMES[message.kind]} view {message.view} {message.header_hash.hex()[:8]}"
        case Certificate():
            signers = list(message.signers())
            kind = KIND_NAMES[message.kind]
            return f"certificate {kind} view {message.view} {message.header_hash.hex()[:8]} by {signers}"
        case Proposal():
            return f"proposal {describe_block(message.block)}"
        case Block():
            return f"block {describe_block(message)}"
    return type(message).__name__


def describe_block(block: Block) -> str:
    header = block.header
    text = f"view {header.view} height {header.height} {block.hash().hex()[:8]} on {header.parent_hash.hex()[:8]}"
    try:
        payload = Payload.decode(block.payload)
    except ValueError:
        return f"{text} with a payload that is none"
    parts = (len(payload.batch_refs), len(payload.price_reports), len(payload.inbox_entries))
    return "{} with {} batches, {} reports, {} inbox entries".format(text, *parts)
