"""Drawn frames of every type decode: an attacker who sends them is read. What becomes of damaged ones is in
`tests/net/fuzz_wire.py`.
"""

import random
import secrets

import pytest

from consensus import crypto
from net.framing import FrameSplitter
from net.wire import FrameType, decode_frame, encode_frame, frame_type
from testnet.hostile.frames import FrameSource, Traitor

DRAWS = 60
TRAITOR = Traitor(3, crypto.derive_secret(secrets.token_bytes(32)), secrets.token_bytes(32), bytes(32))


@pytest.mark.parametrize("kind", FrameType)
@pytest.mark.parametrize("traitor", [None, TRAITOR], ids=["unsigned", "signed"])
def test_a_drawn_frame_decodes(kind: FrameType, traitor: Traitor | None) -> None:
    source = FrameSource(random.Random(kind), height=50, view=70, hashes=(bytes(31) + b"\x01",), traitor=traitor)
    for _ in range(DRAWS if traitor is None else 5):
        frame = source.frame(kind)
        [(told, body)] = FrameSplitter().feed(encode_frame(frame))
        assert told is kind is frame_type(frame) and decode_frame(kind, body) == frame
