"""Many accounts from one claims file, deposits and withdrawals: all are paid, and a run that broke off goes on."""

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from settlement_world import CLAIM_DELAY_S, FORCE_DEADLINE_S, MAX_SILENCE_S, TRADER, HeaderFields, World
from trader_desk import OWNER, Desk, served
from trees import fold_sum_tree, fold_withdrawal_tree

from contracts import digests, escape_tool
from contracts.claims_file import ClaimsAccount, encode_accounts, encode_claims, read_claims
from contracts.records import Refused
from contracts.settlement import Settlement
from contracts.withdrawals_file import MAGIC, FiledWithdrawal

SYSTEM = [ClaimsAccount(bytes(20), 0, 0, bytes(32), 0)] * 64
RICH, POOR, BROKE = b"\xa1" * 20, b"\xa2" * 20, b"\xa3" * 20
USERS = [
    ClaimsAccount(RICH, 0, 3_000_000, b"\1" * 32, 2_000_000, ((0, 5),)),
    ClaimsAccount(POOR, 0, 7, b"\2" * 32, 7),
    ClaimsAccount(BROKE, 0, -1_000, b"\3" * 32, -1_000),
    ClaimsAccount(RICH, 9, 1_000_001, b"\4" * 32, 1_000_001),
    ClaimsAccount(BROKE, 1, 0, b"\5" * 32, 0),
]
CLAIMS = sum(account.claim_quote for account in USERS)
POOL = CLAIMS - 1_000


def pays(account: ClaimsAccount) -> int:
    return account.claim_quote * POOL // CLAIMS


class Archive(Desk):
    """A machine with a claims file of height 5, which is certified and not posted yet."""

    def __init__(self, world: World, folder: Path, url: str) -> None:
        super().__init__(world, folder, url)
        accounts = [*SYSTEM, *USERS]
        leaves = {}  # the exchange's own accounts that nothing has touched are absent
        for at, account in enumerate(USERS, len(SYSTEM)):
            sums = digests.encode_sums(account.claim_quote, account.debt_quote)
            leaves[at] = (digests.account_leaf(at, account.owner, account.subaccount, sums, account.digest), sums)
        (self.root, _), _ = fold_sum_tree(leaves, 0)
        world.deposit(POOL - self.world.contract.deposited_total(1))
        self.rows, self.path = encode_accounts(accounts), folder / "claims"
        self.save_claims(self.fields)
        self.common = ["--rpc", url, "--contract", world.deployment.settlement]
        self.sending = [*self.common, "--key", str(self.key_path)]

    def save_claims(self, fields: HeaderFields) -> None:
        """Under a header that has read the whole inbox."""
        fields = replace(fields, account_root=self.root, claims=CLAIMS, debt=1_000)
        header = self.world.consumed(fields).encode()
        signature = self.world.sign(self.world.digest(header))
        self.path.write_bytes(encode_claims(header, b"\x0f", signature, *self.rows))

    def run(self, *more: str) -> int:
        return escape_tool.main([*self.sending, *more])

    def everybody(self) -> int:
        return self.run("--snapshot", str(self.path), "--all")

    def balance(self, owner: bytes) -> int:
        return self.world.contract.token_balance(owner)


@pytest.fixture
def archive(world: World, tmp_path: Path) -> Iterator[Archive]:
    with served(world) as url:
        yield Archive(world, tmp_path, url)


def test_without_a_key_it_tells_what_would_be_paid_and_sends_nothing(
    archive: Archive, capsys: pytest.CaptureFixture
) -> None:
    block = archive.world.chain.head.block_number
    arguments = [*archive.common, "--snapshot", str(archive.path), "--all"]
    assert escape_tool.main(arguments) == 0
    shown = capsys.readouterr()
    assert f"would pay {escape_tool._money(pays(USERS[0]))} to 0x{RICH.hex()} for account 64" in shown.out
    assert "would post the header of height 5" in shown.err and "nothing was sent" in shown.err
    assert "not frozen yet" in shown.err and "an inbox entry is overdue then" in shown.err
    assert shown.out.splitlines()[-1] == f"in all {escape_tool._money(sum(map(pays, USERS)))}"
    assert escape_tool.main([*arguments, "--key", str(archive.key_path), "--dry-run"]) == 0
    assert archive.world.chain.head.block_number == block


def test_everybody_is_paid_what_was_shown_whoever_pays_the_gas(archive: Archive, capsys: pytest.CaptureFixture) -> None:
    archive.world.pass_time(MAX_SILENCE_S + 1)
    assert archive.everybody() == 0
    assert archive.balance(RICH) == pays(USERS[0]) + pays(USERS[3])
    assert (archive.balance(POOR), archive.balance(BROKE)) == (pays(USERS[1]), 0)
    shown = capsys.readouterr()
    assert len(shown.out.splitlines()) == 3
    assert "3 of 69 accounts are to be paid" not in shown.err and "3 of 5 accounts are to be paid" in shown.err
    assert archive.everybody() == 0
    assert "0 of 5 accounts are to be paid" in capsys.readouterr().err
    assert archive.balance(RICH) == pays(USERS[0]) + pays(USERS[3])


def test_a_run_that_broke_off_goes_on(archive: Archive, monkeypatch: pytest.MonkeyPatch) -> None:
    archive.world.pass_time(MAX_SILENCE_S + 1)
    escape, calls = Settlement.escape, []

    def break_off(settlement: Settlement, index: int, *rest: object) -> object:
        calls.append(index)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return escape(settlement, index, *rest)

    with monkeypatch.context() as patched:
        patched.setattr(Settlement, "escape", break_off)
        with pytest.raises(KeyboardInterrupt):
            archive.everybody()
    assert [archive.world.contract.is_escaped(64 + at) for at in range(5)] == [True, False, False, False, False]
    assert archive.everybody() == 0
    assert [archive.world.contract.is_escaped(64 + at) for at in range(5)] == [True, True, False, True, False]
    assert archive.balance(RICH) == pays(USERS[0]) + pays(USERS[3])


def test_one_who_cannot_be_paid_stops_nobody(
    archive: Archive, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    archive.world.pass_time(MAX_SILENCE_S + 1)
    escape = Settlement.escape

    def refuse_the_first(settlement: Settlement, index: int, *rest: object) -> object:
        if index == 64:
            raise Refused("escape: transfer refused")
        return escape(settlement, index, *rest)

    monkeypatch.setattr(Settlement, "escape", refuse_the_first)
    assert archive.everybody() == 1
    assert f"not paid: account 64 of 0x{RICH.hex()}: escape: transfer refused" in capsys.readouterr().err
    assert archive.balance(RICH) == pays(USERS[3])


def test_the_accounts_of_one_owner(archive: Archive, capsys: pytest.CaptureFixture) -> None:
    archive.world.pass_time(MAX_SILENCE_S + 1)
    snapshot = ("--snapshot", str(archive.path))
    assert archive.run(*snapshot) == 1
    assert "say for whom" in capsys.readouterr().err
    assert archive.run(*snapshot, "--owner", "0x" + RICH.hex()) == 0
    assert (archive.balance(RICH), archive.balance(POOR)) == (pays(USERS[0]) + pays(USERS[3]), 0)


def test_one_proof_of_the_same_header_and_the_file_do_not_pay_twice(archive: Archive, tmp_path: Path) -> None:
    archive.world.pass_time(MAX_SILENCE_S + 1)
    proof = tmp_path / "poor.json"
    proof.write_text(json.dumps(read_claims(archive.path.read_bytes()).proof(65)))
    assert archive.run(str(proof), "--snapshot", str(archive.path), "--owner", "0x" + RICH.hex()) == 0
    assert archive.balance(POOR) == pays(USERS[1])


def test_files_of_two_headers_are_refused_before_anything_is_sent(
    archive: Archive, capsys: pytest.CaptureFixture
) -> None:
    archive.save(replace(archive.fields, height=6))
    assert archive.run(str(archive.proof_path), "--snapshot", str(archive.path), "--all") == 1
    assert "of several headers (heights 5, 6)" in capsys.readouterr().err
    assert archive.world.contract.last().height == 0


def test_a_damaged_claims_file_is_refused(archive: Archive, capsys: pytest.CaptureFixture) -> None:
    data = bytearray(archive.path.read_bytes())
    data[-40] ^= 1
    archive.path.write_bytes(data)
    assert archive.everybody() == 1
    assert f"{archive.path}: the claims file is cut off or damaged" in capsys.readouterr().err


def test_unconsumed_deposits_go_back(archive: Archive, capsys: pytest.CaptureFixture) -> None:
    """The contract has no checkpoint at all: deposits are all there is."""
    sender = archive.world.contract.sender
    archive.world.pass_time(FORCE_DEADLINE_S + 2)
    before = archive.balance(sender)
    owner = ("--owner", "0x" + TRADER.hex())
    assert escape_tool.main([*archive.common, *owner]) == 0
    assert capsys.readouterr().out.splitlines()[-1] == f"in all {escape_tool._money(POOL)}"
    assert archive.run("--refund", *owner) == 0
    assert archive.balance(sender) - before == POOL
    assert capsys.readouterr().out.count("returned") == 2
    assert archive.run("--refund", *owner) == 0
    assert archive.balance(sender) - before == POOL


def test_a_withdrawals_file_pays_what_is_open_with_no_proof_saved(
    archive: Archive, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    """Of three withdrawals up to height 9 and one later; a claims file of height 9 brings the header."""
    token = archive.world.contract.token_address
    rows = [
        FiledWithdrawal(index, height, owner, token, 100 + index)
        for index, (height, owner) in enumerate([(3, OWNER), (4, RICH), (9, OWNER), (10, OWNER)])
    ]
    root, _ = fold_withdrawal_tree([row.leaf() for row in rows[:3]], 0)
    archive.world.deposit(303)
    archive.save_claims(HeaderFields(height=9, withdrawals_root=root, withdrawals_total=303))
    path = tmp_path / "withdrawals.log"
    path.write_bytes(MAGIC + b"".join(row.encode() for row in rows))
    assert archive.run("--withdrawals", str(path)) == 1
    assert "needs --snapshot" in capsys.readouterr().err
    files = ["--snapshot", str(archive.path), "--withdrawals", str(path), "--owner", "0x" + OWNER.hex()]
    archive.run(*files)  # posts the header
    archive.world.pass_time(CLAIM_DELAY_S + 1)
    archive.run(*files)
    assert archive.balance(OWNER) == 100 + 102 and archive.balance(RICH) == 0
    assert archive.world.contract.is_claimed(0) and not archive.world.contract.is_claimed(1)
    capsys.readouterr()
    archive.run(*files)
    assert "withdrawal" not in capsys.readouterr().err  # what is paid is passed over
    path.write_bytes(path.read_bytes()[:-65])
    assert archive.run(*files) == 1
    assert "not those of the header" in capsys.readouterr().err


def test_an_open_withdrawal_is_claimed_without_a_freeze(
    archive: Archive, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    leaf = digests.withdrawal_leaf(0, OWNER, archive.world.contract.token_address, 1_234)
    root, siblings = fold_withdrawal_tree([leaf], 0)
    fields = archive.world.consumed(HeaderFields(height=9, withdrawals_root=root, withdrawals_total=1_234))
    header = fields.encode()
    path = tmp_path / "withdrawal.json"
    raw = {
        "index": 0, "owner": "0x" + OWNER.hex(), "token": "0x" + archive.world.contract.token_address.hex(),
        "amount": "0.001234", "siblings": ["0x" + node.hex() for node in siblings],
        "certificate": {
            "header": "0x" + header.hex(), "bitmap": "0x0f",
            "signature": "0x" + archive.world.sign(archive.world.digest(header)).hex(),
        },
    }  # fmt: skip
    path.write_text(json.dumps(raw))
    assert archive.run(str(path)) == 1
    assert "claim: too early; a checkpoint pays 10 min after it was posted" in capsys.readouterr().err
    archive.world.pass_time(CLAIM_DELAY_S + 1)
    assert archive.run(str(path)) == 0
    assert archive.balance(OWNER) == 1_234 and not archive.world.contract.is_frozen()
    assert archive.run(str(path)) == 1
    assert "has been paid before" in capsys.readouterr().err
    path.write_text(json.dumps(raw | {"amount": "0.001235"}))
    assert archive.run(str(path)) == 1
    assert "not in the tree" in capsys.readouterr().err
