"""The frame codec: golden vectors, exact limits, and no input that raises anything but `WireError`."""

import json
import struct
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from consensus.messages import (
    FINALIZE,
    NOTARIZE,
    NULLIFY,
    ZERO_HASH,
    Block,
    Certificate,
    Evidence,
    Header,
    Proposal,
    Ready,
    Vote,
    encode_message,
    keccak,
    make_evidence,
)
from engine.commands import CANCEL_ALL, Command
from engine.payload import BATCH_BYTES_MAX, Batch, PriceReport
from net.framing import PART_BYTES_MAX, FrameSplitter, encode_part
from net.wire import (
    BODY_BYTES_MAX,
    HEADER_BYTES,
    SNAPSHOT_CHUNK_BYTES,
    SNAPSHOT_CHUNKS_MAX,
    BatchFrame,
    BatchRequest,
    BlockRequest,
    Chunk,
    ChunkRequest,
    Consensus,
    EpochRoot,
    Frame,
    FrameType,
    Hello,
    NotFound,
    Ping,
    Pong,
    PriceFrame,
    Priority,
    RangeBlock,
    RangeRequest,
    RangeResponse,
    SnapshotOffer,
    SnapshotRequest,
    Spoken,
    WireError,
    decode_frame,
    encode_frame,
    frame_type,
    priority_of,
)

VECTORS = Path(__file__).parent.parent / "vectors" / "wire.json"
HASH = bytes(range(32))
SIGNATURE = bytes(range(96))
MESSAGE = Command.of(CANCEL_ALL, bytes(20), 1, 1).encode()


def make_block(payload: bytes = b"payload") -> Block:
    header = Header(1, 5, 4, HASH, 3, 2, 1_700_000_000_000, keccak(payload), ZERO_HASH, bytes(320))
    return Block(header, payload)


def make_batch(sequence: int = 1, commands: int = 1) -> Batch:
    return Batch(2, sequence, MESSAGE * commands, bytes(range(64)))


def make_certificate(kind: int = FINALIZE) -> Certificate:
    return Certificate(kind, 1, 5, ZERO_HASH if kind == NULLIFY else HASH, b"\x07", SIGNATURE)


def sample_frames() -> dict[str, Frame]:
    """One frame of every type."""
    block = make_block()
    vote = Vote(NOTARIZE, 1, 5, block.hash(), 2, SIGNATURE)
    return {
        "hello": Hello(HASH, 1, 3, 4, 5, keccak(b"engine")),
        "ping": Ping(7, 8, 9),
        "pong": Pong(7),
        "vote": Consensus(vote),
        "certificate": Consensus(make_certificate()),
        "proposal": Consensus(Proposal(block, vote, make_certificate(NOTARIZE), (make_certificate(NULLIFY),))),
        "block": Consensus(block),
        "evidence": Consensus(Evidence(make_certificate(NULLIFY), make_certificate())),
        "ready": Consensus(Ready(2, HASH, 3, SIGNATURE)),
        "batch": BatchFrame(make_batch()),
        "price": PriceFrame(PriceReport(1, 1_700_000_000_000, (100, 200), bytes(64))),
        "block_request": BlockRequest(HASH),
        "batch_request": BatchRequest(2, 77, HASH),
        "range_request": RangeRequest(10, 64),
        "range_response": RangeResponse((RangeBlock(block, (make_batch(),)),), make_certificate()),
        "range_response_empty": RangeResponse((), None),
        "not_found": NotFound(FrameType.BLOCK_REQUEST, HASH),
        "snapshot_request": SnapshotRequest(4_000),
        "snapshot_offer": SnapshotOffer(block, make_certificate(), SNAPSHOT_CHUNK_BYTES + 5, (HASH, HASH[::-1])),
        "snapshot_offer_of_a_later_epoch": SnapshotOffer(
            block, make_certificate(), 5, (HASH,), EpochRoot(block, make_certificate(), (make_block(b""),))
        ),
        "chunk_request": ChunkRequest(HASH, 1),
        "chunk": Chunk(HASH, 1, b"bytes"),
    }


def split(data: bytes) -> list[tuple[FrameType, bytes]]:
    return FrameSplitter().feed(data)


@pytest.mark.parametrize("name", sample_frames())
def test_every_frame_has_the_golden_bytes(name: str) -> None:
    assert encode_frame(sample_frames()[name]).hex() == json.loads(VECTORS.read_text())[name]


@pytest.mark.parametrize("name", sample_frames())
def test_every_frame_survives_the_wire(name: str) -> None:
    frame = sample_frames()[name]
    [(kind, body)] = split(encode_frame(frame))
    assert kind is frame_type(frame)
    assert decode_frame(kind, body) == frame


def test_every_type_has_a_sample_and_a_limit() -> None:
    assert {frame_type(frame) for frame in sample_frames().values()} == set(FrameType) == set(BODY_BYTES_MAX)


def test_the_largest_honest_frames_fit() -> None:
    block = make_block(bytes(128 * 1024))
    nullification = Certificate(NULLIFY, 2**32 - 1, 2**64 - 1, ZERO_HASH, bytes(32), SIGNATURE)
    vote = Vote(NOTARIZE, 2**32 - 1, 2**64 - 1, HASH, 254, SIGNATURE)
    encode_frame(Consensus(Proposal(block, vote, make_certificate(), (nullification,) * 64)))
    encode_frame(Consensus(nullification))
    encode_frame(BatchFrame(Batch(254, 2**63 - 1, bytes(BATCH_BYTES_MAX), bytes(64))))
    encode_frame(PriceFrame(PriceReport(254, 2**63 - 1, (1 << 40,) * 62, bytes(64))))
    largest = Batch(254, 2**63 - 1, bytes(BATCH_BYTES_MAX), bytes(64))
    encode_frame(RangeResponse((RangeBlock(block, (largest,) * 64),), make_certificate()))


def test_frames_over_their_limits_are_not_encoded() -> None:
    full = RangeBlock(make_block(), (Batch(2, 1, bytes(BATCH_BYTES_MAX), bytes(64)),) * 64)
    with pytest.raises(WireError, match="over its limit"):
        encode_frame(RangeResponse((full, full), make_certificate()))
    with pytest.raises(WireError, match="out of range"):
        encode_frame(RangeRequest(-1, 1))
    with pytest.raises(WireError, match="32 bytes"):
        encode_frame(BlockRequest(b"short"))


def test_the_largest_offer_and_chunk_fit() -> None:
    hashes = (HASH,) * SNAPSHOT_CHUNKS_MAX
    offer = SnapshotOffer(
        make_block(bytes(128 * 1024)), make_certificate(), SNAPSHOT_CHUNKS_MAX * SNAPSHOT_CHUNK_BYTES, hashes
    )
    [(kind, body)] = split(encode_frame(offer))
    assert decode_frame(kind, body) == offer
    encode_frame(Chunk(HASH, SNAPSHOT_CHUNKS_MAX - 1, bytes(SNAPSHOT_CHUNK_BYTES)))
    with pytest.raises(WireError, match="over its limit"):
        encode_frame(Chunk(HASH, 0, bytes(SNAPSHOT_CHUNK_BYTES + 1)))


@pytest.mark.parametrize(
    ("size_bytes", "count"),
    [(0, 0), (1, 0), (1, 2), (SNAPSHOT_CHUNK_BYTES + 1, 1), ((SNAPSHOT_CHUNKS_MAX + 1) * SNAPSHOT_CHUNK_BYTES, 4_097)],
)
def test_an_offer_names_every_chunk_once(size_bytes: int, count: int) -> None:
    offer = SnapshotOffer(make_block(), make_certificate(), size_bytes, (HASH,) * count)
    body = encode_frame(offer)[HEADER_BYTES:]
    with pytest.raises(WireError):
        decode_frame(FrameType.SNAPSHOT_OFFER, body)


def test_an_offers_name_depends_on_all_that_is_fetched_under_it() -> None:
    offer = SnapshotOffer(make_block(), make_certificate(), 5, (HASH,))
    others = [
        replace(offer, block=make_block(b"other")), replace(offer, size_bytes=6),
        replace(offer, chunk_hashes=(HASH[::-1],)),
    ]  # fmt: skip
    assert len({known.name() for known in [offer, *others]}) == 4
    assert replace(offer, certificate=make_certificate(NOTARIZE)).name() == offer.name()


def test_the_largest_evidence_fits() -> None:
    """Two proposals of a committee of 255, the largest view there is."""
    headers = [Header(1, (1 << 64) - 1, 4, HASH, 3, 2, 1, keccak(name), ZERO_HASH, bytes(320)) for name in (b"a", b"b")]
    pair = [
        Certificate(NOTARIZE, (1 << 32) - 1, (1 << 64) - 1, known.hash(), bytes(32), SIGNATURE) for known in headers
    ]
    encode_frame(Consensus(make_evidence(pair[0], pair[1], (headers[0], headers[1]))))


@pytest.mark.parametrize("kind", FrameType)
def test_a_header_over_the_limit_is_refused_before_the_body(kind: FrameType) -> None:
    splitter = FrameSplitter()
    with pytest.raises(WireError, match="over its limit"):
        splitter.feed((BODY_BYTES_MAX[kind] + 1).to_bytes(4, "big") + bytes([kind]))
    assert splitter.pending_bytes == 0
    with pytest.raises(WireError, match="already failed"):
        splitter.feed(encode_frame(Pong(1)))


def test_a_message_under_another_type_byte_is_refused() -> None:
    body = encode_frame(sample_frames()["vote"])[HEADER_BYTES:]
    with pytest.raises(WireError, match="another message"):
        decode_frame(FrameType.CERTIFICATE, body)


def test_blocks_without_their_certificate_are_refused() -> None:
    body = encode_frame(RangeResponse((), None))[HEADER_BYTES:]
    assert body == b"\x82\x80\xf6"
    certificate = encode_frame(sample_frames()["range_response"])[HEADER_BYTES:]
    with pytest.raises(WireError):
        decode_frame(FrameType.RANGE_RESPONSE, body[:2] + certificate[-160:])


def test_votes_go_before_orders_and_orders_before_sync() -> None:
    order = [priority_of(kind) for kind in (FrameType.VOTE, FrameType.BATCH, FrameType.RANGE_RESPONSE)]
    assert order == [Priority.AGREEMENT, Priority.ORDERS, Priority.SYNC]


@given(st.lists(st.integers(1, 4000), max_size=50))
def test_frames_come_out_whole_however_the_stream_is_cut(cuts: list[int]) -> None:
    frames = list(sample_frames().values())
    data = b"".join(encode_frame(frame) for frame in frames)
    splitter, found, at = FrameSplitter(), [], 0
    for size in [*cuts, len(data)]:
        found += splitter.feed(data[at : at + size])
        at += size
    assert [decode_frame(kind, body) for kind, body in found] == frames
    assert splitter.pending_bytes == 0


@given(st.sampled_from(list(FrameType)), st.binary(max_size=300))
def test_random_bodies_decode_canonically_or_not_at_all(kind: FrameType, body: bytes) -> None:
    try:
        frame = decode_frame(kind, body)
    except WireError:
        return
    assert encode_frame(frame)[HEADER_BYTES:] == body


@settings(max_examples=300)
@given(st.sampled_from(sorted(sample_frames())), st.data())
def test_mutated_frames_decode_canonically_or_not_at_all(name: str, data: st.DataObject) -> None:
    encoded = bytearray(encode_frame(sample_frames()[name]))
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(HEADER_BYTES, len(encoded) - 1))
        encoded[at] = data.draw(st.integers(0, 255))
    kind = FrameType(encoded[4])
    try:
        frame = decode_frame(kind, bytes(encoded[HEADER_BYTES:]))
    except WireError:
        return
    assert encode_frame(frame) == bytes(encoded)


@given(st.lists(st.binary(max_size=64), max_size=20))
def test_random_streams_raise_nothing_else(chunks: list[bytes]) -> None:
    splitter = FrameSplitter()
    try:
        for chunk in chunks:
            for kind, body in splitter.feed(chunk):
                decode_frame(kind, body)
    except WireError:
        pass


_RANGE = struct.Struct(">QI")


def test_a_height_beyond_any_chain_is_no_request():
    """The store counts heights in 63 bits; what it cannot count must not reach it."""
    assert decode_frame(FrameType.RANGE_REQUEST, _RANGE.pack((1 << 63) - 1, 5)) == RangeRequest((1 << 63) - 1, 5)
    with pytest.raises(WireError, match="high"):
        decode_frame(FrameType.RANGE_REQUEST, _RANGE.pack(1 << 63, 5))


@pytest.mark.parametrize("name", ["vote", "certificate", "proposal", "block", "evidence", "ready"])
def test_a_message_in_its_canonical_bytes_travels_like_the_message(name: str) -> None:
    frame = sample_frames()[name]
    spoken = Spoken(encode_message(frame.message))
    assert (frame_type(spoken), encode_frame(spoken)) == (frame_type(frame), encode_frame(frame))
    [(kind, body)] = split(encode_frame(spoken))
    assert decode_frame(kind, body).encoded == spoken.encoded


def test_a_slow_frame_arrives_when_its_last_part_does() -> None:
    splitter, slow, vote = (
        FrameSplitter(),
        encode_frame(sample_frames()["chunk"]),
        encode_frame(sample_frames()["vote"]),
    )
    assert splitter.feed(encode_part(slow[:3])) == []
    assert [kind for kind, _ in splitter.feed(vote + encode_part(slow[3:20]))] == [FrameType.VOTE]
    assert splitter.pending_bytes == 20
    assert splitter.feed(encode_part(slow[20:]) + vote) == [split(slow)[0], split(vote)[0]]
    assert splitter.pending_bytes == 0


@pytest.mark.parametrize(
    "data",
    [
        (PART_BYTES_MAX + 1).to_bytes(4, "big") + b"\x04",
        encode_part(encode_part(b"part of a part")),
        encode_part(b"\xff\xff\xff\xff\x10"),
    ],
)
def test_bad_parts_are_refused_from_their_header(data: bytes) -> None:
    with pytest.raises(WireError):
        split(data)
