"""Before this node's key votes: listening for another process with it, and telling others of theirs.

The host of `VoteWatch` in a running node. Of every member the newest finalisation certificate that counts its vote is
remembered, and sent to it when its link comes up.
"""

from collections.abc import Callable

import trio

from consensus.messages import Certificate, DecodeError, decode_message
from validator.agreement import Stop
from validator.clocks import Clocks
from validator.doppelganger import Verdict, VoteWatch
from validator.roster import Roster, Seats

WATCH_INTERVAL_S = 0.02


class Voting:
    """See the module's text. No `watch`: the key has no seat in the epoch that the node starts in, or only observes."""

    def __init__(
        self, roster: Roster, seats: Seats, watch: VoteWatch | None, is_genuine: Callable[[Certificate], bool],
        clocks: Clocks,
    ) -> None:  # fmt: skip
        self._roster = roster
        self._seats = seats
        self._watch = watch
        self._is_genuine = is_genuine
        self._clocks = clocks
        self._counting: dict[int, Certificate] = {}  # by number

    @property
    def is_waiting(self) -> bool:
        return self._watch is not None

    def counting(self, number: int) -> Certificate | None:
        """The newest certificate that counts a member's vote."""
        return self._counting.get(number)

    def note_signers(self, certificate: Certificate) -> None:
        """A finalisation that was checked."""
        seats = self._roster.seats(certificate.epoch)
        if seats is None:
            return
        for signer in certificate.signers():
            number = seats.numbers[signer]
            known = self._counting.get(number)
            if known is None or (known.epoch, known.view) < (certificate.epoch, certificate.view):
                self._counting[number] = certificate

    def on_message(self, data: bytes) -> None:
        """Whatever a member says of agreement while we listen."""
        if self._watch is None:
            return
        try:
            message = decode_message(data)
        except DecodeError:
            return  # agreement holds it against the sender
        if isinstance(message, Certificate) and message.epoch == self._seats.epoch and self._is_genuine(message):
            self._watch.on_certificate(message)

    def on_peer(self, number: int, height: int) -> None:
        if self._watch is not None and self._seats.find(number) is not None:
            self._watch.on_peer(self._clocks.monotonic_ms(), number, height)

    def on_peer_lost(self, number: int) -> None:
        if self._watch is not None:
            self._watch.on_peer_lost(self._clocks.monotonic_ms(), number)

    async def wait(self) -> int | None:
        """Until the key may vote. A view when it must only observe: it voted up to there and forgot. Raises `Stop` when
        somebody else votes with it.
        """
        while self._watch is not None:
            watch, verdict = self._watch, self._watch.judge(self._clocks.monotonic_ms())
            if verdict is Verdict.REFUSE:
                raise Stop(
                    f"this key voted in view {watch.seen_view}, which its guard does not know: another process uses "
                    "it, or this disk is an old copy. End the other one, or restore the newest data folder"
                )
            if verdict is Verdict.OBSERVE:
                return watch.seen_view
            if verdict is Verdict.VOTE:
                self._watch = None
            else:
                await trio.sleep(WATCH_INTERVAL_S)
        return None
