"""A validator's keys as the registry sees them, and its proof that the voting key is its own."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from consensus import crypto
from net.identity import derive_network_key
from validator.config import address_bytes
from validator.keys import Keys

if TYPE_CHECKING:
    from contracts.registry import Registry


@dataclass(frozen=True, slots=True)
class Candidate:
    """Public parts, and the secret one that proves."""

    operator: bytes
    bls_key: bytes
    network_key: bytes
    bls_secret: bytes

    def __repr__(self) -> str:
        return f"Candidate({self.operator_text})"

    @property
    def operator_text(self) -> str:
        return "0x" + self.operator.hex()

    def possession_digest(self, registry: "Registry") -> bytes:
        from contracts.digests import possession_digest

        return possession_digest(
            registry.chain_id, registry.address_bytes, self.operator, self.network_key, self.bls_key
        )

    def prove_possession(self, registry: "Registry") -> bytes:
        return crypto.prove_possession(self.bls_secret, self.possession_digest(registry))


def make_candidate(keys: Keys) -> Candidate:
    from eth_account import Account

    operator = address_bytes(Account.from_key(keys.operator).address)
    return Candidate(operator, crypto.derive_public_key(keys.bls), derive_network_key(keys.network), keys.bls)
