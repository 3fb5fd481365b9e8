"""The process that alone holds a voting key: `hansa signer`. It answers questions on a Unix socket, which nobody can
open but its user and a group that its operator names, and believes nothing of what it is told: each question is judged
by the guard, whose file is synced before the answer leaves.

It votes for one node at a time. A second one with the same genesis.toml is what a copied folder looks like, and is sent
away for as long as the first one is connected.
"""

import logging
import socket
import struct
from pathlib import Path

import trio

from net.feed.protocol import FeedError, FeedSplitter
from net.feed.sockets import serve_privately
from net.signer_frames import (
    PROVING,
    SIGNER_FRAME_BYTES_MAX,
    SIGNER_VERSION,
    VOTING,
    Farewell,
    FloorRequest,
    Greeting,
    ProofRequest,
    ReadyRequest,
    SignerAnswer,
    SignerFrame,
    VoteRequest,
    Welcome,
    decode_signer,
    encode_signer,
)
from validator.disk import Disk
from validator.signer import Signer, SignerError
from validator.voting_key import VotingKey

log = logging.getLogger("hansa.signer")

CONNECTIONS_MAX = 4
READ_BYTES = 64 * 1024
GREETING_S_MAX = 5.0
_CREDENTIALS = struct.Struct("3i")  # <sys/socket.h>: struct ucred


class SignerService:
    """Lives in the signer's loop."""

    def __init__(
        self, path: Path, signer: Signer, key: VotingKey, network_id: bytes, disk: Disk, group: int | None = None
    ) -> None:
        """`group`: the number of a group of users that may connect, too."""
        self._path, self._signer, self._key = path, signer, key
        self._network_id, self._group = network_id, group
        self._disk = disk
        self._voter: str | None = None  # the node that it votes for

    async def run(self) -> None:
        """Until cancelled. Raises `SignerError` when guard or socket cannot be used."""
        epoch, view = self._signer.newest
        log.info("signer.ready path=%s key=%s epoch=%d view=%d", self._path, self._key.public.hex(), epoch, view)
        await serve_privately(self._path, CONNECTIONS_MAX, self._serve, log, self._group)
        raise SignerError(f"nobody can be heard at {self._path}: choose another --socket")

    async def _serve(self, stream: trio.SocketStream) -> None:
        who = name_peer(stream.socket)
        try:
            await self._talk(stream, who)
        except (OSError, trio.BrokenResourceError, trio.ClosedResourceError):
            pass  # the node has ended, or was cut off
        except FeedError as error:
            log.warning("signer.malformed by=%s error=%s", who, error)

    async def _talk(self, stream: trio.SocketStream, who: str) -> None:
        splitter = FeedSplitter(SIGNER_FRAME_BYTES_MAX)
        greeting = await _read_greeting(stream, splitter)
        reason = self._judge(greeting)
        if reason:
            log.error("signer.sent_away by=%s reason=%s", who, reason)
            await stream.send_all(encode_signer(Farewell(reason)))
            return
        is_voter = greeting.purpose == VOTING
        try:
            if is_voter:
                self._voter = who
                log.info("signer.node_came by=%s", who)
            epoch, view = self._signer.newest
            await stream.send_all(encode_signer(Welcome(SIGNER_VERSION, self._key.public, epoch, view)))
            while data := await stream.receive_some(READ_BYTES):
                questions = [decode_signer(body) for body in splitter.feed(bytes(data))]
                answers = [self._answer(question, is_voter) for question in questions]
                if not self._signer.is_synced:
                    self._disk.begin([self._signer])
                    await self._disk.wait()
                await stream.send_all(b"".join(map(encode_signer, answers)))
        finally:
            if is_voter:
                self._voter = None
                log.info("signer.node_left by=%s", who)

    def _judge(self, greeting: Greeting) -> str:
        """Why a connection is refused, or nothing."""
        if greeting.version != SIGNER_VERSION:
            return f"it speaks version {SIGNER_VERSION}, the node version {greeting.version}: install the same on both"
        if greeting.network_id != self._network_id:
            return "the node's genesis.toml is that of another network"
        if greeting.purpose == VOTING and self._voter is not None:
            return f"it votes for another node already ({self._voter}): end that one, two with one key are slashed"
        return "" if greeting.purpose in (VOTING, PROVING) else "it has no such purpose"

    def _answer(self, question: SignerFrame, is_voter: bool) -> SignerAnswer:
        """Raises `FeedError` for what this connection may not ask."""
        match question:
            case ProofRequest(token, chain_id, registry, operator, network_key):
                return SignerAnswer(token, self._key.prove(chain_id, registry, operator, network_key), "")
            case VoteRequest(token, epoch, kind, view, header_hash) if is_voter:
                answer = self._signer.sign_statement(epoch, kind, view, header_hash)
                if isinstance(answer, bytes):
                    return SignerAnswer(token, answer, "")
                log.error("signer.refused epoch=%d view=%d kind=%d reason=%s", epoch, view, kind, answer)
                return SignerAnswer(token, b"", answer)
            case ReadyRequest(token, epoch, committee_hash) if is_voter:
                return SignerAnswer(token, self._signer.sign_ready(epoch, committee_hash, 0).signature, "")
            case FloorRequest(token, epoch, view) if is_voter:
                if epoch < self._signer.newest[0]:
                    return SignerAnswer(token, b"", "an epoch that is over")
                self._signer.enter(epoch, None)
                self._signer.raise_floor(view)
                log.warning("signer.floor epoch=%d view=%d", epoch, view)
                return SignerAnswer(token, b"", "")
            case _:
                raise FeedError(f"{type(question).__name__} is no question for this connection")


async def _read_greeting(stream: trio.SocketStream, splitter: FeedSplitter) -> Greeting:
    """Raises `FeedError` for anything else, and for silence."""
    with trio.move_on_after(GREETING_S_MAX):
        while data := await stream.receive_some(SIGNER_FRAME_BYTES_MAX):
            bodies = splitter.feed(bytes(data))
            if bodies:
                greeting = decode_signer(bodies[0])
                if len(bodies) == 1 and isinstance(greeting, Greeting):
                    return greeting
                break
    raise FeedError("no greeting")


def name_peer(connection: trio.socket.SocketType) -> str:
    """For the log and for who is refused: the process and the user on the other side, where the system tells."""
    if not hasattr(socket, "SO_PEERCRED"):
        return "a process of this machine"
    data = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
    process, user, _ = _CREDENTIALS.unpack(data)
    return f"process {process} of user {user}"
