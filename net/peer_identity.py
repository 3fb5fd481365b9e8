"""Network keys as libp2p knows them, for whoever speaks to peers."""

from libp2p.crypto.ed25519 import Ed25519PublicKey, create_new_key_pair
from libp2p.crypto.keys import KeyPair
from libp2p.peer.id import ID

from net.identity import NETWORK_KEY_BYTES, SEED_BYTES


def derive_key_pair(seed: bytes) -> KeyPair:
    """The libp2p key pair of a seed."""
    if len(seed) != SEED_BYTES:
        raise ValueError(f"a network seed has {SEED_BYTES} bytes, not {len(seed)}")
    return create_new_key_pair(seed)


def peer_id_of(network_key: bytes) -> ID:
    """The libp2p peer id of a registered network key. Raises `ValueError` for what is no key."""
    if len(network_key) != NETWORK_KEY_BYTES:
        raise ValueError(f"a network key has {NETWORK_KEY_BYTES} bytes, not {len(network_key)}")
    return ID.from_pubkey(Ed25519PublicKey.from_bytes(network_key))


def network_key_of(peer_id: ID) -> bytes:
    """Inverse of `peer_id_of`. Raises `ValueError` for an id that carries no key, as those of RSA keys do not."""
    key = peer_id.extract_public_key()
    if key is None:
        raise ValueError(f"peer id {peer_id} carries no key")
    return key.to_bytes()
