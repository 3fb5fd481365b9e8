"""A chain known by its certificates alone: whoever knows one committee can follow all later ones. Pure.

Trusted is only the first committee, that of `genesis.toml`, and that fewer than a third of each committee lies while it
is one. Nothing is executed here: whether the commitments are right is what the committee vouches for.
"""

from collections import OrderedDict
from collections.abc import Sequence

from consensus import crypto
from consensus.committee import Committee
from consensus.messages import FINALIZE, ZERO_HASH, Certificate, Header, keccak, vote_digest
from validator.roster import Roster, Seats

VERIFIED_MAX = 4096


class Forged(Exception):
    """A certificate, or a committee, that is not what it claims to be."""


class Unknown(Exception):
    """Of an epoch whose committee is not known here, which proves nothing against it."""


class LightChain:
    """Committees by epoch, and which certificates were found right."""

    def __init__(self, domain: bytes, founders: Seats) -> None:
        self.domain = domain
        self.roster = Roster([founders])
        self.newest_epoch = founders.epoch
        self._verified: OrderedDict[bytes, None] = OrderedDict()

    def learn(self, seats: Seats) -> None:
        """A committee that somebody trusted says, such as our own node."""
        self.roster.learn(seats)
        self.newest_epoch = max(self.newest_epoch, seats.epoch)

    def trust(self, certificate: Certificate) -> None:
        """Our own node has verified it."""
        self._remember(certificate)

    def verify(self, certificate: Certificate) -> None:
        """Raises `Forged`, or `Unknown` when the epoch's committee is not known."""
        name = _name(certificate)
        if name in self._verified:
            self._verified.move_to_end(name)
            return
        committee = self.roster.committee(certificate.epoch)
        if committee is None:
            raise Unknown(f"the committee of epoch {certificate.epoch} is not known")
        _check_quorum(committee, certificate)
        keys = [committee.members[signer].bls_key for signer in certificate.signers()]
        digest = vote_digest(
            self.domain, certificate.kind, certificate.epoch, certificate.view, certificate.header_hash
        )
        if not crypto.verify_aggregate(keys, digest, certificate.signature):
            raise Forged("a certificate with a wrong signature")
        self._remember(certificate)

    def verify_succession(self, seats: Seats, headers: Sequence[Header], certificate: Certificate | None) -> None:
        """Learn the committee of the epoch after the newest, as a sealing block names it. `headers` are linked, and the
        certificate is for the last of them. Raises `Forged`, or `Unknown` for an epoch further ahead.
        """
        if seats.epoch != self.newest_epoch + 1:
            raise Unknown(f"after epoch {self.newest_epoch} comes the next one, not {seats.epoch}")
        if not headers or certificate is None:
            raise Forged("a committee without the block that names it")
        sealing = headers[0]
        if sealing.epoch != self.newest_epoch or sealing.next_committee_hash == ZERO_HASH:
            raise Forged("a block that does not end the epoch before")
        if sealing.next_committee_hash != seats.committee.hash():
            raise Forged("another committee than the one that the sealing block names")
        if certificate.kind != FINALIZE or certificate.header_hash != headers[-1].hash():
            raise Forged("the certificate is for another block")
        self.verify(certificate)
        self.learn(seats)

    def _remember(self, certificate: Certificate) -> None:
        self._verified[_name(certificate)] = None
        if len(self._verified) > VERIFIED_MAX:
            self._verified.popitem(last=False)


def _check_quorum(committee: Committee, certificate: Certificate) -> None:
    signers = certificate.signers()
    if len(certificate.bitmap) != (len(committee.members) + 7) // 8 or not signers:
        raise Forged("a bitmap that is not the committee's")
    if signers[-1] >= len(committee.members):
        raise Forged("a signer who is no member")
    if sum(committee.weights[signer] for signer in signers) < committee.quorum:
        raise Forged("a certificate without a quorum")


def _name(certificate: Certificate) -> bytes:
    numbers = (certificate.kind, certificate.epoch, certificate.view)
    head = b"".join(number.to_bytes(8, "big") for number in numbers)
    return keccak(head + certificate.header_hash + certificate.bitmap + certificate.signature)
