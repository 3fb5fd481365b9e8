"""A chain known by certificates alone: what is believed, what is forged, what is only not known."""

from dataclasses import replace

import pytest
from certified_chain import DOMAIN, Chain, Keyring, certify, make_keyring

from consensus.messages import Certificate
from engine.commands import CANCEL_ALL, Command
from net.hardening_gossip import Verdict
from net.identity import NetworkSigner
from net.public.messages import (
    CheckpointNote,
    Item,
    Run,
    Topics,
    encode_bundle,
    encode_checkpoint,
    encode_run,
)
from validator.gossip import Gossip, Listener
from validator.light import Forged, LightChain, Unknown

FOUNDERS, NEXT = make_keyring(4), make_keyring(7, epoch=2)
TOPICS = Topics.of(bytes(32))
PEER = b"peer"


def make_chain() -> Chain:
    chain = Chain(FOUNDERS)
    for _ in range(3):
        chain.grow()
    chain.grow(next_committee_hash=NEXT.seats.committee.hash())
    return chain


CHAIN = make_chain()


def make_light() -> LightChain:
    return LightChain(DOMAIN, FOUNDERS.seats)


def _certificates() -> dict[str, Certificate]:
    good = CHAIN.certificate(2)
    thief = make_keyring(4, salt=5)
    return {
        "too few signers": certify(FOUNDERS, CHAIN.blocks[1], signers=[0, 1]),
        "others' keys": certify(Keyring(1, FOUNDERS.seeds, thief.secrets), CHAIN.blocks[1]),
        "more signers than signed": replace(good, bitmap=b"\x0f"),
        "a signer who is no member": replace(good, bitmap=b"\x17"),
        "a longer bitmap": replace(good, bitmap=good.bitmap + b"\x00"),
        "another view": replace(good, view=good.view + 1),
        "no signature": replace(good, signature=bytes(96)),
    }


def test_a_certificate_of_the_committee_is_believed() -> None:
    light = make_light()
    light.verify(CHAIN.certificate(2))
    light.verify(CHAIN.certificate(2))


@pytest.mark.parametrize("why", list(_certificates()))
def test_a_forged_certificate_is_not(why: str) -> None:
    with pytest.raises(Forged):
        make_light().verify(_certificates()[why])


def test_a_right_certificate_does_not_vouch_for_a_forged_one() -> None:
    light = make_light()
    light.verify(CHAIN.certificate(2))
    for forged in _certificates().values():
        with pytest.raises(Forged):
            light.verify(forged)


def test_a_committee_is_believed_when_the_one_before_named_it() -> None:
    light = make_light()
    second = Chain(NEXT, CHAIN)
    second.grow()
    with pytest.raises(Unknown):
        light.verify(second.certificate(5))
    light.verify_succession(NEXT.seats, [CHAIN.blocks[3].header], CHAIN.certificate(4))
    light.verify(second.certificate(5))


def test_a_committee_that_nobody_named_is_forged() -> None:
    usurpers = make_keyring(7, epoch=2, salt=3)
    cases = [
        (usurpers.seats, [CHAIN.blocks[3].header], CHAIN.certificate(4)),
        (NEXT.seats, [CHAIN.blocks[2].header], CHAIN.certificate(3)),
        (NEXT.seats, [CHAIN.blocks[3].header], CHAIN.certificate(3)),
        (NEXT.seats, [CHAIN.blocks[3].header], None),
        (NEXT.seats, [], CHAIN.certificate(4)),
    ]
    for seats, headers, certificate in cases:
        light = make_light()
        with pytest.raises(Forged):
            light.verify_succession(seats, headers, certificate)
        assert light.newest_epoch == 1


# gossip


class Room:
    def __init__(self) -> None:
        self.runs: list[Run] = []
        self.offences: list[str] = []
        self.unknown: list[int] = []
        listener = Listener(
            on_run=lambda run, _: self.runs.append(run),
            on_unknown_epoch=lambda epoch, _: self.unknown.append(epoch),
            report=lambda _, offence: self.offences.append(offence),
        )
        self.gossip = Gossip(make_light(), TOPICS, listener)

    def say_run(self, first: int, last: int, chain: Chain = CHAIN, certificate: Certificate | None = None) -> Verdict:
        items = tuple(Item(chain.block(at).header, chain.block(at).payload) for at in range(first, last + 1))
        run = Run(items, chain.certificate(last) if certificate is None else certificate)
        return self.gossip.receive(TOPICS.blocks, encode_run(run), PEER)


def test_a_run_is_relayed_once() -> None:
    room = Room()
    assert room.say_run(1, 2) is Verdict.ACCEPT
    assert room.say_run(1, 2) is Verdict.IGNORE
    assert room.say_run(2, 2) is Verdict.IGNORE
    assert room.say_run(3, 3) is Verdict.ACCEPT
    assert [run.last.height for run in room.runs] == [2, 3] and not room.offences


def test_junk_and_forgeries_are_held_against_the_forwarder() -> None:
    room = Room()
    for topic in TOPICS.all():
        assert room.gossip.receive(topic, b"\xff" * 50, PEER) is Verdict.REJECT
    forged = _certificates()["others' keys"]
    assert room.say_run(1, 2, certificate=forged) is Verdict.REJECT
    assert len(room.offences) == 4 and not room.runs
    assert room.say_run(1, 2) is Verdict.ACCEPT


def test_an_epoch_that_is_not_known_is_nobodys_fault() -> None:
    room = Room()
    second = Chain(NEXT, CHAIN)
    second.grow()
    assert room.say_run(5, 5, second) is Verdict.IGNORE
    assert room.unknown == [2] and not room.offences


def test_batches_and_checkpoints_count_when_a_member_signed_them() -> None:
    room = Room()
    member, stranger = NetworkSigner(FOUNDERS.seeds[1], DOMAIN), NetworkSigner(NEXT.seeds[6], DOMAIN)
    message = Command.of(CANCEL_ALL, bytes(20), 1, 1).encode()
    right = encode_bundle([member.sign_batch(1, 7, message).encode()])
    wrong = encode_bundle([stranger.sign_batch(1, 8, message).encode()])
    unknown = encode_bundle([stranger.sign_batch(9, 8, message).encode()])
    for data, verdict in ((right, Verdict.ACCEPT), (right, Verdict.IGNORE), (wrong, Verdict.REJECT)):
        assert room.gossip.receive(TOPICS.batches, data, PEER) is verdict
    assert room.gossip.receive(TOPICS.batches, unknown, PEER) is Verdict.IGNORE

    def note(signer: NetworkSigner, height: int, number: int = 1) -> bytes:
        signature = signer.sign_checkpoint(number, height, bytes(32), 5)
        return encode_checkpoint(CheckpointNote(number, height, bytes(32), 5, signature))

    assert room.gossip.receive(TOPICS.checkpoints, note(member, 20), PEER) is Verdict.ACCEPT
    assert room.gossip.receive(TOPICS.checkpoints, note(member, 20), PEER) is Verdict.IGNORE
    assert room.gossip.receive(TOPICS.checkpoints, note(stranger, 21), PEER) is Verdict.REJECT
    assert room.gossip.receive(TOPICS.checkpoints, note(member, 22, number=2), PEER) is Verdict.REJECT
    assert room.gossip.checkpoint_height == 20
