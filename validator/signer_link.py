"""A connection to the process that holds the voting key, before it belongs to a loop: connect, greet, ask, wait.

It blocks, for a few seconds at most: for the start of a node, for commands, and for worker threads.
"""

import socket
import time
from pathlib import Path

from net.feed.protocol import FeedError, FeedSplitter
from net.feed.sockets import within_reach
from net.signer_frames import (
    SIGNER_FRAME_BYTES_MAX,
    SIGNER_VERSION,
    Farewell,
    Greeting,
    SignerAnswer,
    SignerFrame,
    SignerQuestion,
    Welcome,
    decode_signer,
    encode_signer,
)

ANSWER_S_MAX = 5.0
# How long a signer may take to notice that the node before has ended.
BUSY_S_MAX = 2.0
BUSY_RETRY_S = 0.1


class SignerUnwilling(Exception):
    """The signer answers, but not to us; the message says why and what to do."""


class SignerLink:
    """See the module's text. `welcome`: what the signer said of itself."""

    def __init__(self, path: Path, network_id: bytes, purpose: int) -> None:
        """Raises `OSError` when nobody answers, `SignerUnwilling` when it is the wrong one or has another node."""
        self._splitter = FeedSplitter(SIGNER_FRAME_BYTES_MAX)
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            self._socket.settimeout(ANSWER_S_MAX)
            with within_reach(path) as reached:
                self._socket.connect(str(reached))
            self._socket.sendall(encode_signer(Greeting(SIGNER_VERSION, network_id, purpose)))
            self.welcome = self._read_welcome(path)
        except BaseException:
            self._socket.close()
            raise

    def _read_welcome(self, path: Path) -> Welcome:
        match self._read():
            case Welcome() as welcome if welcome.version == SIGNER_VERSION:
                return welcome
            case Farewell(reason):
                raise SignerUnwilling(f"the signer at {path} refuses: {reason}")
            case _:
                raise SignerUnwilling(f"what answers at {path} is no signer of this version: install the same there")

    def ask(self, question: SignerQuestion) -> SignerAnswer:
        """Raises `OSError` when it cannot be answered now."""
        self._socket.sendall(encode_signer(question))
        while True:
            answer = self._read()
            if isinstance(answer, SignerAnswer) and answer.token == question.token:
                return answer

    def _read(self) -> SignerFrame:
        while True:
            data = self._socket.recv(SIGNER_FRAME_BYTES_MAX)
            if not data:
                raise ConnectionResetError("the signer has closed the connection")
            try:
                bodies = self._splitter.feed(data)
                if bodies:
                    return decode_signer(bodies[0])  # one question at a time, so one answer
            except FeedError as error:
                raise SignerUnwilling(f"what answers is no signer: {error}") from None

    def detach(self) -> socket.socket:
        """The connection, for a loop."""
        self._socket.setblocking(False)
        return self._socket

    def close(self) -> None:
        self._socket.close()


def open_patiently(path: Path, network_id: bytes, purpose: int) -> SignerLink:
    """As `SignerLink`, but a node that has just ended may still be connected: for a moment that is not believed."""
    give_up_at_s = time.monotonic() + BUSY_S_MAX
    while True:
        try:
            return SignerLink(path, network_id, purpose)
        except SignerUnwilling:
            if time.monotonic() > give_up_at_s:
                raise
            time.sleep(BUSY_RETRY_S)
