"""One file tells from a proof and the chain alone whether the proof is true and what it is worth."""

import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from settlement_world import MAX_SILENCE_S, HeaderFields, World
from trader_desk import INDEX, SHARE, Desk, served

from contracts import verify_me
from contracts.saved_proof import parse_proof

ROOT = Path(__file__).parents[2]
LINES_MAX = 200
WORTH = f"2.{SHARE - 2_000_000} USDC"


@pytest.fixture
def desk(world: World, tmp_path: Path) -> Iterator[Desk]:
    with served(world) as url:
        yield Desk(world, tmp_path, url)


def verify(desk: Desk, capsys: pytest.CaptureFixture, *more: str) -> tuple[int, dict[str, tuple[int, str]]]:
    status = verify_me.main(
        [str(desk.proof_path), "--rpc", desk.url, "--contract", desk.world.deployment.settlement, "--json", *more]
    )
    answer = json.loads(capsys.readouterr().out)
    assert answer["status"] == status and answer["verdict"] == verify_me.VERDICTS[status]
    return status, {row["check"]: (row["status"], row["words"]) for row in answer["checks"]}


def test_a_proof_ahead_of_the_chain_is_true_and_would_pay(desk: Desk, capsys: pytest.CaptureFixture) -> None:
    status, checks = verify(desk, capsys)
    assert status == 0 and list(checks) == ["leaf", "root", "sums", "committee", "certificate", "checkpoint", "worth"]
    assert "claim 2.500000 USDC, debt 0.000000 USDC" in checks["leaf"][1]
    assert "anyone may post this one" in checks["checkpoint"][1]
    assert checks["worth"][1] == f"after a freeze at this header an escape would pay {WORTH}"


def test_what_it_promises_is_what_the_contract_pays(desk: Desk, capsys: pytest.CaptureFixture) -> None:
    desk.world.post(desk.fields, absent=(2,))
    assert "the header is the last checkpoint" in verify(desk, capsys)[1]["checkpoint"][1]
    desk.world.pass_time(MAX_SILENCE_S + 1)
    desk.world.contract.freeze()
    assert verify(desk, capsys)[1]["worth"][1] == f"frozen: an escape pays {WORTH}"
    proof = parse_proof(desk.proof_path.read_text())
    assert desk.world.contract.entitlement(proof.claim_quote) == SHARE
    desk.world.contract.escape(
        proof.index, proof.owner, proof.subaccount, proof.claim_quote, proof.debt_quote, proof.digest,
        proof.sibling_hashes, proof.sibling_sums,
    )  # fmt: skip
    status, checks = verify(desk, capsys)
    assert (status, checks["worth"][1]) == (3, "paid already; now 0.000000 USDC")


@pytest.mark.parametrize(
    ("path", "value", "check"),
    [
        (("claims",), "2.500001", "root"),
        (("debt",), "0.000001", "sums"),
        (("owner",), "0x" + "11" * 20, "root"),
        (("subaccount",), 4, "root"),
        (("index",), 66, "root"),
        (("holdings",), "0x00", "root"),
        (("siblings", 3, "claims"), "0.000001", "sums"),
        (("siblings", 7, "hash"), "0x" + "22" * 32, "root"),
        (("certificate", "bitmap"), "0x03", "committee"),
        (("certificate", "bitmap"), "0x1b", "committee"),
        (("certificate", "bitmap"), "0x0b00", "committee"),
        (("certificate", "bitmap"), "0x0f", "certificate"),
        (("certificate", "signature"), "0x" + "00" * 96, "certificate"),
        (("certificate", "signature"), "0xc0" + "00" * 95, "certificate"),
        (("certificate", "signature"), "0x", "certificate"),
        (("siblings",), [], "file"),
        (("index",), 2**20, "file"),
        (("index",), "64", "file"),
        (("claims",), "2.5000001", "file"),
        (("claims",), "-2.5", "file"),
        (("claims",), 2.5, "file"),
        (("owner",), "0x11", "file"),
        (("certificate", "header"), "0x00", "file"),
        (("certificate",), None, "file"),
    ],
)
def test_every_part_that_was_changed_is_named(
    desk: Desk, capsys: pytest.CaptureFixture, path: tuple, value: object, check: str
) -> None:
    raw = json.loads(desk.proof_path.read_text())
    target = raw
    for step in path[:-1]:
        target = target[step]
    target[path[-1]] = value
    desk.proof_path.write_text(json.dumps(raw))
    status, checks = verify(desk, capsys)
    assert status == 1 and checks[check][0] == verify_me.FALSE
    assert "worth" not in checks


def test_another_chain_and_another_contract_did_not_sign(desk: Desk, capsys: pytest.CaptureFixture) -> None:
    """The domain binds the signature: a header signed for another one is nobody's here."""
    raw = json.loads(desk.proof_path.read_text())
    header = replace(desk.fields).encode()
    raw["certificate"]["signature"] = "0x" + desk.world.sign(verify_me.keccak(header), (2,)).hex()
    desk.proof_path.write_text(json.dumps(raw))
    status, checks = verify(desk, capsys)
    assert status == 1 and checks["certificate"][0] == verify_me.FALSE


def test_an_overtaken_proof_is_true_but_worth_nothing(desk: Desk, capsys: pytest.CaptureFixture) -> None:
    desk.world.post(replace(desk.fields, height=6))
    status, checks = verify(desk, capsys)
    assert status == 3
    assert checks["checkpoint"] == (3, "height 5 was overtaken by checkpoint 6: save a newer proof")


def test_a_header_that_a_freeze_left_out_is_worth_nothing(desk: Desk, capsys: pytest.CaptureFixture) -> None:
    desk.world.post(HeaderFields(height=4))
    desk.world.pass_time(MAX_SILENCE_S + 1)
    desk.world.contract.freeze()
    status, checks = verify(desk, capsys)
    assert status == 3 and checks["checkpoint"][0] == verify_me.WORTHLESS


def test_a_fork_is_told(desk: Desk, capsys: pytest.CaptureFixture) -> None:
    desk.world.post(replace(desk.fields, view=10))
    status, checks = verify(desk, capsys)
    assert (status, checks["checkpoint"][1]) == (1, "the chain has another header at height 5: a fork")


@pytest.mark.parametrize(("index", "words"), [(1, "nobody can claim"), (65, "would pay 0.000000 USDC")])
def test_accounts_that_get_nothing(desk: Desk, capsys: pytest.CaptureFixture, index: int, words: str) -> None:
    desk.save(desk.fields, index)
    status, checks = verify(desk, capsys)
    assert status == 3 and words in checks["worth"][1]


def test_without_an_answer_nothing_is_claimed(desk: Desk, capsys: pytest.CaptureFixture) -> None:
    for more in (["--rpc", "http://127.0.0.1:1"], ["--contract", "0x" + "12" * 20], ["--contract", "0x12"]):
        status, checks = verify(desk, capsys, *more)
        assert status == 2 and list(checks) == ["question"]
    desk.proof_path.unlink()
    assert verify(desk, capsys)[0] == 2


def test_it_is_one_short_file_that_needs_nothing_else_of_ours(desk: Desk, tmp_path: Path) -> None:
    """Copied out of the repository it still works, and a person reads it in one sitting."""
    text = (ROOT / "contracts" / "verify_me.py").read_text()
    assert text.count("\n") <= LINES_MAX
    copy = tmp_path / "alone" / "verify_me.py"
    copy.parent.mkdir()
    copy.write_text(text)
    command = [sys.executable, str(copy), str(desk.proof_path), "--rpc", desk.url, "--contract"]
    ended = subprocess.run(
        [*command, desk.world.deployment.settlement], cwd=tmp_path, env={"PATH": ""}, capture_output=True, text=True,
        timeout=60,
    )  # fmt: skip
    assert (ended.returncode, ended.stdout.splitlines()[-1]) == (0, "the proof is true"), ended.stderr
    assert parse_proof(desk.proof_path.read_text()).index == INDEX
