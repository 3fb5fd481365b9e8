"""What travels on the public topics: every message comes back, anything else is an error and nothing worse."""

from contextlib import suppress
from dataclasses import replace

import cbor2
import pytest
from certified_chain import DOMAIN, Chain, certify, make_keyring
from hypothesis import given
from hypothesis import strategies as st

from consensus.messages import PAYLOAD_BYTES_MAX
from engine.commands import CANCEL_ALL, Command
from net.identity import NetworkSigner
from net.public.messages import (
    MESSAGE_BYTES_MAX,
    CheckpointNote,
    CommitteeProof,
    Item,
    PublicError,
    Run,
    Topics,
    cut_run,
    decode_bundle,
    decode_checkpoint,
    decode_committee,
    decode_peers,
    decode_request,
    decode_run,
    encode_bundle,
    encode_checkpoint,
    encode_committee,
    encode_peers,
    encode_request,
    encode_run,
)

CHAIN = Chain(make_keyring(4))
for _ in range(6):
    CHAIN.grow()
ITEMS = tuple(Item(block.header, block.payload) for block in CHAIN.blocks)
RUN = Run(ITEMS, CHAIN.certificate(6))
MESSAGE = Command.of(CANCEL_ALL, bytes(20), 1, 1).encode()
BATCH = NetworkSigner(CHAIN.keyring.seeds[1], DOMAIN).sign_batch(1, 7, MESSAGE)
NOTE = CheckpointNote(2, 20, bytes(32), 99, bytes(64))


def test_every_message_comes_back() -> None:
    assert decode_run(encode_run(RUN)) == RUN
    assert decode_bundle(encode_bundle([BATCH.encode()])) == (BATCH,)
    assert decode_checkpoint(encode_checkpoint(NOTE)) == NOTE
    proof = CommitteeProof(b"seats", (CHAIN.blocks[5].header,), RUN.certificate)
    assert decode_committee(encode_committee(proof)) == proof
    assert decode_committee(encode_committee(CommitteeProof(b"", (), None))) is None
    assert decode_peers(encode_peers(["/ip4/127.0.0.1/tcp/1"])) == ["/ip4/127.0.0.1/tcp/1"]
    assert decode_request(encode_request(1, 2, 3), 3) == [1, 2, 3]


TOPICS = Topics.of(bytes(32))
DECODERS = {TOPICS.blocks: decode_run, TOPICS.batches: decode_bundle, TOPICS.checkpoints: decode_checkpoint}


@pytest.mark.parametrize("count", [1, 2, 23, 24, 64])
def test_every_message_looks_like_its_topic_and_like_no_other(count: int) -> None:
    bundle = encode_bundle([BATCH.encode()] * count)
    items = tuple(Item(CHAIN.blocks[0].header, payload) for payload in (None, b"", b"x" * 300))
    told = [(TOPICS.batches, bundle), (TOPICS.checkpoints, encode_checkpoint(NOTE))]
    told += [(TOPICS.blocks, encode_run(Run((item,) * count, RUN.certificate))) for item in items]
    told += [
        (TOPICS.blocks, encode_run(Run((replace(item, bodies=(b"y",)),) * count, RUN.certificate))) for item in items
    ]
    for topic, data in told:
        assert [other for other in TOPICS.all() if TOPICS.is_plausible(other, data)] == [topic]
        assert not TOPICS.is_plausible(topic, data + bytes(MESSAGE_BYTES_MAX)) and not TOPICS.is_plausible(topic, b"")


@given(st.sampled_from(TOPICS.all()), st.binary(max_size=40), st.integers(0, 800))
def test_what_can_be_decoded_looks_right(topic: str, damage: bytes, at: int) -> None:
    good = {TOPICS.blocks: encode_run(RUN), TOPICS.batches: encode_bundle([BATCH.encode()] * 2)}
    data = bytearray(good.get(topic, encode_checkpoint(NOTE)))
    data[at : at + len(damage)] = damage
    with suppress(PublicError):
        DECODERS[topic](bytes(data))
        assert TOPICS.is_plausible(topic, bytes(data))


@given(st.binary(min_size=200, max_size=200))
def test_most_junk_does_not(junk: bytes) -> None:
    assert not TOPICS.is_plausible(TOPICS.blocks, junk)


def test_the_height_of_a_header_stands_where_other_languages_look_for_it() -> None:
    items, _ = cbor2.loads(encode_run(RUN))
    assert [int.from_bytes(header[96:128], "big") for header, _ in items] == [1, 2, 3, 4, 5, 6]


@given(st.binary(max_size=300))
def test_any_bytes_are_a_message_or_an_error(data: bytes) -> None:
    for decode in (decode_run, decode_bundle, decode_checkpoint, decode_committee, decode_peers):
        with suppress(PublicError):
            decode(data)
    with pytest.raises(PublicError):
        decode_request(data + b"\xff" * 64, 3)


def _broken_runs() -> dict[str, bytes]:
    good = cbor2.loads(encode_run(RUN))
    other = make_other_chain()
    return {
        "a gap": cbor2.dumps([good[0][:2] + good[0][3:], good[1]], canonical=True),
        "another parent": cbor2.dumps([[other, *good[0][1:]], good[1]], canonical=True),
        "no block": cbor2.dumps([[], good[1]], canonical=True),
        "too many": cbor2.dumps([good[0] * 11, good[1]], canonical=True),
        "another block's certificate": cbor2.dumps([good[0][:5], good[1]], canonical=True),
        "another payload": cbor2.dumps([[[good[0][0][0], b"x"], *good[0][1:]], good[1]], canonical=True),
        "a short header": cbor2.dumps([[[good[0][0][0][:-1], b"\x80"], *good[0][1:]], good[1]], canonical=True),
        "two spellings": b"\x9f" + encode_run(RUN)[1:] + b"\xff",
        "oversized": bytes(MESSAGE_BYTES_MAX + 1),
    }


def make_other_chain() -> list[object]:
    other = Chain(make_keyring(4, salt=9))
    block = other.grow(payload=b"\x81\x01")
    return [block.header.encode(), block.payload]


@pytest.mark.parametrize("why", list(_broken_runs()))
def test_runs_that_hold_together_badly_are_refused(why: str) -> None:
    with pytest.raises(PublicError):
        decode_run(_broken_runs()[why])


def test_a_run_that_is_too_large_leaves_out_payloads_and_keeps_headers() -> None:
    chain = Chain(make_keyring(1))
    for _ in range(8):
        chain.grow(payload=bytes(PAYLOAD_BYTES_MAX - 1))
    items = [Item(block.header, block.payload) for block in chain.blocks]
    run = cut_run(items, certify(chain.keyring, chain.blocks[-1]))
    data = encode_run(run)
    assert len(data) <= MESSAGE_BYTES_MAX
    assert decode_run(data) == run
    assert 0 < sum(item.payload is None for item in run.items) < 8
