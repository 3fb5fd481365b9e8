"""Is what a node calls final really so? Its certificate is asked for and judged on the trader's machine. No I/O.

Trusted is the first committee alone: each later one is proven by the block that ended the epoch before, which a quorum
of that epoch's committee signed. So an answer of any epoch can be judged, whichever node gives it.

Who judges is passed in as a `Verifier`: pairings need a library that a light install has not (`validator.verifier`
makes one, with the extra `verify`). Without one nothing is checked, and answers say so.
"""

from collections import OrderedDict
from collections.abc import Generator
from typing import Any, Protocol, TypeVar

from consensus.messages import Certificate, DecodeError, Header
from net.client.proof import ProofError
from net.client.protocol import Call, HansaError, OutcomeUnknown
from net.succession import Succession

T = TypeVar("T")
Asking = Generator[Call, Any, T]
PROVEN, UNCHECKED = "proven", "unchecked"
_HEIGHTS_REMEMBERED = 4096
# A block without a certificate of its own is final by that of a descendant, hardly ever of one so far away.
_CHAIN_MAX = 8
# A node that is asked may have a block a moment later than the one that told of it.
_TRIES, _PAUSE_S = 60, 0.05


class UnknownEpoch(Exception):
    """The certificate is of an epoch whose committee is not known yet, which proves nothing against it."""


class Verifier(Protocol):
    """Knows a network's committees by epoch."""

    @property
    def network_id(self) -> str:
        """Of the only network that it judges."""

    @property
    def newest_epoch(self) -> int:
        """The last one whose committee is known."""

    def verify(self, header: Header, certificate: Certificate) -> None:
        """Raises `ProofError` unless a quorum of the epoch's committee made exactly this block final, `UnknownEpoch`
        when that committee is not known.
        """

    def learn(self, succession: Succession) -> None:
        """The committee of the epoch after the newest one. Raises `ProofError` when the proof does not hold."""


class Certainty:
    """Proves answers, once each height. With `verifier` None nothing is asked and nothing proven."""

    def __init__(self, verifier: Verifier | None) -> None:
        self._verifier = verifier
        self._proven: OrderedDict[int, None] = OrderedDict()

    def check(self, answer: dict[str, Any]) -> Asking[dict[str, Any]]:
        """An answer about a command with `x_certificate`, if it is final: `proven`, or `unchecked` without a verifier.
        Raises `ProofError` when the node shows no certificate of the committee for its block.
        """
        height = answer.get("x_height")
        if not isinstance(height, int) or not answer.get("x_is_final"):
            return answer
        if self._verifier is None:
            return answer | {"x_certificate": UNCHECKED}
        if height not in self._proven:
            count = yield from prove_height(self._verifier, height)
            self._proven |= dict.fromkeys(range(height, height + count))
            while len(self._proven) > _HEIGHTS_REMEMBERED:
                self._proven.popitem(last=False)
        return answer | {"x_certificate": PROVEN}

    def judge(self, shown: dict[str, Any]) -> Asking[str]:
        """Of a certificate that came with a proof. Raises `ProofError`."""
        if self._verifier is None:
            return UNCHECKED
        yield from _judge(self._verifier, *_decode(shown))
        return PROVEN


def prove_height(verifier: Verifier, height: int) -> Asking[int]:
    """How many blocks are proven from `height` on: more than one where only a descendant has a certificate. Raises
    `ProofError`.
    """
    chain: list[Header] = []
    while True:
        at = height + len(chain)
        header, certificate = _decode((yield from _ask(Call("public/x_get_certificate", {"height": at}))))
        if header.height != at or (chain and header.parent_hash != chain[-1].hash()):
            raise ProofError(f"no block of height {at} that follows the one before")
        chain.append(header)
        try:
            yield from _judge(verifier, header, certificate)
            return len(chain)
        except ProofError:
            if len(chain) == _CHAIN_MAX:
                raise


def _judge(verifier: Verifier, header: Header, certificate: Certificate) -> Asking[None]:
    """Learns the committees between the newest known one and that of the certificate, each by its proof."""
    while True:
        try:
            return verifier.verify(header, certificate)
        except UnknownEpoch:
            epoch = verifier.newest_epoch + 1
        shown = yield from _ask(Call("public/x_get_committee", {"epoch": epoch}))
        try:
            succession = Succession.from_json(shown)
        except ValueError as error:
            raise ProofError(str(error)) from None
        if succession.epoch != epoch:
            raise ProofError(f"the committee of epoch {succession.epoch} in the place of that of epoch {epoch}")
        verifier.learn(succession)


def _ask(call: Call) -> Asking[Any]:
    for _ in range(_TRIES):
        try:
            return (yield call)
        except OutcomeUnknown as error:
            raise ProofError(str(error)) from None
        except HansaError as error:
            last, call = error, Call(call.method, call.params, _PAUSE_S)
    raise ProofError(f"{call.method} of {call.params}: {last}")


def _decode(shown: Any) -> tuple[Header, Certificate]:
    try:
        header = Header.decode(_bytes(shown["header"]))
        certificate = Certificate(
            shown["kind"], shown["epoch"], shown["view"], header.hash(), _bytes(shown["bitmap"]),
            _bytes(shown["signature"]),
        )  # fmt: skip
    except (KeyError, TypeError, ValueError, DecodeError) as error:
        raise ProofError(f"malformed certificate: {error!r}") from None
    return header, certificate


def _bytes(text: str) -> bytes:
    return bytes.fromhex(text.removeprefix("0x"))
