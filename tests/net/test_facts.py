"""What a node says of itself to its API process: whole or not at all."""

import contextlib

import cbor2
import pytest
from hypothesis import given
from hypothesis import strategies as st

from net.feed.facts import NodeFacts, decode_facts, encode_facts, refusal_of
from net.feed.protocol import FeedError
from net.gateway.backend import EndpointStatus, LinkCounters, NodeCounters, Refusal

FACTS = NodeFacts(
    bytes(32), 2, 17, 3, False, int(Refusal.NO_QUORUM), 90, 140, 12, 5, 60, 1_000, b"\1" * 32, 120,
    (EndpointStatus("one", True, "", 1_000), EndpointStatus("two", False, "dead", 900)),
)  # fmt: skip
COUNTERS = NodeCounters(5, 6, 7, {0: 3}, {80: 2, 90: 1}, (LinkCounters(1, 2, 3, 4, 5, 6),), 40, {"executed": {3: 1}})
DATA = encode_facts(FACTS, COUNTERS)


def test_facts_come_back_as_they_went() -> None:
    assert decode_facts(DATA) == (FACTS, COUNTERS)
    assert refusal_of(FACTS) == Refusal.NO_QUORUM


@pytest.mark.parametrize("data", [b"", DATA[:-1], DATA + b"\0", cbor2.dumps([[], []]), cbor2.dumps(3)])
def test_what_is_no_facts_is_refused(data: bytes) -> None:
    with pytest.raises(FeedError):
        decode_facts(data)


def test_a_refusal_that_nobody_knows_is_refused() -> None:
    plain = cbor2.loads(DATA)
    plain[0][5] = 99
    with pytest.raises(FeedError):
        decode_facts(cbor2.dumps(plain, canonical=True))


@given(st.binary(max_size=64), st.integers(0, len(DATA) - 1))
def test_damaged_bytes_give_facts_or_feed_error(noise: bytes, at: int) -> None:
    for data in (noise, DATA[:at] + noise + DATA[at + len(noise) :]):
        with contextlib.suppress(FeedError):
            decode_facts(data)
