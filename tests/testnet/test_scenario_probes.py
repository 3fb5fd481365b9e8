"""What emptied other custodies is refused by the real contracts, and a probe that is let through says so."""

from types import SimpleNamespace

import pytest

from contracts.payouts import Withdrawal as Claim
from engine.tree import withdrawal_proof
from testnet.funding import derive_account
from testnet.quorum.exchange import USDC, Account, Books, Exchange, Withdrawal
from testnet.scenario.probing import removed_limits, replayed_exit
from testnet.scenario.probing.access import Access, must_refuse
from testnet.scenario.probing.zero_root import try_zero_roots

OWNER, THIEF = derive_account(5), derive_account(7)
DEPOSIT_UNITS, PAID_UNITS = 300_000 * USDC, 1_000 * USDC
BOOKS = Books(1, (Account(OWNER.address, DEPOSIT_UNITS),))
PAID = Books(2, (Account(OWNER.address, DEPOSIT_UNITS - PAID_UNITS),), (Withdrawal(OWNER.address, PAID_UNITS),))


@pytest.fixture(scope="module")
def exchange():
    """A withdrawal was certified and paid."""
    made = Exchange()
    made.deposit(OWNER.address, DEPOSIT_UNITS)
    made.post(BOOKS)
    made.post(PAID)
    made.pass_time(1_000)
    made.claim(PAID, 0)
    yield made
    made.close()


@pytest.fixture
def access(exchange) -> Access:
    config = SimpleNamespace(contract=exchange.deployment.settlement, validators=range(4))
    return Access(config, exchange.provider, (), (("gambler", THIEF), ("withdrawer", OWNER)))


def find_held(verdicts: list) -> list[str]:
    assert [verdict for verdict in verdicts if not verdict.is_met] == []
    return [verdict.measured for verdict in verdicts]


def test_zeros_prove_nothing(access: Access) -> None:
    measured = find_held(try_zero_roots(access))
    assert measured.count("refused: record: no kept checkpoint") == 3
    assert measured.count("refused: checkpoint: version") == 1
    assert "refused: checkpoint: too few signers" in measured
    assert "refused: checkpoint: signature" in measured
    assert measured[-1] == "0"


def test_a_paid_exit_is_not_paid_again_in_other_bytes(exchange, access: Access, monkeypatch) -> None:
    """The network's API, which would tell the proof, is not here; the proof is the same."""
    leaves = exchange._withdrawal_leaves(PAID)
    token = exchange.settlement.token_address
    paid = Claim(0, OWNER.address, token, PAID_UNITS, withdrawal_proof(leaves, 0))
    record = exchange.settlement.payable_checkpoint()
    monkeypatch.setattr(replayed_exit, "find_paid", lambda *_: (record, paid))
    measured = find_held(replayed_exit.try_replays(access))
    assert measured.count("refused: claim: already paid") >= 6
    assert measured.count("refused: claim: index too large") == 2


def test_no_key_lifts_a_limit_at_once(access: Access, monkeypatch) -> None:
    monkeypatch.setattr(removed_limits, "derive_operator", derive_account)
    measured = find_held(removed_limits.try_levers(access))
    assert measured.count("worked: none") == 2
    assert measured[-2] == "refused: council: exit window is open"


def test_what_is_let_through_is_said() -> None:
    assert not must_refuse("probe", "an open door", lambda: None).is_met
