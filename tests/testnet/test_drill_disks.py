"""Withdrawals proven out of dead validators' files: what the escape tool takes, from whichever disk has all of it."""

import json
from pathlib import Path

from contracts import digests
from contracts.claims_file import ClaimsAccount, ClaimsFile, encode_accounts, encode_claims, read_claims
from contracts.saved_proof import SavedWithdrawal, parse_saved
from contracts.withdrawals_file import MAGIC, FiledWithdrawal, WithdrawalsFile
from testnet.escape.disks import Disks
from testnet.homes import node_home

OWNER, OTHER, TOKEN = b"\xa1" * 20, b"\xa2" * 20, b"\xcc" * 20
ROWS = [
    FiledWithdrawal(0, 3, OWNER, TOKEN, 1_500_000),
    FiledWithdrawal(1, 5, OTHER, TOKEN, 7),
    FiledWithdrawal(2, 8, OWNER, TOKEN, 9),
    FiledWithdrawal(3, 9, OWNER, TOKEN, 1),  # above the header
]
HEIGHT = 8


def make_claims() -> ClaimsFile:
    """Of a header that has the first three withdrawals, and one account."""
    account = ClaimsAccount(OWNER, 0, 5, bytes(32), 5)
    sums = digests.encode_sums(5, 0)
    node = (digests.account_leaf(0, OWNER, 0, sums, account.digest), sums)
    empty = (bytes(32), bytes(32))
    for _ in range(digests.ACCOUNT_DEPTH):
        node, empty = digests.sum_node(node, empty), digests.sum_node(empty, empty)
    words = [bytes(32)] * 20
    words[3], words[15], words[16] = HEIGHT.to_bytes(32, "big"), *node
    words[17] = WithdrawalsFile(ROWS[:3]).root
    return read_claims(encode_claims(b"".join(words), b"\x0f", bytes(96), *encode_accounts([account])))


def write_log(folder: Path, node: int, rows: list[FiledWithdrawal]) -> None:
    path = node_home(folder, node).data / "claims" / "withdrawals.log"
    path.parent.mkdir(parents=True)
    path.write_bytes(MAGIC + b"".join(row.encode() for row in rows))


def test_the_first_disk_that_has_all_proves_the_owners_withdrawals(tmp_path: Path) -> None:
    claims = make_claims()
    write_log(tmp_path, 1, ROWS[:2])
    write_log(tmp_path, 2, ROWS)
    proofs = Disks(tmp_path, 3).prove_withdrawals(claims, OWNER)
    assert [proof["index"] for proof in proofs] == [0, 2]
    saved = [parse_saved(json.dumps(proof)) for proof in proofs]
    assert all(isinstance(item, SavedWithdrawal) for item in saved)
    assert [(item.owner, item.certified.height) for item in saved] == [(OWNER, HEIGHT)] * 2
    assert [item.amount for item in saved if isinstance(item, SavedWithdrawal)] == [1_500_000, 9]


def test_where_no_disk_has_all_nothing_is_proven(tmp_path: Path) -> None:
    write_log(tmp_path, 1, ROWS[:2])
    assert Disks(tmp_path, 2).prove_withdrawals(make_claims(), OWNER) == []
