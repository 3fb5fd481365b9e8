"""Spam on a public host's gossip: by one key after the other, from addresses of their own, in bare protobuf.

Fields are numbered as the pubsub specification of libp2p does; a message is signed as it demands, for what is not
signed is dropped at once.
"""

import random
import secrets
from collections.abc import Callable
from itertools import count as count_up
from typing import Any

import trio
from nacl.signing import SigningKey

from net.committee import MemberAddress
from net.peer_identity import peer_id_of
from net.public.messages import Topics
from net.rogue import hang_up, open_rogue
from testnet.hostile.scene import Count, Scene

GOSSIP_PROTOCOL = "/meshsub/1.1.0"
SIGNED_PREFIX = b"libp2p-pubsub:"
SPAMMERS = 6
FRAMES_PER_S = 40
LINK_TIMEOUT_S = 5.0
REDIAL_S = 0.5
JUNK_BYTES = 100_000
IDS_PER_FRAME = 400


async def spam(scene: Scene, count: Count) -> None:
    """Subscribes like everybody and then says what nobody can use."""
    async with trio.open_nursery() as nursery:
        for public in scene.public:
            for number in range(SPAMMERS):
                nursery.start_soon(_spam_on, public, Topics.of(scene.network_id), f"127.0.88.{number + 1}", count)


async def _spam_on(public: MemberAddress, topics: Topics, source: str, count: Count) -> None:
    while True:
        seed = secrets.token_bytes(32)  # a ban is of a key, and keys are free
        try:
            async with open_rogue(seed) as rogue:
                with trio.fail_after(LINK_TIMEOUT_S):
                    stream = await rogue.open_stream(public, GOSSIP_PROTOCOL, source)
                count("links", 1)
                try:
                    await _say(stream, SigningKey(seed), topics, count)
                finally:
                    hang_up(stream.muxed_conn)
        except Exception:  # whatever the library makes of a connection that was hung up
            count("thrown out", 1)
        await trio.sleep(REDIAL_S)


async def _say(stream: Any, key: SigningKey, topics: Topics, count: Count) -> None:
    draw = random.Random(secrets.randbits(64))
    await stream.write(with_length(subscription(topics.blocks)))
    makers: dict[str, Callable[[int], bytes]] = {
        "random": lambda _: draw.randbytes(200),
        "signed junk": lambda number: field(2, signed_message(key, topics.blocks, draw.randbytes(500), number)),
        "large signed junk": lambda number: field(
            2, signed_message(key, topics.batches, draw.randbytes(JUNK_BYTES), number)
        ),
        "unknown topic": lambda number: field(2, signed_message(key, "spam", b"spam", number)),
        "subscriptions": lambda _: b"".join(subscription(f"spam/{draw.random()}") for _ in range(50)),
        "promises": lambda _: field(3, field(1, field(1, topics.blocks.encode()) + _draw_ids(draw))),
        "questions": lambda _: field(3, field(2, _draw_ids(draw))),
    }
    names = sorted(makers)
    for number in count_up(1):
        name = draw.choice(names)
        frame = with_length(makers[name](number))
        await stream.write(frame)
        count("frames sent", 1)
        count("bytes sent", len(frame))
        count(f"sent: {name}", 1)
        await trio.sleep(1 / FRAMES_PER_S)


def _draw_ids(draw: random.Random) -> bytes:
    return b"".join(field(2, draw.randbytes(40)) for _ in range(IDS_PER_FRAME))


def signed_message(key: SigningKey, topic: str, data: bytes, number: int) -> bytes:
    """from, data, seqno and topic, and the signature over them."""
    sender: bytes = peer_id_of(bytes(key.verify_key)).to_bytes()
    body = field(1, sender) + field(2, data) + field(3, number.to_bytes(8, "big")) + field(4, topic.encode())
    return body + field(5, key.sign(SIGNED_PREFIX + body).signature)


def subscription(topic: str) -> bytes:
    """The part of a frame that asks for a topic."""
    return field(1, b"\x08\x01" + field(2, topic.encode()))


def field(number: int, value: bytes) -> bytes:
    """A length-delimited field."""
    return bytes([number << 3 | 2]) + varint(len(value)) + value


def with_length(frame: bytes) -> bytes:
    """As it goes over a stream."""
    return varint(len(frame)) + frame


def varint(value: int) -> bytes:
    """Unsigned LEB128."""
    encoded = bytearray()
    while value > 0x7F:
        encoded.append(value & 0x7F | 0x80)
        value >>= 7
    encoded.append(value)
    return bytes(encoded)
