"""The claims file: its bytes are pinned, every account of it is provable, and nothing that was changed is believed."""

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from trees import fold_sum_tree

from contracts import digests
from contracts.claims_file import (
    ACCOUNT_BYTES,
    ClaimsAccount,
    ClaimsFile,
    ClaimsFileError,
    encode_accounts,
    encode_claims,
    read_claims,
)
from contracts.saved_proof import CertifiedHeader, parse_proof

VECTOR = json.loads((Path(__file__).parents[1] / "vectors" / "claims.json").read_text())
BITMAP, SIGNATURE = b"\x07", b"\x5a" * 96


def make_accounts() -> list[ClaimsAccount | None]:
    """Seven, so that three levels of the tree have an absent sibling: rich, poor, in debt, and an index nobody has."""
    aux = [bytes([number + 1]) * 32 for number in range(7)]
    return [
        ClaimsAccount(bytes(20), 0, 0, aux[0], 0),
        ClaimsAccount(b"\x11" * 20, 0, 12_345_678, aux[1], 12_345_678),
        ClaimsAccount(b"\x11" * 20, 7, -5, aux[2], 10, ((0, -1), (3, 1 << 40))),
        ClaimsAccount(b"\x22" * 20, (1 << 32) - 1, (1 << 62) - 1, aux[3], -(1 << 62), ((5, 1),)),
        None,
        ClaimsAccount(b"\x44" * 20, 1, 1, aux[5], 1),
        ClaimsAccount(b"\x11" * 20, 8, -(1 << 60), aux[6], -(1 << 60), ((1, 2), (2, -3), (7, 1 << 62))),
    ]


def fold(accounts: list[ClaimsAccount | None], index: int) -> tuple[tuple[bytes, bytes], list[tuple[bytes, bytes]]]:
    leaves = {}
    for at, account in enumerate(accounts):
        if account is None:
            continue
        sums = digests.encode_sums(account.claim_quote, account.debt_quote)
        leaves[at] = (digests.account_leaf(at, account.owner, account.subaccount, sums, account.digest), sums)
    return fold_sum_tree(leaves, index)


def make_file(accounts: list[ClaimsAccount | None]) -> bytes:
    (root, sums), _ = fold(accounts, 0)
    words = [bytes(32)] * 20
    words[3], words[15], words[16] = (77).to_bytes(32, "big"), root, sums
    return encode_claims(b"".join(words), BITMAP, SIGNATURE, *encode_accounts(accounts))


def test_the_bytes_are_the_golden_ones() -> None:
    file = read_claims(bytes.fromhex(VECTOR["file"]))
    assert make_file(make_accounts()).hex() == VECTOR["file"]
    assert (file.account_root.hex(), file.account_sums.hex()) == (VECTOR["account_root"], VECTOR["account_sums"])
    assert (file.height, file.bitmap, file.signature) == (VECTOR["height"], BITMAP, SIGNATURE)
    for index, row in enumerate(VECTOR["accounts"]):
        assert file.has_account(index) == (row is not None)
        if row is None:
            continue
        account, path = file.account(index), file.path(index)
        assert [account.owner.hex(), account.subaccount, account.equity_quote, account.balance_quote] == row[:4]
        assert [account.holdings.hex(), account.digest.hex()] == row[4:6]
        assert [node.hex() for node in path.sibling_hashes[:4]] == row[6]


@pytest.mark.parametrize("count", [1, 2, 3, 4, 5, 6, 7])
def test_every_account_is_proven_as_the_obvious_tree_proves_it(count: int) -> None:
    accounts = make_accounts()[:count]
    file = read_claims(make_file(accounts))
    assert file.account_count == count
    for index, account in enumerate(accounts):
        if account is None:
            continue
        _, siblings = fold(accounts, index)
        path = file.path(index)
        assert list(zip(path.sibling_hashes, path.sibling_sums)) == siblings
        assert file.account(index) == account
        proof = parse_proof(json.dumps(file.proof(index)))
        assert (proof.owner, proof.subaccount, proof.digest) == (account.owner, account.subaccount, account.digest)
        assert (proof.claim_quote, proof.debt_quote) == (account.claim_quote, account.debt_quote)
        assert proof.certified == CertifiedHeader(file.header, BITMAP, SIGNATURE)


def test_an_owner_finds_all_accounts_and_only_those_that_exist_are_proven() -> None:
    file = read_claims(make_file(make_accounts()))
    assert list(file.accounts_of(b"\x11" * 20)) == [1, 2, 6]
    assert list(file.accounts_of(b"\x99" * 20)) == []
    assert list(file.accounts_of(bytes(20))) == [0]
    for index in (-1, 4, 7, 1 << 20):
        with pytest.raises(IndexError):
            file.path(index)
        with pytest.raises(IndexError):
            file.account(index)


GOOD = make_file(make_accounts())


@given(st.integers(0, len(GOOD) - 1), st.integers(1, 255))
def test_no_changed_byte_is_believed(at: int, difference: int) -> None:
    bad = bytearray(GOOD)
    bad[at] ^= difference
    with pytest.raises(ClaimsFileError):
        read_claims(bytes(bad))


@given(st.integers(0, len(GOOD) - 1))
def test_no_part_is_taken_for_the_whole(length: int) -> None:
    with pytest.raises(ClaimsFileError):
        read_claims(GOOD[:length])


@given(st.integers(0, len(GOOD) - 33), st.integers(1, 255))
def test_a_forger_who_repairs_the_checksum_changes_no_account(at: int, difference: int) -> None:
    body = bytearray(GOOD[:-32])
    body[at] ^= difference
    try:
        file = read_claims(bytes(body) + digests.keccak(bytes(body)))
    except ClaimsFileError:
        return
    # Other words of the header and the certificate are for the contract to judge; what belongs to accounts is not.
    found = [file.account(index) if file.has_account(index) else None for index in range(file.account_count)]
    assert found == make_accounts()
    assert bytes(body) != GOOD[:-32] and file.account_root == read_claims(GOOD).account_root


@pytest.mark.parametrize("equity_quote", [12_345_679, 12_345_677, -12_345_678])
def test_somebody_elses_money_is_in_no_file(equity_quote: int) -> None:
    accounts = make_accounts()
    honest = read_claims(make_file(accounts))
    accounts[1] = ClaimsAccount(b"\x11" * 20, 0, equity_quote, accounts[1].aux_hash, equity_quote)
    with pytest.raises(ClaimsFileError, match="own header"):
        ClaimsFile(honest.header, BITMAP, SIGNATURE, *encode_accounts(accounts))


def test_a_file_without_accounts_or_with_bytes_behind_them_is_none() -> None:
    words = bytes(640)
    with pytest.raises(ClaimsFileError, match="0 accounts"):
        read_claims(encode_claims(words, BITMAP, SIGNATURE, b"", b""))
    body = GOOD[:-32] + bytes(ACCOUNT_BYTES)
    with pytest.raises(ClaimsFileError, match="behind its last position"):
        read_claims(body + digests.keccak(body))
