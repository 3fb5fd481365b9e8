"""The node's end of `hansa signer`: votes of a key that is in another process.

A question is one small frame; its answer comes when the signer's guard is on its disk, and goes to agreement like any
other event. Meanwhile nothing waits. While the signer is away the node follows, and what has no answer is asked again
on the next connection: the same statement has the same signature, and another one is refused by the guard there.

A signer that is away when the node starts makes an observer of it, which starts anew when there is one: what the guard
knows must be known before the first question. A signer that comes back knowing less than it has signed for this node is
an old copy, and the node stops.
"""

import logging
import socket
from collections import OrderedDict
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import trio

from consensus.messages import Ready, Vote
from net.feed.protocol import FeedError, FeedSplitter
from net.signer_frames import (
    SIGNER_FRAME_BYTES_MAX,
    VOTING,
    FloorRequest,
    ReadyRequest,
    SignerAnswer,
    VoteRequest,
    decode_signer,
    encode_signer,
)
from validator.signer import SignerError
from validator.signer_link import SignerLink, SignerUnwilling, open_patiently
from validator.vote_signer import Listener

log = logging.getLogger("hansa.signer")

RETRY_S = 0.25
READ_BYTES = 64 * 1024
# Of older views nobody needs a vote any more.
QUESTIONS_MAX = 64


@dataclass(frozen=True, slots=True)
class _Asked:
    """A question without an answer, and the seat it was asked for."""

    question: VoteRequest | ReadyRequest
    index: int


class RemoteSigner:
    """Implements `VoteSigner`. `run` lives in the node's loop."""

    guard = None

    def __init__(self, path: Path, network_id: bytes, epoch: int, index: int | None, bls_key: bytes | None) -> None:
        """`bls_key`: that of the seat `index`, which the signer must have. Raises `SignerError` if it has another, or
        serves another network or another node.
        """
        self._path, self._network_id = path, network_id
        self._epoch, self._index = epoch, index
        self.refused: dict[str, int] = {}
        self._newest = (0, 0)  # epoch and view that its guard must know of
        self._socket: socket.socket | None = None
        self._asked: OrderedDict[int, _Asked] = OrderedDict()
        self._last_token = 0
        try:
            self._link: SignerLink | None = open_patiently(path, network_id, VOTING)
        except SignerUnwilling as error:
            raise SignerError(str(error)) from None
        except OSError as error:
            self._link = None
            self._tell_away(error)
        self.was_found = self._link is not None
        self._bls_key = bls_key
        if self._link is not None:
            welcome = self._link.welcome
            self._newest = welcome.epoch, welcome.view
            if bls_key not in (None, welcome.bls_key):
                self.close()
                raise SignerError(f"the signer at {path} holds the key {welcome.bls_key.hex()}: not that of this seat")
            self._bls_key = welcome.bls_key

    @property
    def is_up(self) -> bool:
        """Whether it is connected."""
        return self._socket is not None or self._link is not None

    @property
    def highest_view(self) -> int:
        """See `VoteSigner`; as of the connection, and of what was signed since."""
        return self._newest[1] if self._newest[0] == self._epoch else 0

    def enter(self, epoch: int, index: int | None) -> None:
        """From now on votes are those of this seat; None: there is none."""
        self._epoch, self._index = epoch, index

    def sign(self, epoch: int, kind: int, view: int, header_hash: bytes) -> str | None:
        """Asks; the answer comes to the listener."""
        if epoch != self._epoch or self._index is None or not self.was_found:
            return "no seat in that epoch"
        self._last_token += 1
        self._ask(_Asked(VoteRequest(self._last_token, epoch, kind, view, header_hash), self._index))
        return None

    def sign_ready(self, epoch: int, committee_hash: bytes, index: int) -> None:
        """Asks, unless that is under way."""
        for asked in self._asked.values():
            if isinstance(asked.question, ReadyRequest) and asked.question.committee_hash == committee_hash:
                return
        self._last_token += 1
        self._ask(_Asked(ReadyRequest(self._last_token, epoch, committee_hash), index))

    def raise_floor(self, view: int) -> None:
        """Before `run` only. Raises `SignerError`."""
        assert self._link is not None, "asked of a signer that is there, before the loop has it"
        self._last_token += 1
        try:
            answer = self._link.ask(FloorRequest(self._last_token, self._epoch, view))
        except OSError as error:
            raise SignerError(f"the signer at {self._path} gave no answer: {error}") from None
        if answer.reason:
            raise SignerError(f"the signer at {self._path} refuses a floor at view {view}: {answer.reason}")
        self._newest = max(self._newest, (self._epoch, view))

    def close(self) -> None:
        """Another node may have the signer then."""
        if self._link is not None:
            self._link.close()
        if self._socket is not None:
            self._socket.close()

    # the loop

    async def run(self, listener: Listener, wake: Callable[[], None]) -> None:
        """Until cancelled; ends when a signer that was away at the start can be asked. Raises `SignerError`."""
        while True:
            link, self._link = self._link or await self._find(), None
            if link is None:
                return
            try:
                await self._listen(link.detach(), listener, wake)
                reason = "the connection was closed"
            except (FeedError, OSError) as error:
                reason = str(error)
            finally:
                link.close()
                self._socket = None
            self._tell_away(reason)
            await trio.sleep(RETRY_S)

    def _tell_away(self, error: object) -> None:
        log.error("signer.away path=%s error=%s (this node follows without a vote and asks again)", self._path, error)

    async def _find(self) -> SignerLink | None:
        """For ever. None when the node has to be built anew for it."""
        told = ""
        while True:
            try:
                link = await trio.to_thread.run_sync(SignerLink, self._path, self._network_id, VOTING)
            except OSError:
                await trio.sleep(RETRY_S)
                continue
            except SignerUnwilling as error:
                if not self.was_found:
                    return None  # the next start says so
                if str(error) != told:
                    told = str(error)
                    log.error("signer.unwilling error=%s", told)
                await trio.sleep(RETRY_S)
                continue
            if not self.was_found:
                link.close()
                return None
            self._check_memory(link)
            log.info("signer.back path=%s", self._path)
            return link

    def _check_memory(self, link: SignerLink) -> None:
        welcome = link.welcome
        is_old = (welcome.epoch, welcome.view) < self._newest
        if is_old or welcome.bls_key != self._bls_key:
            link.close()
            what = "knows less than it has signed for this node: an old copy" if is_old else "holds another key now"
            raise SignerError(f"the signer at {self._path} {what}. End it, and restore its newest folder")

    async def _listen(self, connection: socket.socket, listener: Listener, wake: Callable[[], None]) -> None:
        self._socket = connection
        for asked in self._asked.values():
            self._say(asked)
        splitter = FeedSplitter(SIGNER_FRAME_BYTES_MAX)
        while True:
            await trio.lowlevel.wait_readable(connection.fileno())
            try:
                data = connection.recv(READ_BYTES)
            except BlockingIOError:
                continue
            if not data:
                return
            for body in splitter.feed(data):
                answer = decode_signer(body)
                if not isinstance(answer, SignerAnswer):
                    raise FeedError(f"{type(answer).__name__} where an answer was due")
                self._on_answer(answer, listener)
            wake()

    def _ask(self, asked: _Asked) -> None:
        self._asked[asked.question.token] = asked
        if len(self._asked) > QUESTIONS_MAX:
            self._asked.popitem(last=False)
        self._say(asked)

    def _say(self, asked: _Asked) -> None:
        """At once, from whoever asks: the buffer of a socket has room for thousands of questions."""
        if self._socket is None:
            return
        data = encode_signer(asked.question)
        try:
            is_whole = self._socket.send(data) == len(data)
        except OSError:
            is_whole = False
        if not is_whole:
            with suppress(OSError):
                self._socket.shutdown(socket.SHUT_RDWR)  # `_listen` sees the end, and all is asked again

    def _on_answer(self, answer: SignerAnswer, listener: Listener) -> None:
        if not answer.reason and not answer.signature:
            raise FeedError("an answer without a signature")  # and so the question stays
        match self._asked.pop(answer.token, None):
            case _Asked(VoteRequest(_, epoch, kind, view, _)) if answer.reason:
                self.refused[answer.reason] = self.refused.get(answer.reason, 0) + 1
                listener.on_vote_answer(epoch, kind, view, answer.reason)
            case _Asked(VoteRequest(_, epoch, kind, view, header_hash), index):
                self._newest = max(self._newest, (epoch, view))
                vote = Vote(kind, epoch, view, header_hash, index, answer.signature)
                listener.on_vote_answer(epoch, kind, view, vote)
            case _Asked(ReadyRequest(_, epoch, committee_hash), index) if not answer.reason:
                listener.on_ready(Ready(epoch, committee_hash, index, answer.signature))
