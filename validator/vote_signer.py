"""What agreement and a node ask of whoever holds the voting key: the node itself (`validator/signer.py`), or a process
of its own (`validator/remote_signer.py`), which answers later.
"""

from typing import Protocol

from consensus.messages import Ready, Vote
from validator.disk import Durable


class Listener(Protocol):
    """Who hears answers that come later."""

    def on_vote_answer(self, epoch: int, kind: int, view: int, answer: Vote | str) -> None: ...

    def on_ready(self, ready: Ready) -> None: ...


class VoteSigner(Protocol):
    """Nothing is signed that the key's guard forbids."""

    refused: dict[str, int]  # how often, by reason

    @property
    def is_up(self) -> bool:
        """Whether it can sign now."""

    @property
    def guard(self) -> Durable | None:
        """What must be on the disk before signatures leave; None: it is, whenever there is one."""

    @property
    def highest_view(self) -> int:
        """The highest view this key is known to have signed in, or to have given up, in this epoch; 0: none."""

    def enter(self, epoch: int, index: int | None) -> None:
        """From now on votes are those of this seat; None: there is none."""

    def sign(self, epoch: int, kind: int, view: int, header_hash: bytes) -> Vote | str | None:
        """The vote, or the reason why there is none; None: the answer comes to the listener."""

    def sign_ready(self, epoch: int, committee_hash: bytes, index: int) -> Ready | None:
        """EP2: no vote, and nothing that a later one could contradict. None: it comes to the listener."""

    def raise_floor(self, view: int) -> None:
        """Never sign in this view of this epoch or below; durable when it returns."""

    def close(self) -> None: ...
