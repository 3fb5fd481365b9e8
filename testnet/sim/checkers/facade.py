"""One door for a world to all checkers. Every method raises `Violation` when a property breaks."""

from collections.abc import Callable, Container, Mapping

from consensus.messages import Block, Certificate, Evidence, Header, Proposal, Vote
from testnet.sim.checkers.agreement import AgreementChecker
from testnet.sim.checkers.certificates import CertificateChecker
from testnet.sim.checkers.durability import check_durable
from testnet.sim.checkers.evidence import EvidenceChecker
from testnet.sim.checkers.memory import check_sizes
from testnet.sim.checkers.roots import RootChecker
from testnet.sim.checkers.signatures import SignatureChecker
from testnet.sim.keys import Keys, decode


class Checkers:
    def __init__(
        self,
        keys: Keys,
        genesis: Header,
        byzantine: tuple[int, ...],
        execute: Callable[[Header, Block], bytes],
        leaders: tuple[int, ...] = (),
    ) -> None:
        """`execute`: see `RootChecker`; `leaders`: see `AgreementChecker`."""
        self._certificates = CertificateChecker(keys, genesis.epoch)
        self._agreement = AgreementChecker(genesis, self._certificates, leaders)
        self._evidence = EvidenceChecker(keys, byzantine)
        self._roots = RootChecker(execute)
        self._signatures = SignatureChecker()

    @property
    def height(self) -> int:
        """The highest block that an honest node delivered."""
        return self._agreement.height

    @property
    def final_headers(self) -> dict[int, tuple[bytes, Header]]:
        """By height: hash and header."""
        return self._agreement.final_headers

    @property
    def evidence_count(self) -> int:
        return self._evidence.count

    @property
    def offences(self) -> dict[int, tuple[int, ...]]:
        """By member that honest nodes have proven to lie."""
        return {member: tuple(sorted(found)) for member, found in sorted(self._evidence.offences.items())}

    @property
    def evidence(self) -> list[Evidence]:
        """Every piece that honest nodes hold."""
        return list(self._evidence.seen)

    def on_restart(self, node: int, height: int) -> None:
        """An honest node starts with what its disk holds up to `height`."""
        self._agreement.on_restart(node, height)

    def on_final(self, node: int, block: Block) -> None:
        """An honest node delivers a block."""
        parent = self._agreement.on_final(node, block)
        if parent is not None:
            self._roots.on_first_final(parent, block)

    def on_executed(self, node: int, block_hash: bytes, commitment: bytes | None) -> None:
        """An honest node has executed a block; None for an invalid one."""
        self._roots.on_executed(node, block_hash, commitment)

    def on_certificate(self, certificate: Certificate, data: bytes) -> None:
        """An honest node believes a certificate."""
        self._certificates.on_certificate(certificate, data)

    def on_sent(self, node: int, data: bytes, durable_votes: Container[Vote]) -> None:
        """An honest node lets something out; `durable_votes` are surely on its disk."""
        if data[:2] in (b"\x82\x02", b"\x82\x04", b"\x82\x05"):
            return
        message = decode(data)
        assert isinstance(message, Vote | Proposal)
        vote = message if isinstance(message, Vote) else message.vote
        check_durable(node, vote, durable_votes)
        self._signatures.on_vote(node, vote)

    def on_evidence(self, evidence: Evidence) -> None:
        """An honest node accuses."""
        self._evidence.on_evidence(evidence)

    def on_tick(self, node: int, sizes: Mapping[str, tuple[int, int]]) -> None:
        """Now and then: what a node holds of everything, and how much it may."""
        check_sizes(node, sizes)

    def on_end(self) -> None:
        self._certificates.on_end()
