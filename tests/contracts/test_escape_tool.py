"""A trader with a saved proof, an RPC endpoint and gas money gets paid; every obstacle is told in words."""

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from settlement_world import FORCE_DEADLINE_S, MAX_SILENCE_S, HeaderFields, World
from trader_desk import OWNER, SHARE, Desk, served

from contracts import escape_tool
from contracts.saved_proof import ProofError, parse_proof

ROOT = Path(__file__).parents[2]
PAID = f"paid 2.{SHARE - 2_000_000} USDC to 0x{OWNER.hex()}\n"


@pytest.fixture
def desk(world: World, tmp_path: Path) -> Iterator[Desk]:
    with served(world) as url:
        yield Desk(world, tmp_path, url)


def test_one_run_posts_freezes_and_is_paid(desk: Desk, capsys: pytest.CaptureFixture) -> None:
    """The contract has an older checkpoint; the committee is silent since."""
    desk.world.post(HeaderFields(height=4))
    desk.world.pass_time(MAX_SILENCE_S + 1)
    assert escape_tool.main(desk.arguments) == 0
    shown = capsys.readouterr()
    assert shown.out == PAID
    assert "posting the header of height 5; the contract knows height 4" in shown.err
    assert desk.world.contract.token_balance(OWNER) == SHARE
    assert escape_tool.main(desk.arguments) == 1
    assert "has been paid before" in capsys.readouterr().err


def test_too_early_says_how_long_and_a_later_run_continues(desk: Desk, capsys: pytest.CaptureFixture) -> None:
    assert escape_tool.main(desk.arguments) == 1
    assert re.search(r"possible in 2 h [01] min, because then the committee is silent", capsys.readouterr().err)
    assert desk.world.contract.last().height == 5
    desk.world.deposit(1)
    assert escape_tool.main(desk.arguments) == 1
    assert re.search(r"possible in 1 h [01] min, because then an inbox entry is overdue", capsys.readouterr().err)
    desk.world.pass_time(FORCE_DEADLINE_S + 2)
    assert escape_tool.main(desk.arguments) == 0
    assert capsys.readouterr().out == PAID


def test_the_whole_answer_of_a_node_will_do_in_a_process_of_its_own(desk: Desk) -> None:
    desk.world.post(desk.fields)
    desk.world.pass_time(MAX_SILENCE_S + 1)
    desk.world.as_account(2).freeze()
    answer = {"jsonrpc": "2.0", "id": 1, "result": json.loads(desk.proof_path.read_text())}
    desk.proof_path.write_text(json.dumps(answer))
    command = [sys.executable, "-m", "contracts.escape_tool", *desk.arguments]
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert (ended.returncode, ended.stdout) == (0, PAID), ended.stderr


def test_a_proof_of_another_checkpoint_is_of_no_use(desk: Desk, capsys: pytest.CaptureFixture) -> None:
    desk.world.post(replace(desk.fields, height=6))
    assert escape_tool.main(desk.arguments) == 1
    assert "the last checkpoint has height 6" in capsys.readouterr().err
    desk.world.pass_time(MAX_SILENCE_S + 1)
    desk.world.contract.freeze()
    desk.save(replace(desk.fields, height=7))
    assert escape_tool.main(desk.arguments) == 1
    assert "get a proof of that checkpoint from any former validator" in capsys.readouterr().err


def test_a_header_that_the_contract_refuses_is_told(desk: Desk, capsys: pytest.CaptureFixture) -> None:
    desk.world.post(HeaderFields(height=4))
    desk.save(desk.fields, absent=(1, 2))
    assert escape_tool.main(desk.arguments) == 1
    message = capsys.readouterr().err
    assert "refuses the proof's header (checkpoint: too few signers) and stays at height 4" in message


def test_frozen_before_the_first_checkpoint(desk: Desk, capsys: pytest.CaptureFixture) -> None:
    desk.world.pass_time(MAX_SILENCE_S + 1)
    desk.world.contract.freeze()
    assert escape_tool.main(desk.arguments) == 1
    assert "there are only deposits to refund" in capsys.readouterr().err


@pytest.mark.parametrize(("index", "reason"), [(1, "an account of the exchange itself"), (65, "not above zero")])
def test_accounts_without_a_share(desk: Desk, capsys: pytest.CaptureFixture, index: int, reason: str) -> None:
    desk.save(desk.fields, index)
    assert escape_tool.main(desk.arguments) == 1
    assert reason in capsys.readouterr().err


@pytest.mark.parametrize(
    ("duration_s", "text"), [(1, "1 s"), (59, "59 s"), (60, "1 min"), (61, "2 min"), (3_600, "1 h 0 min")]
)
def test_durations_are_rounded_up(duration_s: int, text: str) -> None:
    assert escape_tool._duration(duration_s) == text


def test_wrong_arguments_are_told(desk: Desk, capsys: pytest.CaptureFixture, tmp_path: Path) -> None:
    empty = tmp_path / "empty"
    empty.write_text("")
    for option, value, reason in [
        ("--key", str(empty), "holds no private key"),
        ("--key", str(tmp_path / "absent"), "No such file"),
        ("--proof", str(empty), "not an account proof"),
        ("--contract", "0x12", "is no address"),
        ("--contract", "0x" + "12" * 20, "there is no contract"),
        ("--rpc", "http://127.0.0.1:1", "did not answer"),
    ]:
        arguments = list(desk.arguments)
        arguments[arguments.index(option) + 1] = value
        assert escape_tool.main(arguments) == 1
        assert reason in capsys.readouterr().err


@pytest.mark.parametrize(
    ("path", "value", "reason"),
    [
        (("claims",), "2.500001", "not in the tree"),
        (("claims",), "2.5000001", "is no money"),
        (("claims",), 2.5, "not an account proof"),
        (("debt",), "-1.0", "is no money"),
        (("index",), 65, "not in the tree"),
        (("index",), -1, "not an account proof"),
        (("index",), 2**20, "20 levels"),
        (("holdings",), "0x00", "not in the tree"),
        (("aux_hash",), "0x00", "1 bytes, not 32"),
        (("siblings",), [], "20 levels"),
        (("siblings", 3, "debt"), "1.0", "not in the tree"),
        (("certificate",), None, "not an account proof"),
        (("certificate", "header"), "0x" + "00" * 640, "not in the tree"),
        (("certificate", "signature"), "0x", "0 bytes, not 96"),
    ],
)
def test_a_damaged_proof_is_noticed_before_anything_is_sent(
    desk: Desk, path: tuple, value: object, reason: str
) -> None:
    raw = json.loads(desk.proof_path.read_text())
    assert parse_proof(json.dumps(raw)).certified.height == 5
    target = raw
    for step in path[:-1]:
        target = target[step]
    target[path[-1]] = value
    with pytest.raises(ProofError, match=reason):
        parse_proof(json.dumps(raw))


def test_a_certificate_of_another_committee_is_noticed(desk: Desk) -> None:
    certified = parse_proof(desk.proof_path.read_text()).certified
    assert certified.absent(4) == [2]
    for bitmap in (b"\x1b", b"\x0b\x00", b""):
        with pytest.raises(ProofError, match="not of this contract's committee"):
            replace(certified, bitmap=bitmap).absent(4)
