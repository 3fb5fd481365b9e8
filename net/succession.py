"""The committee of an epoch and what proves it, as a node tells it (`public/x_get_committee`) and a trader keeps it."""

from dataclasses import dataclass
from typing import Any, NamedTuple

from consensus.messages import Certificate, DecodeError, Header

COMMITTEE_MAX = 255
HEADERS_MAX = 64


class Seat(NamedTuple):
    """One member; its place in the committee is its index in bitmaps."""

    number: int
    bls_key: bytes
    network_key: bytes
    weight: int


@dataclass(frozen=True, slots=True)
class Succession:
    """`headers`: linked, from the block that ended the epoch before, which names the committee's hash, to the one that
    `certificate` makes final; none of both for the first committee, which is known from genesis.toml. Nothing of it is
    true before it is judged.
    """

    epoch: int
    seats: tuple[Seat, ...]
    headers: tuple[Header, ...]
    certificate: Certificate | None

    def to_json(self) -> dict[str, Any]:
        certificate = self.certificate
        return {
            "epoch": self.epoch,
            "members": [
                {
                    "number": seat.number, "bls_key": "0x" + seat.bls_key.hex(),
                    "network_key": "0x" + seat.network_key.hex(), "weight": seat.weight,
                }
                for seat in self.seats
            ],
            "headers": ["0x" + header.encode().hex() for header in self.headers],
            "certificate": None if certificate is None else {
                "kind": certificate.kind, "epoch": certificate.epoch, "view": certificate.view,
                "header_hash": "0x" + certificate.header_hash.hex(), "bitmap": "0x" + certificate.bitmap.hex(),
                "signature": "0x" + certificate.signature.hex(),
            },
        }  # fmt: skip

    @classmethod
    def from_json(cls, item: Any) -> "Succession":
        """Raises `ValueError` for what has another form."""
        try:
            members, headers, shown = item["members"], item["headers"], item["certificate"]
            if not 0 < len(members) <= COMMITTEE_MAX or len(headers) > HEADERS_MAX:
                raise ValueError("so many members or headers has no committee")
            seats = tuple(
                Seat(int(m["number"]), _bytes(m["bls_key"]), _bytes(m["network_key"]), int(m["weight"]))
                for m in members
            )
            certificate = None
            if shown is not None:
                certificate = Certificate(
                    int(shown["kind"]), int(shown["epoch"]), int(shown["view"]), _bytes(shown["header_hash"]),
                    _bytes(shown["bitmap"]), _bytes(shown["signature"]),
                )  # fmt: skip
            decoded = tuple(Header.decode(_bytes(header)) for header in headers)
            return cls(int(item["epoch"]), seats, decoded, certificate)
        except (KeyError, TypeError, AttributeError, DecodeError) as error:
            raise ValueError(f"malformed committee: {error!r}") from None


def _bytes(text: str) -> bytes:
    return bytes.fromhex(text.removeprefix("0x"))
