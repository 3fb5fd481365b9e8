"""Who agrees in one epoch: an ordered list of members, its hash, and how much of it is a quorum.

The hash is what a sealing block names, what the next members say they are ready for, and what the settlement chain's
registry must show: `keccak` over the members in order, each `bls_key (48 B) ‖ network_key (32 B) ‖ weight (8 B BE)`.

Every member weighs 1 today, as the settlement contract counts. All counting here goes through `quorum` and `weigh`, so
other weights are a change of the committee and of the contract, not of the rules.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple

from consensus.messages import COMMITTEE_MAX, keccak, quorum

BLS_KEY_BYTES = 48
NETWORK_KEY_BYTES = 32
WEIGHT_MAX = 1 << 32


class Member(NamedTuple):
    bls_key: bytes
    network_key: bytes
    weight: int = 1

    def encode(self) -> bytes:
        return self.bls_key + self.network_key + self.weight.to_bytes(8, "big")


@dataclass(frozen=True, slots=True)
class Committee:
    """The members of `epoch`; a member's position is its index in bitmaps and headers."""

    epoch: int
    members: tuple[Member, ...]

    def __post_init__(self) -> None:
        if not 0 < len(self.members) <= COMMITTEE_MAX:
            raise ValueError(f"a committee has 1 to {COMMITTEE_MAX} members, not {len(self.members)}")
        for member in self.members:
            if len(member.bls_key) != BLS_KEY_BYTES or len(member.network_key) != NETWORK_KEY_BYTES:
                raise ValueError("a BLS key has 48 bytes, a network key 32")
            if not 0 < member.weight < WEIGHT_MAX:
                raise ValueError("a weight is positive and below 2^32")
        # One key, one seat: a key that counted twice would be a quorum of fewer people.
        for keys in ([m.bls_key for m in self.members], [m.network_key for m in self.members]):
            if len(dict.fromkeys(keys)) != len(keys):
                raise ValueError("two members share a key")

    @property
    def weights(self) -> tuple[int, ...]:
        return tuple(member.weight for member in self.members)

    @property
    def quorum(self) -> int:
        return quorum(sum(self.weights))

    def hash(self) -> bytes:
        return keccak(b"".join(member.encode() for member in self.members))

    def find(self, network_key: bytes | None) -> int | None:
        """The index of the member with this network key."""
        keys = [member.network_key for member in self.members]
        return keys.index(network_key) if network_key in keys else None


def weigh(weights: tuple[int, ...], signers: Iterable[int]) -> int:
    """What distinct signers weigh together; all of them are members."""
    return sum(weights[signer] for signer in signers)
