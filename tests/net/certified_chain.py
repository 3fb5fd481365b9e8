"""A small chain of certified blocks without an engine: real keys, real signatures, made-up commitments."""

from collections.abc import Sequence
from dataclasses import dataclass

from nacl.signing import SigningKey

from consensus import crypto
from consensus.committee import Committee, Member
from consensus.messages import (
    COMMITMENT_BYTES,
    FINALIZE,
    ZERO_HASH,
    Block,
    Certificate,
    Header,
    Vote,
    compute_domain,
    keccak,
    vote_digest,
)
from validator.roster import Seats

CHAIN_ID, CONTRACT = 31337, bytes(19) + b"\x07"
DOMAIN = compute_domain(CHAIN_ID, CONTRACT)
GENESIS_HASH = keccak(b"genesis")


@dataclass(frozen=True)
class Keyring:
    """The committee of one epoch with its secrets."""

    epoch: int
    seeds: tuple[bytes, ...]  # of the network keys
    secrets: tuple[bytes, ...]  # of the voting keys

    @property
    def seats(self) -> Seats:
        members = tuple(
            Member(crypto.derive_public_key(secret), bytes(SigningKey(seed).verify_key))
            for secret, seed in zip(self.secrets, self.seeds)
        )
        return Seats(Committee(self.epoch, members), tuple(range(len(members))))


def make_keyring(count: int, epoch: int = 1, salt: int = 0) -> Keyring:
    seeds = tuple(keccak(bytes([salt, epoch, index])) for index in range(count))
    return Keyring(epoch, seeds, tuple(crypto.derive_secret(seed) for seed in seeds))


def certify(keyring: Keyring, block: Block, signers: Sequence[int] | None = None) -> Certificate:
    """By the first quorum, or by whom the test says."""
    committee = keyring.seats.committee
    chosen = range(committee.quorum) if signers is None else signers
    header_hash, view = block.hash(), block.header.view
    digest = vote_digest(DOMAIN, FINALIZE, keyring.epoch, view, header_hash)
    votes = [
        Vote(FINALIZE, keyring.epoch, view, header_hash, signer, crypto.sign(keyring.secrets[signer], digest))
        for signer in chosen
    ]
    keys = [member.bls_key for member in committee.members]
    certificate, _ = crypto.make_certificate(votes, keys, digest, keyring.epoch, len(keys))
    assert certificate is not None
    return certificate


class Chain:
    """The blocks of one epoch. Grows block by block, from height 1 or on top of another epoch's chain."""

    def __init__(self, keyring: Keyring, before: "Chain | None" = None) -> None:
        self.keyring = keyring
        self.first_height = 1 if before is None else before.first_height + len(before.blocks)
        self.root_hash = GENESIS_HASH if before is None else before.blocks[-1].hash()
        self.blocks: list[Block] = []
        self.trailing: Block | None = None
        self._certificates: dict[int, Certificate] = {}

    def grow(self, payload: bytes = b"\x80", next_committee_hash: bytes = ZERO_HASH) -> Block:
        """One more block on top."""
        self.blocks.append(self._make(payload, next_committee_hash))
        return self.blocks[-1]

    def seal(self, next_committee_hash: bytes) -> Block:
        """The block that ends the epoch. As it often happens, no certificate is for it, but one for a trailing block
        that repeats what it says.
        """
        sealing = self.grow(next_committee_hash=next_committee_hash)
        self.trailing = self._make(b"", next_committee_hash)
        return sealing

    def is_direct(self, height: int) -> bool:
        return self.trailing is None or height != self.blocks[-1].header.height

    def _make(self, payload: bytes, next_committee_hash: bytes) -> Block:
        count = len(self.keyring.seeds)
        parent_hash = self.blocks[-1].hash() if self.blocks else self.root_hash
        height, view = self.first_height + len(self.blocks), len(self.blocks) + 1
        header = Header(
            self.keyring.epoch, view, height, parent_hash, view - 1, view % count, 1_000 + height, keccak(payload),
            next_committee_hash, bytes(COMMITMENT_BYTES),
        )  # fmt: skip
        return Block(header, payload)

    def block(self, height: int) -> Block:
        return self.blocks[height - self.first_height]

    def certificate(self, height: int) -> Certificate:
        if height not in self._certificates:
            trailing = None if self.is_direct(height) else self.trailing
            self._certificates[height] = certify(self.keyring, trailing or self.block(height))
        return self._certificates[height]
