"""A voting key in a process of its own: the same votes and refusals, one node at a time, and no old copy of it."""

import os
import shutil
import socket
import stat
from collections.abc import Callable
from contextlib import suppress
from functools import partial

import pytest
import trio
from chainlet import GENESIS, SECRETS, certify
from running_signer import CHAIN_ID, DOMAIN, NETWORK_ID, RunningSigner

from consensus import crypto
from consensus.messages import (
    FINALIZE,
    NOTARIZE,
    NULLIFY,
    ZERO_HASH,
    Block,
    Header,
    Ready,
    Vote,
    keccak,
    ready_digest,
    vote_digest,
)
from contracts.digests import possession_digest
from net.feed.protocol import FeedError
from net.feed.sockets import listen_privately
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
    VoteRequest,
    Welcome,
    decode_signer,
    encode_signer,
)
from validator.disk import Disk
from validator.doppelganger import Memory, Verdict, VoteWatch
from validator.files import Files
from validator.remote_signer import QUESTIONS_MAX, RemoteSigner
from validator.signer import Signer, SignerError, read_guard
from validator.signer_link import SignerLink, SignerUnwilling
from validator.signer_service import SignerService
from validator.voting_key import DistantKey, make_voting_key

SECRET, SEAT, EPOCH = SECRETS[3], 3, 1
KEY = crypto.derive_public_key(SECRET)
ONE, OTHER = b"\1" * 32, b"\2" * 32


@pytest.fixture
def running(tmp_path):
    with RunningSigner(tmp_path / "signer", SECRET) as running:
        yield running


def connect(running: RunningSigner, bls_key: bytes | None = KEY, network_id: bytes = NETWORK_ID) -> RemoteSigner:
    return RemoteSigner(running.path, network_id, EPOCH, SEAT, bls_key)


class Hearing:
    """A listener that remembers."""

    def __init__(self) -> None:
        self.answers: list[Vote | str | Ready] = []
        self.came = trio.Event()

    def on_vote_answer(self, epoch: int, kind: int, view: int, answer: Vote | str) -> None:
        self.answers.append(answer)

    def on_ready(self, ready: Ready) -> None:
        self.answers.append(ready)

    def wake(self) -> None:
        self.came.set()
        self.came = trio.Event()

    async def wait(self, count: int) -> list[Vote | str | Ready]:
        with trio.fail_after(20):
            while len(self.answers) < count:
                await self.came.wait()
        return self.answers


def ask(remote: RemoteSigner, *questions: Callable[[], object]) -> list[Vote | str | Ready]:
    """The answers to all of them."""
    hearing = Hearing()

    async def main() -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(remote.run, hearing, hearing.wake)
            for question in questions:
                assert question() is None, "the answer comes later"
            await hearing.wait(len(questions))
            nursery.cancel_scope.cancel()

    trio.run(main)
    return hearing.answers


def test_votes_are_those_of_the_key_and_refusals_those_of_its_guard(running):
    remote = connect(running)
    statements = [
        (NOTARIZE, 5, ONE),
        (NOTARIZE, 5, OTHER),
        (NULLIFY, 5, ZERO_HASH),
        (FINALIZE, 5, ONE),
        (NOTARIZE, 6, ONE),
    ]
    answers = ask(remote, *(partial(remote.sign, EPOCH, *statement) for statement in statements))
    assert answers[1] == "notarized another block in this view" and answers[3] == "nullified this view"
    assert remote.refused == {answers[1]: 1, answers[3]: 1} == running.signer.refused
    for vote, (kind, view, header_hash) in zip(answers, statements):
        if isinstance(vote, Vote):
            assert vote == Vote(kind, EPOCH, view, header_hash, SEAT, vote.signature)
            assert crypto.verify(KEY, vote_digest(DOMAIN, kind, EPOCH, view, header_hash), vote.signature)
    assert remote.highest_view == 6
    remote.close()


def test_what_was_answered_is_in_the_file(running):
    """Read from the file, as after a crash of the signer."""
    remote = connect(running)
    ask(remote, partial(remote.sign, EPOCH, NOTARIZE, 9, ONE))
    state, is_in_use = read_guard(running.folder / "guard")
    assert is_in_use and running.signer.is_synced and [view.view for view in state.views] == [9]
    remote.close()


def test_a_ready_statement_is_asked_for_once(running):
    remote = connect(running)
    hearing = Hearing()

    async def main() -> None:
        for _ in range(3):
            assert remote.sign_ready(2, ONE, 1) is None
        async with trio.open_nursery() as nursery:
            nursery.start_soon(remote.run, hearing, hearing.wake)
            await hearing.wait(1)
            remote.sign(EPOCH, NOTARIZE, 1, ONE)
            await hearing.wait(2)
            nursery.cancel_scope.cancel()

    trio.run(main)
    ready = hearing.answers[0]
    assert isinstance(ready, Ready) and ready == Ready(2, ONE, 1, ready.signature) and len(hearing.answers) == 2
    assert crypto.verify(KEY, ready_digest(DOMAIN, 2, ONE), ready.signature)
    remote.close()


def test_without_a_seat_nothing_is_asked(running):
    remote = connect(running)
    remote.enter(2, None)
    assert remote.sign(2, NOTARIZE, 1, ONE) == "no seat in that epoch" == remote.sign(1, NOTARIZE, 1, ONE)
    remote.close()


def test_nobody_else_on_the_machine_can_open_the_socket(running):
    assert stat.S_IMODE(running.path.stat().st_mode) == 0o600


def test_a_group_may_be_let_in(tmp_path):
    async def main() -> None:
        listener = listen_privately(tmp_path / "signer.sock", 1, os.getgid())
        listener.close()

    trio.run(main)
    found = (tmp_path / "signer.sock").stat()
    assert (stat.S_IMODE(found.st_mode), found.st_gid) == (0o660, os.getgid())


def test_a_second_node_is_sent_away_until_the_first_has_left(running):
    first = connect(running)
    with pytest.raises(SignerError, match=r"votes for another node already \(process \d+ of user \d+\)"):
        connect(running)
    proving = SignerLink(running.path, NETWORK_ID, PROVING)  # whose question is about the key alone
    assert proving.welcome.bls_key == KEY
    proving.close()
    first.close()
    connect(running).close()


@pytest.mark.parametrize(
    ("bls_key", "network_id", "message"),
    [(KEY, b"\6" * 32, "another network"), (crypto.derive_public_key(SECRETS[0]), NETWORK_ID, "not that of this seat")],
    ids=["network", "key"],
)
def test_the_wrong_signer_is_found_at_the_start(running, bls_key, network_id, message):
    with pytest.raises(SignerError, match=message):
        connect(running, bls_key, network_id)
    connect(running).close()


def test_the_key_proves_its_possession_beside_a_voting_node(running):
    remote = connect(running)
    registry, operator, network_key = b"\7" * 20, b"\x08" * 20, b"\x09" * 32
    proof = DistantKey(KEY, running.path, NETWORK_ID).prove(CHAIN_ID, registry, operator, network_key)
    digest = possession_digest(CHAIN_ID, registry, operator, network_key, KEY)
    assert crypto.verify_possession(KEY, digest, proof)
    remote.close()


def test_who_proves_may_not_vote(running):
    proving = SignerLink(running.path, NETWORK_ID, PROVING)
    with pytest.raises(ConnectionResetError):
        proving.ask(VoteRequest(1, EPOCH, NOTARIZE, 1, ONE))
    assert running.signer.newest == (0, 0)
    proving.close()


def test_a_floor_stands_for_good(running):
    remote = connect(running)
    remote.raise_floor(30)
    assert remote.highest_view == 30
    answers = ask(
        remote, partial(remote.sign, EPOCH, NULLIFY, 30, ZERO_HASH), partial(remote.sign, EPOCH, NULLIFY, 31, ZERO_HASH)
    )
    assert answers[0] == "at or below the floor" and isinstance(answers[1], Vote)
    remote.close()


def test_what_had_no_answer_is_asked_again_when_the_signer_is_back(tmp_path):
    """Newest first would do, and older views are let go: nobody needs a vote in them any more."""
    folder, hearing = tmp_path / "signer", Hearing()
    first = RunningSigner(folder, SECRET).__enter__()
    remote = connect(first)

    async def main() -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(remote.run, hearing, hearing.wake)
            remote.sign(EPOCH, NOTARIZE, 1, ONE)
            await hearing.wait(1)
            await trio.to_thread.run_sync(first.__exit__)
            while remote.is_up:
                await trio.sleep(0.01)
            for view in range(2, QUESTIONS_MAX + 12):
                assert remote.sign(EPOCH, NOTARIZE, view, ONE) is None
            assert len(hearing.answers) == 1
            second = await trio.to_thread.run_sync(RunningSigner(folder, SECRET).__enter__)
            await hearing.wait(1 + QUESTIONS_MAX)
            nursery.cancel_scope.cancel()
        await trio.to_thread.run_sync(second.__exit__)

    trio.run(main)
    assert [vote.view for vote in hearing.answers[1:] if isinstance(vote, Vote)] == list(range(12, QUESTIONS_MAX + 12))
    remote.close()


def test_a_signer_that_comes_back_as_an_old_copy_ends_the_node(tmp_path):
    folder, old, hearing = tmp_path / "signer", tmp_path / "old", Hearing()
    with RunningSigner(folder, SECRET):
        pass
    shutil.copytree(folder, old)
    first = RunningSigner(folder, SECRET).__enter__()
    remote = connect(first)

    async def main() -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(remote.run, hearing, hearing.wake)
            remote.sign(EPOCH, FINALIZE, 7, ONE)
            await hearing.wait(1)
            await trio.to_thread.run_sync(first.__exit__)
            shutil.rmtree(folder)
            shutil.copytree(old, folder)
            restored.append(await trio.to_thread.run_sync(RunningSigner(folder, SECRET).__enter__))

    restored: list[RunningSigner] = []
    with pytest.RaisesGroup(pytest.RaisesExc(SignerError, match="an old copy"), flatten_subgroups=True):
        trio.run(main)
    restored[0].__exit__()
    remote.close()


def test_an_old_copy_of_everything_is_betrayed_by_the_others_certificates(tmp_path):
    """Signer and node were both restored; what the committee has counted since is not in the guard."""
    folder = tmp_path / "signer"
    blocks = [
        Block(Header(EPOCH, view, view, GENESIS.hash(), 0, 0, view, keccak(b""), ZERO_HASH, bytes(320)), b"")
        for view in (1, 2)
    ]
    with RunningSigner(folder, SECRET) as running:
        remote = connect(running)
        ask(remote, partial(remote.sign, EPOCH, FINALIZE, 1, blocks[0].hash()))
        remote.close()
    shutil.copytree(folder, tmp_path / "backup")
    with RunningSigner(folder, SECRET) as running:
        remote = connect(running)
        ask(remote, partial(remote.sign, EPOCH, FINALIZE, 2, blocks[1].hash()))
        remote.close()
    with RunningSigner(tmp_path / "backup", SECRET) as running:
        remote = connect(running)
        watch = VoteWatch(SEAT, 4, Memory(remote.highest_view, 1), wait_ms=500, now_ms=0)
        assert remote.highest_view == 1 and watch.judge(0) is Verdict.WAIT
        watch.on_certificate(certify(blocks[1], (0, 2, SEAT)))
        assert watch.judge(0) is Verdict.REFUSE
        remote.close()


def test_a_signer_that_is_away_at_the_start_makes_an_observer_that_starts_anew(tmp_path):
    hearing = Hearing()
    remote = RemoteSigner(tmp_path / "signer" / "signer.sock", NETWORK_ID, EPOCH, SEAT, KEY)
    assert not remote.is_up and remote.sign(EPOCH, NOTARIZE, 1, ONE) == "no seat in that epoch"

    async def main() -> None:
        running = await trio.to_thread.run_sync(RunningSigner(tmp_path / "signer", SECRET).__enter__)
        with trio.fail_after(20):
            await remote.run(hearing, hearing.wake)
        await trio.to_thread.run_sync(running.__exit__)

    trio.run(main)


FRAMES = (
    Greeting(SIGNER_VERSION, ONE, VOTING), Welcome(1, KEY, 3, 9), Farewell("no"), VoteRequest(1, 2, NOTARIZE, 3, ONE),
    ReadyRequest(4, 2, ONE), FloorRequest(5, 1, 1 << 63), ProofRequest(6, CHAIN_ID, bytes(20), bytes(20), ONE),
    SignerAnswer(7, bytes(96), ""), SignerAnswer(8, b"", "at or below the floor"),
)  # fmt: skip


@pytest.mark.parametrize("frame", FRAMES)
def test_frames_read_back_and_no_prefix_or_flipped_byte_is_another_kind_of_error(frame):
    data = encode_signer(frame)
    assert len(data) <= SIGNER_FRAME_BYTES_MAX and decode_signer(data[4:]) == frame
    for at in range(4, len(data)):
        for hostile in (data[4:at], data[4:at] + bytes([data[at] ^ 0x41]) + data[at + 1 :]):
            with suppress(FeedError):
                decode_signer(hostile)


@pytest.mark.parametrize(
    "said",
    [
        b"\xff\xff\xff\xff", b"GET / HTTP/1.1\r\n\r\n", encode_signer(FRAMES[3]),
        encode_signer(Greeting(SIGNER_VERSION, NETWORK_ID, 9)), encode_signer(Greeting(2, NETWORK_ID, VOTING)),
        encode_signer(Greeting(SIGNER_VERSION, NETWORK_ID, VOTING)) + encode_signer(FRAMES[6])[:-1] + b"\0\0\0\0\1\xff",
    ],
)  # fmt: skip
def test_whatever_a_stranger_says_the_signer_goes_on(running, said):
    with socket.socket(socket.AF_UNIX) as stranger:
        stranger.settimeout(20)
        stranger.connect(str(running.path))
        stranger.sendall(said)
        stranger.shutdown(socket.SHUT_WR)
        while stranger.recv(4096):
            pass
    connect(running).close()


class FullDisk(Files):
    """Takes half of what is written."""

    def write_at(self, descriptor: int, data: bytes, offset: int) -> int:
        return super().write_at(descriptor, data[: len(data) // 2], offset)


def test_a_guard_that_cannot_be_written_ends_the_signer_without_an_answer(tmp_path):
    path, answers = tmp_path / "signer.sock", list[object]()
    signer = Signer(tmp_path / "guard", SECRET, None, DOMAIN, 0)
    signer._files = FullDisk()

    def ask_once() -> None:
        with pytest.raises(OSError):
            answers.append(SignerLink(path, NETWORK_ID, VOTING).ask(VoteRequest(1, EPOCH, NOTARIZE, 1, ONE)))

    async def main() -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(SignerService(path, signer, make_voting_key(SECRET), NETWORK_ID, Disk(None)).run)
            while not path.exists():
                await trio.sleep(0.001)
            await trio.to_thread.run_sync(ask_once)

    with pytest.RaisesGroup(pytest.RaisesExc(SignerError, match="the disk is full"), flatten_subgroups=True):
        trio.run(main)
    assert answers == []


def test_an_answer_without_a_signature_is_no_vote(tmp_path):
    """The signer is asked again, on another connection."""
    path, hearing = tmp_path / "other.sock", Hearing()

    def serve(listener: socket.socket) -> None:
        for signature in (b"", bytes(96)):
            connection, _ = listener.accept()
            with connection:
                connection.recv(4096)
                connection.sendall(encode_signer(Welcome(SIGNER_VERSION, KEY, 0, 0)))
                connection.recv(4096)
                connection.sendall(encode_signer(SignerAnswer(1, signature, "")))
                connection.recv(4096)

    async def main(listener: socket.socket) -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(trio.to_thread.run_sync, serve, listener)
            remote = await trio.to_thread.run_sync(RemoteSigner, path, NETWORK_ID, EPOCH, SEAT, KEY)
            remote.sign(EPOCH, NOTARIZE, 1, ONE)
            nursery.start_soon(remote.run, hearing, hearing.wake)
            await hearing.wait(1)
            remote.close()
            nursery.cancel_scope.cancel()

    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen(1)
        trio.run(main, listener)
    assert hearing.answers == [Vote(NOTARIZE, EPOCH, 1, ONE, SEAT, bytes(96))]


def test_what_is_no_signer_is_said_to_be_none(tmp_path):
    path = tmp_path / "other.sock"
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen(1)

        async def main() -> None:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(trio.to_thread.run_sync, answer)
                with pytest.raises(SignerUnwilling, match="no signer"):
                    await trio.to_thread.run_sync(SignerLink, path, NETWORK_ID, VOTING)

        def answer() -> None:
            connection, _ = listener.accept()
            connection.recv(4096)  # or hanging up would end the greeting half-said
            connection.sendall(b"SSH-2.0-OpenSSH\r\n" * 40)
            connection.close()

        trio.run(main)
