"""Points of BLS12-381 as blspy writes them (compressed) and as the contract reads them (EIP-2537 words)."""

from py_arkworks_bls12381 import G1Point, G2Point

KEY_BYTES = 48
SIGNATURE_BYTES = 96
KEY_WORDS_BYTES = 128


def key_words(key48: bytes) -> bytes:
    """A compressed public key as 128 bytes. Raises `ValueError` if it is no point of the group."""
    return _pad(G1Point.from_compressed_bytes(_checked(key48, KEY_BYTES)).to_xy_bytes_be())


def signature_words(signature96: bytes) -> bytes:
    """A compressed signature as 256 bytes. Raises `ValueError` if it is no point of the group."""
    return _pad(G2Point.from_compressed_bytes(_checked(signature96, SIGNATURE_BYTES)).to_xy_bytes_be())


def compress_key(words: bytes) -> bytes:
    """Inverse of `key_words`."""
    if len(words) != KEY_WORDS_BYTES:
        raise ValueError(f"a key has {KEY_WORDS_BYTES} bytes in words, not {len(words)}")
    return bytes(G1Point.from_xy_bytes_be(words[16:64] + words[80:128]).to_compressed_bytes())


def _checked(compressed: bytes, length: int) -> bytes:
    if len(compressed) != length:
        raise ValueError(f"a compressed point has {length} bytes, not {len(compressed)}")
    return compressed


def _pad(coordinates: bytes) -> bytes:
    return b"".join(bytes(16) + bytes(coordinates[at : at + 48]) for at in range(0, len(coordinates), 48))
