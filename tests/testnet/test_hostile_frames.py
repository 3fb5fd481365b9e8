"""Drawn frames of every type decode, and damaged ones give `WireError` and nothing else, in bounded time."""

import random
import secrets

import pytest

from consensus import crypto
from net.framing import FrameSplitter
from net.wire import HEADER_BYTES, FrameType, WireError, decode_frame, encode_frame, frame_type
from testnet.hostile.frames import FrameSource, Traitor

DRAWS = 60
DAMAGED = 400
TRAITOR = Traitor(3, crypto.derive_secret(secrets.token_bytes(32)), secrets.token_bytes(32), bytes(32))


@pytest.mark.parametrize("kind", FrameType)
@pytest.mark.parametrize("traitor", [None, TRAITOR], ids=["unsigned", "signed"])
def test_a_drawn_frame_decodes(kind: FrameType, traitor: Traitor | None) -> None:
    source = FrameSource(random.Random(kind), height=50, view=70, hashes=(bytes(31) + b"\x01",), traitor=traitor)
    for _ in range(DRAWS if traitor is None else 5):
        frame = source.frame(kind)
        [(told, body)] = FrameSplitter().feed(encode_frame(frame))
        assert told is kind is frame_type(frame) and decode_frame(kind, body) == frame


def damage(draw: random.Random, data: bytes, other: bytes) -> bytes:
    """One of the ways in which bytes go wrong: by chance and by somebody who knows CBOR."""
    body = bytearray(data)
    at = draw.randrange(len(body) + 1)
    match draw.randrange(8):
        case 0:
            return bytes(body[:at])
        case 1:
            return bytes(body + draw.randbytes(draw.randint(1, 40)))
        case 2:
            for _ in range(draw.randint(1, 8)):
                body[draw.randrange(len(body))] ^= 1 << draw.randrange(8)
        case 3:
            body[at:at] = draw.randbytes(draw.randint(1, 9))
        case 4:
            del body[at : at + draw.randint(1, 9)]
        case 5:
            body[at:] = other[draw.randrange(len(other) + 1) :]
        case 6:  # lengths that promise much, tags, indefinite items, nesting
            body[at:at] = draw.choice(
                [b"\x9f", b"\xbf", b"\x5f", b"\xdb" + b"\xff" * 8, b"\x9b" + b"\x7f" * 8, b"\x81" * 300]
            )
        case _:
            body[at : at + 8] = draw.choice(
                [b"\xff" * 8, bytes(8), b"\xfb\x7f\xf0" + bytes(6), b"\xc2\x49" + b"\x01" * 9]
            )
    return bytes(body)


@pytest.mark.parametrize("kind", FrameType)
def test_a_damaged_frame_is_refused_or_means_what_it_says(kind: FrameType) -> None:
    """Whatever is accepted re-encodes to the very bytes: there is one spelling of everything."""
    draw = random.Random(kind)
    source = FrameSource(draw, height=50, view=70)
    for _ in range(DAMAGED):
        bodies = [encode_frame(source.frame(kind))[HEADER_BYTES:] for _ in range(2)]
        body = damage(draw, *bodies) if bodies[0] else b"\x00"
        try:
            frame = decode_frame(kind, body)
        except WireError:
            continue
        assert encode_frame(frame)[HEADER_BYTES:] == body
