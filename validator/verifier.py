"""Judges certificates on a trader's machine (`net.client.verifying.Verifier`), from genesis.toml and what nodes prove.

Committees that were learned are kept in a file, as the proofs that nodes gave, and judged anew when it is read: nothing
on the disk is believed, and who comes back after many epochs asks only for those that are new.
"""

import itertools
import json
import logging
from collections.abc import Sequence
from pathlib import Path

from consensus.committee import Committee, Member
from consensus.messages import FINALIZE, Certificate, Header, compute_domain
from net.client.proof import ProofError
from net.client.verifying import UnknownEpoch, Verifier
from net.keystore import KeystoreError, write_json
from net.succession import Succession
from validator.config import address_bytes, load_network
from validator.roster import Seats

try:
    from validator.light import Forged, LightChain, Unknown
except ModuleNotFoundError as error:
    raise ImportError(f"certificates cannot be checked without {error.name}: pip install 'hansa[verify]'") from error

logger = logging.getLogger(__name__)


class ChainVerifier:
    """Implements `Verifier`. `path`: where what was learned is kept, None for nowhere."""

    def __init__(self, light: LightChain, path: Path | None = None) -> None:
        self._light, self._path = light, path
        self._learned: list[Succession] = []
        if path is not None:
            self._read(path)

    @property
    def network_id(self) -> str:
        """See `Verifier.network_id`."""
        return "0x" + self._light.domain.hex()

    @property
    def newest_epoch(self) -> int:
        """See `Verifier.newest_epoch`."""
        return self._light.newest_epoch

    def verify(self, header: Header, certificate: Certificate) -> None:
        """See `Verifier.verify`."""
        if certificate.kind != FINALIZE or certificate.header_hash != header.hash():
            raise ProofError("a certificate that does not make this block final")
        try:
            self._light.verify(certificate)
        except Unknown as error:
            if certificate.epoch <= self.newest_epoch:
                raise ProofError(str(error)) from None
            raise UnknownEpoch(str(error)) from None
        except Forged as error:
            raise ProofError(str(error)) from None

    def learn(self, succession: Succession) -> None:
        """See `Verifier.learn`."""
        self._judge(succession)
        self._learned.append(succession)
        logger.info("verifier.committee_learned epoch=%d", succession.epoch)
        if self._path is not None:
            try:
                write_json(self._path, {"committees": [known.to_json() for known in self._learned]})
            except KeystoreError as error:  # it is asked for again after the next start
                logger.warning("verifier.committee_not_kept error=%s", error)

    def _judge(self, succession: Succession) -> None:
        """Raises `ProofError`."""
        try:
            members = tuple(Member(seat.bls_key, seat.network_key, seat.weight) for seat in succession.seats)
            seats = Seats(Committee(succession.epoch, members), tuple(seat.number for seat in succession.seats))
            _check_links(succession.headers)
            self._light.verify_succession(seats, succession.headers, succession.certificate)
        except (Forged, Unknown, ValueError, OverflowError) as error:
            raise ProofError(f"committee of epoch {succession.epoch}: {error}") from None

    def _read(self, path: Path) -> None:
        """As far as what is there holds: the rest is asked for."""
        if not path.exists():
            return
        try:
            for item in json.loads(path.read_text(encoding="utf-8"))["committees"]:
                succession = Succession.from_json(item)
                self._judge(succession)
                self._learned.append(succession)
        except (OSError, ValueError, KeyError, TypeError, ProofError) as error:
            logger.warning("verifier.file_unused path=%s beyond_epoch=%d error=%s", path, self.newest_epoch, error)


def _check_links(headers: Sequence[Header]) -> None:
    """Raises `ValueError`."""
    for parent, child in itertools.pairwise(headers):
        if (child.height, child.epoch, child.parent_hash) != (parent.height + 1, parent.epoch, parent.hash()):
            raise ValueError("the headers do not follow each other")


def open_verifier(genesis: str | Path, folder: str | Path | None = None) -> Verifier:
    """For the network of a genesis.toml that comes from somebody you trust. `folder`: where later committees are kept,
    so that the next start does not ask for them again. Raises `ConfigError`.
    """
    network = load_network(Path(genesis).expanduser())
    domain = compute_domain(network.chain_id, address_bytes(network.contract))
    path = None if folder is None else Path(folder).expanduser() / f"committees-{domain.hex()[:16]}.json"
    return ChainVerifier(LightChain(domain, network.founders()), path)
