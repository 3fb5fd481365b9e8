"""Only the last checkpoint pays accounts: the escape tool never makes its user's own account proof useless."""

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from settlement_world import MAX_SILENCE_S, HeaderFields, World
from trader_desk import OWNER, SHARE, Desk, served
from trees import fold_withdrawal_tree

from contracts import digests, escape_tool

WITHDRAWN = 77


@pytest.fixture
def desk(world: World, tmp_path: Path) -> Iterator[Desk]:
    with served(world) as url:
        yield Desk(world, tmp_path, url)


def save_withdrawal(desk: Desk, fields: HeaderFields, path: Path) -> None:
    """What a node says about the owner's withdrawal under a header that has it."""
    token = desk.world.contract.token_address
    root, siblings = fold_withdrawal_tree([digests.withdrawal_leaf(0, OWNER, token, WITHDRAWN)], 0)
    header = replace(fields, withdrawals_root=root, withdrawals_total=WITHDRAWN, claims=0, debt=0).encode()
    raw = {
        "index": 0, "owner": "0x" + OWNER.hex(), "token": "0x" + token.hex(), "amount": "0.000077",
        "siblings": ["0x" + node.hex() for node in siblings],
        "certificate": {
            "header": "0x" + header.hex(), "bitmap": "0x0f",
            "signature": "0x" + desk.world.sign(desk.world.digest(header)).hex(),
        },
    }  # fmt: skip
    path.write_text(json.dumps(raw))


def test_a_withdrawals_newer_header_is_not_posted_over_the_accounts_proof(
    desk: Desk, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    path = tmp_path / "withdrawal.json"
    save_withdrawal(desk, replace(desk.fields, height=6), path)
    desk.world.pass_time(MAX_SILENCE_S + 1)
    assert escape_tool.main([*desk.arguments, str(path)]) == 1
    assert "would spoil the accounts' proofs of height 5" in capsys.readouterr().err
    assert desk.world.contract.last().height == 5
    assert desk.world.contract.token_balance(OWNER) == SHARE


def test_alone_it_is_posted(desk: Desk, tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    path = tmp_path / "withdrawal.json"
    save_withdrawal(desk, replace(desk.fields, height=6), path)
    arguments = [at for at in desk.arguments if at not in ("--proof", str(desk.proof_path))]
    assert escape_tool.main([*arguments, str(path)]) == 1
    assert "claim: too early" in capsys.readouterr().err
    assert desk.world.contract.last().height == 6
