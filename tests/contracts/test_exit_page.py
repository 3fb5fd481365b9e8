"""docs/exit.md promises that its commands are run as they stand: here they are, with a trader's files around them."""

import json
import os
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from settlement_world import CLAIM_DELAY_S, MAX_SILENCE_S, TRADER, HeaderFields, World
from test_escape_many import CLAIMS, POOL, RICH, USERS, Archive, pays
from trader_desk import served
from trees import fold_withdrawal_tree

from contracts import digests
from contracts.claims_file import read_claims

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "exit.md").read_text()
WITHDRAWN = 1_500_000


def commands() -> list[str]:
    blocks = re.findall(r"```console\n(.*?)```", PAGE, re.DOTALL)
    return [line.removeprefix("$ ") for block in blocks for line in block.splitlines()]


class Folder:
    """Where the trader types: proof.json, withdrawal.json, claims and gas.key lie here."""

    def __init__(self, archive: Archive, path: Path) -> None:
        self.archive, self.path, self.done = archive, path, 0
        self.environment = os.environ | {
            "RPC": archive.url, "CONTRACT": archive.world.deployment.settlement, "PYTHONPATH": str(ROOT),
        }  # fmt: skip

    def type(self, line: str) -> subprocess.CompletedProcess:
        """One line of the page, whose `hansa` is this repository's."""
        self.done += 1
        hansa = f'hansa() {{ {sys.executable} -m validator "$@"; }}; '
        return subprocess.run(
            ["bash", "-c", hansa + line],
            cwd=self.path,
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=120,
        )

    def save_withdrawal(self) -> None:
        """Of a checkpoint that is old enough; the claims file is of a later header."""
        world = self.archive.world
        leaf = digests.withdrawal_leaf(0, RICH, world.contract.token_address, WITHDRAWN)
        root, siblings = fold_withdrawal_tree([leaf], 0)
        world.deposit(WITHDRAWN)
        fields = HeaderFields(height=2, withdrawals_root=root, withdrawals_total=WITHDRAWN)
        header = world.consumed(replace(fields, timestamp_ms=world.chain.head.timestamp * 1_000)).encode()
        world.contract.checkpoint(header, [], world.sign(world.digest(header)))
        world.pass_time(CLAIM_DELAY_S + 1)
        certificate = {
            "header": header, "bitmap": b"\x0f", "signature": world.sign(world.digest(header)),
        }  # fmt: skip
        raw = {
            "index": 0, "owner": "0x" + RICH.hex(), "token": "0x" + world.contract.token_address.hex(),
            "amount": "1.500000", "siblings": ["0x" + node.hex() for node in siblings],
            "certificate": {name: "0x" + value.hex() for name, value in certificate.items()},
        }  # fmt: skip
        (self.path / "withdrawal.json").write_text(json.dumps(raw))
        later = replace(self.archive.fields, withdrawals_root=root, withdrawals_total=WITHDRAWN)
        self.archive.save_claims(later)


@pytest.mark.slow
def test_the_commands_of_the_page_in_their_order(world: World, tmp_path: Path) -> None:
    with served(world) as url:
        follow(Folder(Archive(world, tmp_path, url), tmp_path))


def follow(folder: Folder) -> None:
    archive, lines = folder.archive, commands()
    contract = archive.world.contract
    assert [line.split("=")[0] for line in lines[:2]] == ["export RPC", "export CONTRACT"]
    verify, look_withdrawal, claim, *force, look, act, refund, look_owner, everybody = lines[2:]
    (folder.path / "gas.key").write_text(archive.key_path.read_text())
    (folder.path / "owner.key").write_text(archive.key_path.read_text())
    folder.save_withdrawal()
    (folder.path / "proof.json").write_text(json.dumps(read_claims(archive.path.read_bytes()).proof(65)))

    ended = folder.type(verify)
    assert ended.returncode == 0 and ended.stdout.endswith("the proof is true\n"), ended
    ended = folder.type(look_withdrawal)
    assert ended.returncode == 0 and "would pay 1.500000 USDC" in ended.stdout, ended
    ended = folder.type(claim)
    assert ended.returncode == 0 and archive.balance(RICH) == WITHDRAWN, ended

    for line in force:
        ended = folder.type(line)
        assert ended.returncode == 0 and "anyone may freeze" in ended.stderr, ended
    entries = contract.inbox_entries(0, 100, contract.latest_block())
    assert [entry.kind for entry in entries[-3:]] == [2, 3, 4]

    archive.world.deposit(4_321)  # nobody reads it any more
    ended = folder.type(look)
    assert "would pay 0.000006 USDC" in ended.stdout and "not frozen yet" in ended.stderr, ended
    ended = folder.type(act)
    assert ended.returncode == 1 and "because then" in ended.stderr, ended
    archive.world.pass_time(MAX_SILENCE_S + 1)
    ended = folder.type(act)
    assert ended.returncode == 0 and archive.balance(USERS[1].owner) == pays(USERS[1]), ended
    before, sender = archive.balance(contract.sender), "0x" + TRADER.hex()
    assert sender in refund
    ended = folder.type(refund)
    assert ended.returncode == 0 and archive.balance(contract.sender) - before == 4_321, ended

    ended = folder.type(look_owner)
    assert ended.returncode == 0 and "0x" + RICH.hex() in look_owner, ended
    ended = folder.type(everybody)
    assert ended.returncode == 0, ended
    assert archive.balance(RICH) == WITHDRAWN + pays(USERS[0]) + pays(USERS[3])
    assert sum(map(pays, USERS)) <= POOL < CLAIMS and folder.done == len(lines) - 1
