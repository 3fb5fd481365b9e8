"""Signature schemes of a run: the real one, or one that is as strict but costs a microsecond.

A cheap signature is keccak(secret ‖ digest), three times over; an aggregate is the bitwise sum of its parts. Nobody in
the simulator computes another member's signature.
"""

from collections.abc import Sequence

from consensus import crypto
from consensus.messages import Approval, Certificate, Ready, Vote, keccak, make_bitmap, vote_digest
from consensus.scheme import Scheme
from testnet.sim.keys import Keys


class CheapScheme:
    """Knows which secret belongs to which public key, so it can check what it did not sign."""

    def __init__(self, secrets: Sequence[bytes]) -> None:
        self._secrets = {cheap_public_key(secret): secret for secret in secrets}
        self._memory: dict[tuple[bytes, bytes], int] = {}

    def sign(self, secret: bytes, digest: bytes) -> bytes:
        return self._sign(secret, digest).to_bytes(96, "big")

    def verify_aggregate(self, keys: Sequence[bytes], digest: bytes, signature: bytes) -> bool:
        if not keys or any(key not in self._secrets for key in keys):
            return False
        total = 0
        for key in keys:
            total ^= self._sign(self._secrets[key], digest)
        return total == int.from_bytes(signature, "big")

    def make_certificate(
        self, votes: Sequence[Vote], keys: Sequence[bytes], digest: bytes, epoch: int, member_count: int
    ) -> tuple[Certificate | None, tuple[int, ...]]:
        total, bad = self._sum(votes, keys, digest)
        if bad:
            return None, bad
        first = votes[0]
        bitmap = make_bitmap([vote.signer for vote in votes], member_count)
        return Certificate(first.kind, epoch, first.view, first.header_hash, bitmap, total.to_bytes(96, "big")), ()

    def make_approval(
        self, readies: Sequence[Ready], keys: Sequence[bytes], digest: bytes
    ) -> tuple[Approval | None, tuple[int, ...]]:
        total, bad = self._sum(readies, keys, digest)
        if bad:
            return None, bad
        first = readies[0]
        bitmap = make_bitmap([ready.signer for ready in readies], len(keys))
        return Approval(first.epoch, first.committee_hash, bitmap, total.to_bytes(96, "big")), ()

    def _sum(
        self, statements: Sequence[Vote] | Sequence[Ready], keys: Sequence[bytes], digest: bytes
    ) -> tuple[int, tuple[int, ...]]:
        """Of the signatures, and whose are wrong."""
        total, bad = 0, []
        for statement in statements:
            own = int.from_bytes(statement.signature, "big")
            total ^= own
            if own != self._sign(self._secrets[keys[statement.signer]], digest):
                bad.append(statement.signer)
        return total, tuple(bad)

    def _sign(self, secret: bytes, digest: bytes) -> int:
        signature = self._memory.get((secret, digest))
        if signature is None:
            signature = self._memory[secret, digest] = int.from_bytes(keccak(secret + digest) * 3, "big")
        return signature


class RememberingScheme:
    """The real scheme; what one member of a run has verified or summed, the others are told."""

    def __init__(self) -> None:
        self._verified: dict[tuple[tuple[bytes, ...], bytes, bytes], bool] = {}
        self._certificates: dict[object, tuple[Certificate | None, tuple[int, ...]]] = {}

    def sign(self, secret: bytes, digest: bytes) -> bytes:
        return crypto.sign(secret, digest)

    def verify_aggregate(self, keys: Sequence[bytes], digest: bytes, signature: bytes) -> bool:
        asked = (tuple(keys), digest, signature)
        if asked not in self._verified:
            self._verified[asked] = crypto.verify_aggregate(keys, digest, signature)
        return self._verified[asked]

    def make_certificate(
        self, votes: Sequence[Vote], keys: Sequence[bytes], digest: bytes, epoch: int, member_count: int
    ) -> tuple[Certificate | None, tuple[int, ...]]:
        asked = (tuple(votes), tuple(keys), digest, epoch, member_count)
        if asked not in self._certificates:
            self._certificates[asked] = crypto.make_certificate(votes, keys, digest, epoch, member_count)
        return self._certificates[asked]

    def make_approval(
        self, readies: Sequence[Ready], keys: Sequence[bytes], digest: bytes
    ) -> tuple[Approval | None, tuple[int, ...]]:
        return crypto.make_approval(readies, keys, digest)


def cheap_public_key(secret: bytes) -> bytes:
    return keccak(b"public" + secret) + bytes(16)


class SchemeKeys(Keys):
    """All members' voting keys of one run, and the scheme they belong to."""

    def __init__(self, seed: int, member_count: int, domain: bytes, has_real_signatures: bool) -> None:
        super().__init__(seed, member_count, domain)
        self.scheme: Scheme
        if has_real_signatures:
            self.secrets = [crypto.derive_secret(secret) for secret in self._secrets]
            self.public_keys = tuple(crypto.derive_public_key(secret) for secret in self.secrets)
            self.scheme = RememberingScheme()
        else:
            self.secrets = self._secrets
            self.public_keys = tuple(cheap_public_key(secret) for secret in self.secrets)
            self.scheme = CheapScheme(self.secrets)

    def is_genuine(self, certificate: Certificate) -> bool:
        """Only the aggregate; how many signers there are is not asked here."""
        signers = certificate.signers()
        if not signers or signers[-1] >= self.member_count:
            return False
        keys = [self.public_keys[signer] for signer in signers]
        digest = self._digest(certificate.kind, certificate.epoch, certificate.view, certificate.header_hash)
        return self.scheme.verify_aggregate(keys, digest, certificate.signature)

    def is_genuine_vote(self, vote: Vote) -> bool:
        digest = self._digest(vote.kind, vote.epoch, vote.view, vote.header_hash)
        return self.scheme.verify_aggregate([self.public_keys[vote.signer]], digest, vote.signature)

    def _signature(self, member: int, kind: int, epoch: int, view: int, header_hash: bytes) -> bytes:
        return self.scheme.sign(self.secrets[member], self._digest(kind, epoch, view, header_hash))

    def _digest(self, kind: int, epoch: int, view: int, header_hash: bytes) -> bytes:
        return vote_digest(self.domain, kind, epoch, view, header_hash)
