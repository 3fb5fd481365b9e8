"""A validator's public voting key and the proof that it is its own, whether the secret is here or with a signer."""

from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from consensus import crypto
from net.signer_frames import PROVING, ProofRequest
from validator.config import ConfigError, Home, NetworkConfig, NodeConfig
from validator.keys import Keys
from validator.signer_link import SignerLink, SignerUnwilling


@dataclass(frozen=True, slots=True)
class VotingKey:
    """The secret is in this process."""

    public: bytes
    secret: bytes

    def __repr__(self) -> str:
        return f"VotingKey({self.public.hex()})"

    def prove(self, chain_id: int, registry: bytes, operator: bytes, network_key: bytes) -> bytes:
        """Signs what the registry at that address (20 bytes) asks of a newcomer."""
        from contracts.digests import possession_digest

        digest = possession_digest(chain_id, registry, operator, network_key, self.public)
        return crypto.prove_possession(self.secret, digest)


@dataclass(frozen=True, slots=True)
class DistantKey:
    """The secret is with the signer at `path`."""

    public: bytes
    path: Path
    network_id: bytes

    def prove(self, chain_id: int, registry: bytes, operator: bytes, network_key: bytes) -> bytes:
        """As `VotingKey.prove`. Raises `ConfigError` when the signer is away."""
        with closing(open_proving(self.path, self.network_id)) as link:
            try:
                return link.ask(ProofRequest(1, chain_id, registry, operator, network_key)).signature
            except OSError as error:
                raise ConfigError(f"the signer at {self.path} gives no proof of possession: {error}") from None


def make_voting_key(secret: bytes) -> VotingKey:
    """Of a secret of 32 bytes."""
    return VotingKey(crypto.derive_public_key(secret), secret)


def find_voting_key(home: Home, network: NetworkConfig, node: NodeConfig, keys: Keys) -> VotingKey | DistantKey:
    """Blocks. Raises `ConfigError` when the signer that config.toml names does not answer."""
    path = home.signer_socket(node)
    if path is None:
        return make_voting_key(keys.voting_secret())
    with closing(open_proving(path, network.digest())) as link:
        return DistantKey(link.welcome.bls_key, path, network.digest())


def open_proving(path: Path, network_id: bytes) -> SignerLink:
    """A connection beside that of the node that votes. Raises `ConfigError`."""
    try:
        return SignerLink(path, network_id, PROVING)
    except (OSError, SignerUnwilling) as error:
        raise ConfigError(f"the signer at {path} is needed for this, start it first: {error}") from None
