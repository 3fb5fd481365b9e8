"""Claims files of a real state: provable account by account as the engine proves them, kept as long as they pay."""

import json
from pathlib import Path

import pytest
import trio

from contracts.claims_file import ClaimsFileError, read_claims
from contracts.saved_proof import parse_proof
from contracts.withdrawals_file import FiledWithdrawal, read_withdrawals
from engine import tree
from engine.commands import BUY, PLACE, SELL
from engine.tables import ACCOUNT_COUNT, USER_ACCOUNT_FIRST
from tests.validator.chainlet import MARK_TICKS, OWNERS, TOKEN, Chainlet, certify, seal, sign
from validator.claims import KEEP_COUNT, ClaimsShelf, Proven, WithdrawalsLog, encode_state
from validator.store import FinalBlock


@pytest.fixture(scope="module")
def proven() -> list[Proven]:
    """A funded exchange, then a trade that leaves a long and a short, then a resting order."""
    chain = Chainlet()
    states = []

    def note(block: object) -> None:
        states.append((chain.executor.final.state, FinalBlock(chain.blocks[-1], certify(chain.blocks[-1]), True)))

    note(chain.fund())
    fields = {"market": 0, "price_ticks": MARK_TICKS, "size_lots": 3}
    records = [sign(0, PLACE, 1, side=BUY, **fields).encode(), sign(1, PLACE, 1, side=SELL, **fields).encode()]
    note(chain.add([seal(0, 1, records)]))
    note(chain.add([seal(0, 2, [sign(0, PLACE, 2, side=BUY, **fields).encode()])]))
    return states


def test_a_file_proves_every_account_as_the_engine_does(proven: list[Proven]) -> None:
    for state, final in proven:
        file = read_claims(encode_state(state, final))
        assert file.header == final.block.header.encode()
        assert (file.account_root, file.account_sums) == (state.account_root, state.account_sums)
        assert file.account_count == int(state.tables.counters[ACCOUNT_COUNT])
        for index in range(file.account_count):
            assert file.has_account(index) == (index < 3 or index >= USER_ACCOUNT_FIRST)
            if not file.has_account(index):
                continue
            account, path, known = file.account(index), file.path(index), tree.account_proof(state, index)
            assert (account.owner, account.subaccount) == (known.owner, known.subaccount)
            assert (account.claim_quote, account.debt_quote) == (known.claim_quote, known.debt_quote)
            assert (account.holdings, account.aux_hash, account.digest) == (
                known.holdings, known.aux_digest, known.digest,
            )  # fmt: skip
            assert tuple(path.sibling_hashes) == known.sibling_hashes
            assert tuple(path.sibling_sums) == known.sibling_sums


def test_a_trader_finds_the_own_accounts_and_a_proof_that_tools_take(proven: list[Proven]) -> None:
    state, final = proven[1]
    file = read_claims(encode_state(state, final))
    (long,), (short,) = file.accounts_of(OWNERS[0]), file.accounts_of(OWNERS[1])
    assert (file.account(long).positions, file.account(short).positions) == (((0, 3),), ((0, -3),))
    proof = parse_proof(json.dumps(file.proof(long)))
    assert (proof.owner, proof.certified.height, proof.certified.signature) == (
        OWNERS[0],
        file.height,
        final.certificate.signature,
    )


def keep(shelf: ClaimsShelf, height: int, proven: Proven | None, onchain_height: int) -> bool:
    async def run() -> bool:
        return await shelf.keep(height, lambda _: proven, onchain_height)

    return trio.run(run)


def test_the_shelf_writes_each_file_once_and_finds_it_again_after_a_restart(
    proven: list[Proven], tmp_path: Path
) -> None:
    shelf = ClaimsShelf(tmp_path / "claims")
    assert shelf.views() == []
    for height, item in enumerate(proven, 1):
        assert keep(shelf, height, item, 0)
    assert keep(shelf, 2, None, 0)  # it is there
    assert not keep(shelf, 9, None, 0)
    (tmp_path / "claims" / "notes.txt").write_text("not ours")
    (tmp_path / "claims" / ("ab" * 32)).write_bytes(b"hansa/claims/v1\n" + bytes(900))
    again = ClaimsShelf(tmp_path / "claims")
    assert [view.height for view in again.views()] == [3, 2, 1]
    assert again.views() == shelf.views()
    path = again.path(proven[1][0].account_root)
    assert path is not None and path.stat().st_size == again.views()[1].size_bytes
    assert read_claims(path.read_bytes()).height == 2
    assert again.path(b"\xab" * 32) is None
    with pytest.raises(ClaimsFileError):
        read_claims(path.read_bytes()[:-1])


def test_of_two_headers_with_the_same_accounts_the_one_on_the_chain_stays(tmp_path: Path) -> None:
    chain = Chainlet()
    items = []
    for _ in range(2):
        chain.add([])
        items.append((chain.executor.final.state, FinalBlock(chain.blocks[-1], certify(chain.blocks[-1]), True)))
    assert items[0][0].account_root == items[1][0].account_root
    shelf = ClaimsShelf(tmp_path)
    keep(shelf, 1, items[0], 1)
    assert not keep(shelf, 2, None, 1)
    assert keep(shelf, 2, items[1], 1)
    assert [view.height for view in shelf.views()] == [1]
    assert keep(shelf, 2, items[1], 2)
    assert [view.height for view in shelf.views()] == [2]


def test_old_files_go_but_never_the_one_that_is_on_the_chain(tmp_path: Path) -> None:
    chain = Chainlet()
    chain.fund()
    shelf = ClaimsShelf(tmp_path)
    for nonce in range(1, KEEP_COUNT + 4):
        fields = {"market": 0, "price_ticks": MARK_TICKS - 100 - nonce, "size_lots": 1}
        chain.add([seal(0, nonce, [sign(0, PLACE, nonce, side=BUY, **fields).encode()])])
        item = (chain.executor.final.state, FinalBlock(chain.blocks[-1], certify(chain.blocks[-1]), True))
        assert keep(shelf, chain.head.height, item, onchain_height=2)
    heights = [view.height for view in shelf.views()]
    assert heights == [*range(chain.head.height, chain.head.height - KEEP_COUNT, -1), 2]
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(view.account_root.hex() for view in shelf.views())


def make_rows(first: int, end: int) -> list[FiledWithdrawal]:
    return [FiledWithdrawal(index, 10 + index, bytes([index]) * 20, TOKEN, index + 1) for index in range(first, end)]


def header_with(root: bytes, height: int) -> bytes:
    words = [bytes(32)] * 20
    words[3], words[17] = height.to_bytes(32, "big"), root
    return b"".join(words)


def test_withdrawals_are_appended_once_and_proven_against_each_header(tmp_path: Path) -> None:
    log = WithdrawalsLog(tmp_path)
    assert log.path() is None
    log.append([])
    log.append(make_rows(0, 3))
    log.append(make_rows(0, 3))  # they are there
    log.append(make_rows(4, 5))  # a gap
    assert log.count == 3
    path = log.path()
    assert path is not None
    path.write_bytes(path.read_bytes() + b"half a row that a crash left")
    again = WithdrawalsLog(tmp_path)
    again.append(make_rows(3, 5))
    frontier, leaves = tree.EMPTY_FRONTIER, []
    for row in make_rows(0, 5):
        frontier = tree.append_withdrawal(frontier, row.index, row.leaf())
        leaves.append(row.leaf())
        header = header_with(tree.compute_withdrawals_root(frontier, row.index + 1), row.height)
        file = read_withdrawals(path.read_bytes(), header)
        assert file.rows == make_rows(0, row.index + 1)
        assert file.proof(row.index) == tree.withdrawal_proof(leaves, row.index)
    assert ClaimsShelf(tmp_path).views() == []  # it is no claims file
