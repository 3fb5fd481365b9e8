"""Payloads decoded once: voting, executing and finalising a block all look into it, and decoding checks every byte."""

from functools import lru_cache

from engine.payload import Payload

# More than the blocks that can be under way at once.
REMEMBERED = 32


@lru_cache(REMEMBERED)
def decode_payload(data: bytes) -> Payload:
    """`Payload.decode`, remembered; a payload never changes. Raises `DecodeError`."""
    return Payload.decode(data)
