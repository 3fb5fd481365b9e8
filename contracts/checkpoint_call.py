"""`checkpoint(header, nonsigners, signature)` as bytes for the contract, in a fraction of a millisecond."""

from contracts import bls
from contracts.digests import HEADER_BYTES, keccak

SELECTOR = keccak(b"checkpoint(bytes32[20],bytes,bytes32[8])")[:4]
_SIGNATURE_WORDS = 8
# The header, this offset and the signature stand before what has no fixed length.
_NONSIGNERS_AT = (HEADER_BYTES + 32 + 32 * _SIGNATURE_WORDS).to_bytes(32, "big")


def encode_checkpoint(header: bytes, nonsigners: list[int], signature96: bytes) -> bytes:
    """Calldata that posts a finalised header (640 bytes); `nonsigners` are the committee indices absent from the
    signature. Raises `ValueError` for a signature that is no point of the group.
    """
    if len(header) != HEADER_BYTES:
        raise ValueError(f"a header has {HEADER_BYTES} bytes, not {len(header)}")
    indices = bytes(nonsigners)
    padded = indices + bytes(-len(indices) % 32)
    return b"".join(
        (SELECTOR, header, _NONSIGNERS_AT, bls.signature_words(signature96), len(indices).to_bytes(32, "big"), padded)
    )
