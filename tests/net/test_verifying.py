"""Certificates judged on the trader's machine, through changes of the committee, and what no lie of a node changes."""

import json
from pathlib import Path
from typing import Any

import pytest
from certified_answers import BLOCKS, NETWORK_ID, CertifiedAnswers
from certified_chain import DOMAIN, certify, make_keyring

from net.client.operations import Operations
from net.client.proof import ProofError
from net.client.verifying import Certainty, UnknownEpoch, prove_height
from validator.light import LightChain
from validator.verifier import ChainVerifier

KEYRINGS = (make_keyring(4), make_keyring(7, epoch=2), make_keyring(4, epoch=3, salt=2), make_keyring(5, epoch=4))
LAST = (len(KEYRINGS) - 1) * BLOCKS + 2  # a block of the last epoch that a descendant makes final
THIEVES = make_keyring(7, epoch=2, salt=9)


def make_verifier(path: Path | None = None) -> ChainVerifier:
    return ChainVerifier(LightChain(DOMAIN, KEYRINGS[0].seats), path)


def test_a_block_of_a_later_epoch_is_proven_through_every_committee_between() -> None:
    answers, verifier = CertifiedAnswers(KEYRINGS), make_verifier()
    assert answers.carry(prove_height(verifier, LAST)) == 2
    assert verifier.newest_epoch == 4
    assert [number for method, number in answers.asked if method == "public/x_get_committee"] == [2, 3, 4]
    answers.asked.clear()
    assert answers.carry(prove_height(verifier, 3)) == 1, "an old block is judged by the committee of its time"
    assert answers.asked == [("public/x_get_certificate", 3)]


def test_the_block_that_ends_an_epoch_is_proven_by_the_first_of_the_next() -> None:
    answers, verifier = CertifiedAnswers(KEYRINGS[:2]), make_verifier()
    count = answers.carry(prove_height(verifier, BLOCKS))
    assert BLOCKS + count - 1 == BLOCKS + 3 and verifier.newest_epoch == 2


def test_what_was_learned_is_kept_and_judged_again_when_it_is_read(tmp_path: Path) -> None:
    path, answers = tmp_path / "committees.json", CertifiedAnswers(KEYRINGS)
    answers.carry(prove_height(make_verifier(path), LAST))
    again = make_verifier(path)
    answers.asked.clear()
    answers.carry(prove_height(again, LAST))
    assert {method for method, _ in answers.asked} == {"public/x_get_certificate"}, "nothing is asked for twice"
    kept = json.loads(path.read_text())
    kept["committees"][1]["members"][0]["bls_key"] = "0x" + THIEVES.seats.committee.members[0].bls_key.hex()
    path.write_text(json.dumps(kept))
    assert make_verifier(path).newest_epoch == 2, "what does not hold is not believed, nor what stands on it"
    path.write_text("no file of committees")
    assert make_verifier(path).newest_epoch == 1


def _lies() -> dict[str, tuple[tuple[str, int], Any]]:
    answers = CertifiedAnswers(KEYRINGS)
    ask = "public/x_get_committee", 2
    good = answers._succession(2).to_json()
    thieves = [
        {"number": number, "bls_key": "0x" + member.bls_key.hex(), "network_key": "0x" + member.network_key.hex(),
         "weight": 1}
        for number, member in enumerate(THIEVES.seats.committee.members)
    ]  # fmt: skip
    return {
        "other members": (ask, good | {"members": thieves}),
        "the members in another order": (ask, good | {"members": good["members"][::-1]}),
        "no proof": (ask, good | {"headers": [], "certificate": None}),
        "headers that do not follow each other": (ask, good | {"headers": good["headers"][::-1]}),
        "a gap between the headers": (
            ask, good | {"headers": ["0x" + answers.headers[BLOCKS - 1].encode().hex(), good["headers"][1]]}
        ),
        "a certificate of too few": (
            ask, good | {"certificate": good["certificate"] | {"bitmap": "0x03"}}
        ),
        "the committee of another epoch": (ask, answers._succession(3).to_json()),
        "nothing": (ask, {}),
        "text": (ask, "a committee"),
        "a number too large": (ask, good | {"epoch": 1 << 80}),
    }  # fmt: skip


@pytest.mark.parametrize("why", list(_lies()))
def test_no_lie_about_a_committee_is_believed(why: str) -> None:
    answers, verifier = CertifiedAnswers(KEYRINGS), make_verifier()
    name, lie = _lies()[why]
    answers.lies[name] = lie
    with pytest.raises(ProofError):
        answers.carry(prove_height(verifier, LAST))
    assert verifier.newest_epoch == 1


def test_a_block_that_thieves_certified_is_not_proven_whatever_epoch_they_claim() -> None:
    answers = CertifiedAnswers(KEYRINGS)
    height = BLOCKS + 3
    shown = answers._certificate(height)
    forged = certify(THIEVES, answers.chains[1].block(height))
    for epoch in (2, 5, 1 << 60):
        lie = shown | {"signature": "0x" + forged.signature.hex(), "epoch": epoch}
        answers.lies = {("public/x_get_certificate", at): lie for at in range(height, height + 8)}
        with pytest.raises(ProofError):
            answers.carry(prove_height(make_verifier(), height))


def test_an_epoch_that_is_not_known_is_no_forgery() -> None:
    answers, verifier = CertifiedAnswers(KEYRINGS), make_verifier()
    chain = answers.chains[1]
    with pytest.raises(UnknownEpoch):
        verifier.verify(chain.blocks[2].header, chain.certificate(BLOCKS + 3))


def test_the_sdk_says_what_was_proven_and_refuses_another_network() -> None:
    answers = CertifiedAnswers(KEYRINGS)
    final = {"x_height": LAST, "x_is_final": True}
    assert answers.carry(Certainty(make_verifier()).check(final)) == final | {"x_certificate": "proven"}
    assert answers.carry(Certainty(None).check(final)) == final | {"x_certificate": "unchecked"}
    assert answers.carry(Certainty(make_verifier()).check(final | {"x_is_final": False}))["x_is_final"] is False
    operations = Operations(verify=make_verifier(), owner="0x" + "05" * 20)
    assert operations._pinned_network_id == NETWORK_ID
