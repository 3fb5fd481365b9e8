"""A validator's network key: one ed25519 seed is its libp2p identity and signs its batches and price reports."""

from nacl.exceptions import CryptoError
from nacl.signing import SigningKey, VerifyKey

from engine.payload import Batch, PriceReport, batch_signing_bytes

SEED_BYTES = 32
NETWORK_KEY_BYTES = 32
SIGNATURE_BYTES = 64


def derive_network_key(seed: bytes) -> bytes:
    """The 32-byte public key that the settlement contract's registry holds."""
    if len(seed) != SEED_BYTES:
        raise ValueError(f"a network seed has {SEED_BYTES} bytes, not {len(seed)}")
    return bytes(SigningKey(seed).verify_key)


class NetworkSigner:
    """Signs with a validator's network key; keeps the expanded key, so that a signature costs 46 us."""

    def __init__(self, seed: bytes, domain: bytes) -> None:
        self.network_key = derive_network_key(seed)
        self._key = SigningKey(seed)
        self._domain = domain

    def sign_batch(self, author: int, sequence: int, commands: bytes) -> Batch:
        """A sealed batch."""
        unsigned = Batch(author, sequence, commands, bytes(SIGNATURE_BYTES))
        return Batch(author, sequence, commands, self.sign_batch_hash(unsigned.hash()))

    def sign_batch_hash(self, batch_hash: bytes) -> bytes:
        """The author's signature of a batch with this hash."""
        return self._sign(batch_signing_bytes(self._domain, batch_hash))

    def sign_price_report(self, validator: int, time_ms: int, feeds_e8: tuple[int, ...]) -> PriceReport:
        """A signed price report."""
        unsigned = PriceReport(validator, time_ms, feeds_e8, bytes(SIGNATURE_BYTES))
        return PriceReport(validator, time_ms, feeds_e8, self._sign(unsigned.signing_bytes(self._domain)))

    def sign_checkpoint(self, number: int, height: int, header_hash: bytes, chain_block: int) -> bytes:
        """See `checkpoint_signing_bytes`."""
        return self._sign(checkpoint_signing_bytes(self._domain, number, height, header_hash, chain_block))

    def _sign(self, message: bytes) -> bytes:
        return self._key.sign(message).signature


def checkpoint_signing_bytes(domain: bytes, number: int, height: int, header_hash: bytes, chain_block: int) -> bytes:
    """What a member signs when it tells what the settlement contract holds; whoever asks the chain need not believe."""
    numbers = (number.to_bytes(4, "big"), height.to_bytes(8, "big"), chain_block.to_bytes(8, "big"))
    return b"hansa/checkpoint/v1" + domain + b"".join(numbers) + header_hash


def verify_checkpoint(
    network_key: bytes, domain: bytes, number: int, height: int, header_hash: bytes, chain_block: int, signature: bytes
) -> bool:
    """Whether `network_key` said so. Total like `verify_batch`."""
    message = checkpoint_signing_bytes(domain, number, height, header_hash, chain_block)
    return _verify(network_key, message, signature)


def verify_batch(batch: Batch, network_key: bytes, domain: bytes) -> bool:
    """Whether `network_key` signed this batch. Total: bad keys and signatures give False."""
    return verify_batch_hash(batch.hash(), batch.signature, network_key, domain)


def verify_batch_hash(batch_hash: bytes, signature: bytes, network_key: bytes, domain: bytes) -> bool:
    """The same where the hash is known, which costs more than the signature. Total like `verify_batch`."""
    return _verify(network_key, batch_signing_bytes(domain, batch_hash), signature)


def verify_price_report(report: PriceReport, network_key: bytes, domain: bytes) -> bool:
    """Whether `network_key` signed this price report. Total like `verify_batch`."""
    return _verify(network_key, report.signing_bytes(domain), report.signature)


def _verify(network_key: bytes, message: bytes, signature: bytes) -> bool:
    try:
        VerifyKey(network_key).verify(message, signature)
    except (CryptoError, ValueError, TypeError):
        return False
    return True
