"""Certificates that honest nodes believe: genuine, large enough, and not against each other (P2, S3, S4, S6, S7)."""

from consensus.messages import FINALIZE, NOTARIZE, NULLIFY, Certificate, quorum
from testnet.sim.checkers.violation import require
from testnet.sim.keys import Keys


class CertificateChecker:
    def __init__(self, keys: Keys, epoch: int) -> None:
        self._epoch = epoch
        self._keys = keys
        self._quorum = quorum(keys.member_count)
        self._certified: dict[tuple[int, int], bytes] = {}
        self._seen: dict[bytes, None] = {}

    def is_certified(self, kind: int, view: int) -> bool:
        return (kind, view) in self._certified

    def on_certificate(self, certificate: Certificate, data: bytes) -> None:
        if data in self._seen:
            return
        self._seen[data] = None
        signers = certificate.signers()
        require(certificate.epoch == self._epoch, f"P2 a certificate of epoch {certificate.epoch}")
        require(len(signers) >= self._quorum, f"S7 a certificate with {len(signers)} signers")
        require(self._keys.is_genuine(certificate), "S7 a certificate with a wrong signature")
        kind, view, header_hash = certificate.kind, certificate.view, certificate.header_hash
        known = self._certified.setdefault((kind, view), header_hash)
        require(known == header_hash, f"S3 two certificates of kind {kind} in view {view}")
        both = self.is_certified(NULLIFY, view) and self.is_certified(FINALIZE, view)
        require(not both, f"S4 view {view} nullified and finalised")

    def on_end(self) -> None:
        """S6 once everything was seen."""
        for (kind, view), header_hash in self._certified.items():
            if kind == FINALIZE:
                notarized = self._certified.get((NOTARIZE, view))
                require(notarized == header_hash, f"S6 view {view} final, not notarised")
