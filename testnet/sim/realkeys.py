"""The real keys of a committee (BLS12-381), where a run must convince the contract too. A thousand times slower."""

from collections.abc import Sequence

from consensus import crypto
from consensus.messages import Certificate, Vote, keccak, vote_digest


class RealKeys:
    """All members' keys of one run."""

    def __init__(self, seed: int, member_count: int, domain: bytes) -> None:
        self.member_count = member_count
        self._domain = domain
        seeds = [keccak(b"real member" + seed.to_bytes(8, "big") + bytes([i])) for i in range(member_count)]
        self.secrets = [crypto.derive_secret(entropy) for entropy in seeds]
        self.public_keys = [crypto.derive_public_key(secret) for secret in self.secrets]

    def sign(self, member: int, kind: int, epoch: int, view: int, header_hash: bytes) -> Vote:
        digest = vote_digest(self._domain, kind, epoch, view, header_hash)
        return Vote(kind, epoch, view, header_hash, member, crypto.sign(self.secrets[member], digest))

    def prove_possession(self, member: int, digest: bytes) -> bytes:
        return crypto.prove_possession(self.secrets[member], digest)

    def is_genuine_vote(self, vote: Vote) -> bool:
        return crypto.verify(self.public_keys[vote.signer], self._digest(vote), vote.signature)

    def is_genuine(self, certificate: Certificate) -> bool:
        signers = certificate.signers()
        if not signers or signers[-1] >= self.member_count:
            return False
        keys = [self.public_keys[signer] for signer in signers]
        return crypto.verify_aggregate(keys, self._digest(certificate), certificate.signature)

    def aggregate(self, votes: Sequence[Vote]) -> tuple[Certificate | None, tuple[int, ...]]:
        digest = self._digest(votes[0])
        return crypto.make_certificate(votes, self.public_keys, digest, votes[0].epoch, self.member_count)

    def _digest(self, statement: Vote | Certificate) -> bytes:
        return vote_digest(self._domain, statement.kind, statement.epoch, statement.view, statement.header_hash)
