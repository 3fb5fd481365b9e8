"""A validator's keys as the registry sees them, and its proof that the voting key is its own."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from net.identity import derive_network_key
from validator.config import address_bytes
from validator.keys import Keys
from validator.voting_key import DistantKey, VotingKey

if TYPE_CHECKING:
    from contracts.registry import Registry


@dataclass(frozen=True, slots=True)
class Candidate:
    """Public parts, and who proves."""

    operator: bytes
    network_key: bytes
    voting_key: VotingKey | DistantKey

    @property
    def bls_key(self) -> bytes:
        return self.voting_key.public

    @property
    def operator_text(self) -> str:
        return "0x" + self.operator.hex()

    def possession_digest(self, registry: "Registry") -> bytes:
        from contracts.digests import possession_digest

        return possession_digest(
            registry.chain_id, registry.address_bytes, self.operator, self.network_key, self.bls_key
        )

    def prove_possession(self, registry: "Registry") -> bytes:
        """Raises `ConfigError` when a signer has the secret and is away."""
        return self.voting_key.prove(registry.chain_id, registry.address_bytes, self.operator, self.network_key)


def address_of(secret: bytes) -> str:
    """0x-prefixed, of an account on the settlement chain."""
    from eth_account import Account

    address: str = Account.from_key(secret).address
    return address


def make_candidate(keys: Keys, voting_key: VotingKey | DistantKey) -> Candidate:
    return Candidate(address_bytes(address_of(keys.operator)), derive_network_key(keys.network), voting_key)
