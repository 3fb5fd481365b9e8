"""Golden vectors of every signed or hashed byte, and decoding of anything at all.

`python tests/consensus/test_consensus_messages.py` writes the vectors anew; a difference is a change of the protocol.
"""

import json
from pathlib import Path
from typing import Any

import cbor2
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from consensus import crypto
from consensus.leaders import compute_leaders, get_leader
from consensus.messages import (
    COMMITMENT_BYTES,
    FINALIZE,
    KINDS,
    NOTARIZE,
    NULLIFY,
    ZERO_HASH,
    Block,
    Certificate,
    DecodeError,
    Header,
    Message,
    Proposal,
    Vote,
    compute_domain,
    decode_message,
    encode_message,
    keccak,
    make_bitmap,
    quorum,
    vote_digest,
)
from consensus.sync import Blame, verify_range

VECTORS = Path(__file__).resolve().parent.parent / "vectors" / "consensus.json"
DOMAIN = compute_domain(31337, bytes(range(20)))
SECRETS = [crypto.derive_secret(bytes([index + 1]) * 32) for index in range(4)]


def make_header(view: int = 3, height: int = 2, parent_hash: bytes = b"p" * 32, payload: bytes = b"payload") -> Header:
    commitment = b"".join(number.to_bytes(32, "big") for number in range(1, 11))
    return Header(
        1, view, height, parent_hash, view - 2, 1, 1_700_000_000_000 + height, keccak(payload), ZERO_HASH, commitment
    )


def certify(kind: int, view: int, header_hash: bytes) -> Certificate:
    digest = vote_digest(DOMAIN, kind, 1, view, header_hash)
    votes = [Vote(kind, 1, view, header_hash, index, crypto.sign(SECRETS[index], digest)) for index in (0, 1, 3)]
    keys = [crypto.derive_public_key(secret) for secret in SECRETS]
    certificate, _ = crypto.make_certificate(votes, keys, digest, 1, 4)
    assert certificate is not None
    return certificate


def make_vectors() -> dict[str, Any]:
    header = make_header()
    block = Block(header, b"payload")
    digests = {kind: vote_digest(DOMAIN, kind, 1, 3, header.hash()) for kind in KINDS}
    vote = Vote(NOTARIZE, 1, 3, header.hash(), 1, crypto.sign(SECRETS[1], digests[NOTARIZE]))
    proposal = Proposal(block, vote, certify(NOTARIZE, 1, header.parent_hash), (certify(NULLIFY, 2, ZERO_HASH),))
    finalization = certify(FINALIZE, 3, header.hash())
    return {
        "domain": DOMAIN.hex(),
        "secret_keys": [secret.hex() for secret in SECRETS],
        "public_keys": [crypto.derive_public_key(secret).hex() for secret in SECRETS],
        "header": header.encode().hex(),
        "header_hash": header.hash().hex(),
        "vote_digests": {str(kind): digest.hex() for kind, digest in digests.items()},
        "vote_signature": vote.signature.hex(),
        "vote": encode_message(vote).hex(),
        "finalization": encode_message(finalization).hex(),
        "finalization_bitmap": finalization.bitmap.hex(),
        "finalization_signature": finalization.signature.hex(),
        "proposal": encode_message(proposal).hex(),
        "block": encode_message(block).hex(),
        "leaders_of_7": list(compute_leaders(b"seed".ljust(32), 1, 7)),
    }


def test_golden_vectors() -> None:
    assert make_vectors() == json.loads(VECTORS.read_text())


def test_golden_messages_decode() -> None:
    vectors = json.loads(VECTORS.read_text())
    for name in ("vote", "finalization", "proposal", "block"):
        data = bytes.fromhex(vectors[name])
        assert encode_message(decode_message(data)) == data
    assert Header.decode(bytes.fromhex(vectors["header"])).hash().hex() == vectors["header_hash"]


def test_nullify_digest_ignores_the_block() -> None:
    assert vote_digest(DOMAIN, NULLIFY, 1, 3, b"x" * 32) == vote_digest(DOMAIN, NULLIFY, 1, 3, ZERO_HASH)
    assert len({vote_digest(DOMAIN, kind, 1, 3, ZERO_HASH) for kind in KINDS}) == 3


@pytest.mark.parametrize(("members", "expected"), [(1, 1), (3, 3), (4, 3), (5, 4), (6, 5), (7, 5), (10, 7), (100, 67)])
def test_quorum(members: int, expected: int) -> None:
    assert quorum(members) == expected
    assert 2 * expected - members >= (members - 1) // 3 + 1


HASHES = st.binary(min_size=32, max_size=32)
VIEWS = st.integers(1, 2**64 - 1)
SIGNATURES = st.binary(min_size=96, max_size=96)


def statements(kind: int) -> st.SearchStrategy[bytes]:
    return st.just(ZERO_HASH) if kind == NULLIFY else HASHES.filter(lambda value: value != ZERO_HASH)


def votes(kind: int) -> st.SearchStrategy[Vote]:
    return st.builds(
        Vote, st.just(kind), st.integers(0, 2**32 - 1), VIEWS, statements(kind), st.integers(0, 254), SIGNATURES
    )


def certificates(kind: int) -> st.SearchStrategy[Certificate]:
    bitmaps = st.binary(min_size=1, max_size=32)
    return st.builds(
        Certificate, st.just(kind), st.integers(0, 2**32 - 1), VIEWS, statements(kind), bitmaps, SIGNATURES
    )


@st.composite
def blocks(draw: st.DrawFn) -> Block:
    payload = draw(st.binary(max_size=64))
    commitment = draw(st.binary(min_size=COMMITMENT_BYTES, max_size=COMMITMENT_BYTES))
    header = Header(
        draw(st.integers(0, 2**32 - 1)), draw(VIEWS), draw(VIEWS), draw(HASHES), draw(VIEWS), draw(st.integers(0, 254)),
        draw(VIEWS), keccak(payload), draw(HASHES), commitment,
    )  # fmt: skip
    return Block(header, payload)


MESSAGES = st.one_of(
    *(votes(kind) for kind in KINDS),
    *(certificates(kind) for kind in KINDS),
    blocks(),
    st.builds(
        Proposal,
        blocks(),
        votes(NOTARIZE),
        st.none() | certificates(NOTARIZE) | certificates(FINALIZE),
        st.lists(certificates(NULLIFY), max_size=3).map(tuple),
    ),
)
ITEMS = st.recursive(
    st.none() | st.booleans() | st.integers() | st.binary(max_size=100) | st.text(max_size=5) | st.floats(),
    lambda inner: st.lists(inner, max_size=7) | st.dictionaries(st.integers(), inner, max_size=2),
    max_leaves=12,
)


@settings(max_examples=200, deadline=None)
@given(MESSAGES)
def test_round_trip(message: Message) -> None:
    assert decode_message(encode_message(message)) == message


@settings(max_examples=300, deadline=None)
@given(
    st.binary(max_size=300) | ITEMS.map(cbor2.dumps) | st.tuples(st.integers(1, 4), ITEMS).map(list).map(cbor2.dumps)
)
def test_any_bytes_give_a_message_or_a_decode_error(data: bytes) -> None:
    try:
        message = decode_message(data)
    except DecodeError:
        return
    assert encode_message(message) == data


@settings(max_examples=200, deadline=None)
@given(MESSAGES, st.data())
def test_one_changed_byte_is_refused_or_canonical(message: Message, data: st.DataObject) -> None:
    encoded = bytearray(encode_message(message))
    encoded[data.draw(st.integers(0, len(encoded) - 1))] ^= data.draw(st.integers(1, 255))
    try:
        other = decode_message(bytes(encoded))
    except DecodeError:
        return
    assert encode_message(other) == bytes(encoded)


def test_longer_spellings_are_refused() -> None:
    data = encode_message(certify(NULLIFY, 2, ZERO_HASH))
    for spelling in (data + b"\0", b"\x98\x02" + data[1:], b"\x82\x18\x02" + data[2:]):
        with pytest.raises(DecodeError):
            decode_message(spelling)


@pytest.mark.parametrize("member_count", [1, 4, 7, 31])
def test_leaders_are_a_permutation(member_count: int) -> None:
    leaders = compute_leaders(b"s" * 32, 1, member_count)
    assert sorted(leaders) == list(range(member_count))
    assert [get_leader(leaders, view) for view in range(1, member_count + 1)] == list(leaders)
    assert get_leader(leaders, member_count + 1) == leaders[0]


def test_every_member_leads_first_about_equally_often() -> None:
    first = [compute_leaders(number.to_bytes(32, "big"), 1, 4)[0] for number in range(400)]
    assert all(70 <= first.count(member) <= 130 for member in range(4))


def make_run() -> list[Block]:
    run = [Block(make_header(), b"payload")]
    for number in range(3):
        before = run[-1].header
        payload = b"%d" % number
        run.append(Block(make_header(before.view + 2, before.height + 1, before.hash(), payload), payload))
    return run


RUN = make_run()
LAST = Certificate(FINALIZE, 1, RUN[-1].header.view, RUN[-1].hash(), make_bitmap([0, 1, 2], 4), bytes(96))
RANGES = [
    ("all of it", RUN, LAST, 1, 4),
    ("one known already", RUN, LAST, 2, 3),
    ("empty", [], LAST, 1, "empty"),
    ("gap", [RUN[0], *RUN[2:]], LAST, 1, "consecutive"),
    ("wrong order", RUN[::-1], LAST, 1, "another block"),
    ("cut off", RUN[:-1], LAST, 1, "another block"),
    ("starts too late", RUN[1:], LAST, 1, "consecutive"),
    ("nothing new", RUN, LAST, 5, "nothing"),
    (
        "notarised only",
        RUN,
        Certificate(NOTARIZE, 1, LAST.view, LAST.header_hash, LAST.bitmap, LAST.signature),
        1,
        "nothing",
    ),
    (
        "wrong view",
        RUN,
        Certificate(FINALIZE, 1, 99, LAST.header_hash, LAST.bitmap, LAST.signature),
        1,
        "another block",
    ),
]


@pytest.mark.parametrize(("_", "run", "certificate", "height", "expected"), RANGES)
def test_range(_: str, run: list[Block], certificate: Certificate, height: int, expected: int | str) -> None:
    final_hash = RUN[0].header.parent_hash if height == 1 else RUN[min(height - 2, 3)].hash()
    verdict = verify_range(final_hash, height, run, certificate)
    if isinstance(expected, int):
        assert isinstance(verdict, tuple) and len(verdict) == expected
    else:
        assert isinstance(verdict, Blame) and expected in verdict.reason


def test_range_on_another_chain_is_blamed() -> None:
    assert verify_range(b"x" * 32, 1, RUN, LAST) == Blame("a parent hash does not match")


if __name__ == "__main__":
    VECTORS.write_text(json.dumps(make_vectors(), indent=1) + "\n")
