"""Collateral that lies, takes fees, refuses or calls back: nobody gets more or less for it, others are not held up.

Each of them is a token that the deployer should not have chosen. The custody must survive it all the same.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import pytest
from account_book import Book, BookAccount, owner_of
from eth_utils import to_checksum_address
from settlement_world import CLAIM_DELAY_S, MAX_SILENCE_S, TRADER, HeaderFields, World
from trees import fold_withdrawal_tree
from vyper_sources import compile_source, deploy_source
from web3.contract import Contract

from contracts import bls, digests
from contracts.chain_link import ChainLink
from contracts.devchain.chain import funded_key
from contracts.records import Refused

(PLAIN, TAKES_A_FEE, SAYS_FALSE, LIES, REVERTS, BLACKLISTS, CALLS_BACK, SAYS_NOTHING, CALLS_BACK_LATE) = range(9)
BOOK = Book({64: BookAccount(owner_of(1), 700), 65: BookAccount(owner_of(2), 300)})
WITHDRAWALS = ((owner_of(11), 40), (owner_of(12), 60))
WAITING = (5, 7)  # deposits that no checkpoint consumes
DEPOSITED = BOOK.claims + sum(amount for _, amount in WITHDRAWALS)


@dataclass
class Bazaar:
    """A custody whose token is hostile: two accounts, two withdrawals, two deposits that wait."""

    world: World
    token: Contract

    def tell(self, name: str, *arguments: Any) -> None:
        ChainLink(self.world.provider, funded_key(0)).send(self.token.functions[name](*arguments))

    def balance(self, owner: bytes) -> int:
        return self.world.contract.token_balance(owner)

    def leaves(self) -> list[bytes]:
        token = self.world.contract.token_address
        return [digests.withdrawal_leaf(i, owner, token, amount) for i, (owner, amount) in enumerate(WITHDRAWALS)]

    def claim(self, index: int) -> None:
        _, proof = fold_withdrawal_tree(self.leaves(), index)
        self.world.contract.claim_withdrawal(1, index, *WITHDRAWALS[index], proof)

    def escape(self, index: int) -> None:
        self.world.contract.escape(**BOOK.leaf(index))

    def refund(self, index: int) -> None:
        (entry,) = self.world.contract.inbox_entries(index, 1, self.world.contract.latest_block())
        self.world.contract.refund(entry)

    def header(self, height: int) -> HeaderFields:
        root, _ = fold_withdrawal_tree(self.leaves(), 0)
        return BOOK.fields(HeaderFields(height=height, withdrawals_root=root, withdrawals_total=100))

    def freeze(self) -> None:
        self.world.pass_time(MAX_SILENCE_S + 1)
        self.world.contract.freeze()

    def record(self, call: Callable[[], object]) -> tuple[str, bytes]:
        """To whom `call` would send what."""
        sent: list[tuple[str, bytes]] = []
        doors: list[Any] = [self.world.contract, self.world.contract.payouts()]

        def keep(door: Any) -> Callable[..., None]:
            def send(name: str, *arguments: Any) -> None:
                sent.append((door.address, bytes.fromhex(door._contract.encode_abi(name, list(arguments))[2:])))

            return send

        originals = [door._send for door in doors]
        for door in doors:
            door._send = keep(door)
        try:
            call()
        finally:
            for door, original in zip(doors, originals):
                door._send = original
        (found,) = sent
        return found


@pytest.fixture(scope="module")
def founded_bazaar() -> Iterator[tuple[Bazaar, int]]:
    world = World(make_token=lambda provider: deploy_source(provider, funded_key(0), "HostileToken").address)
    world.register_all()
    world.activate()
    token = world.contract._link.web3.eth.contract(
        to_checksum_address(world.contract.token_address), abi=compile_source("HostileToken")["abi"]
    )
    bazaar = Bazaar(world, token)
    # The token deposits in its own name, too.
    bazaar.tell("mint", token.address, 1_000)
    approval = token.encode_abi("approve", [world.contract.address, 1_000])
    bazaar.tell("act", token.address, approval)
    world.deposit(DEPOSITED)
    world.post(world.consumed(bazaar.header(1)))
    for waiting in WAITING:
        world.deposit(waiting)
    world.pass_time(CLAIM_DELAY_S)
    yield bazaar, world.chain.head.block_number
    world.chain.close()


@pytest.fixture
def bazaar(founded_bazaar: tuple[Bazaar, int]) -> Bazaar:
    founded, block = founded_bazaar
    founded.world.chain.rewind(block)
    founded.world.chain.reset_clock()
    founded.world.pass_time(CLAIM_DELAY_S)
    return founded


@pytest.mark.parametrize(
    ("mood", "reason"),
    [
        (TAKES_A_FEE, "deposit: inexact transfer"),
        (LIES, "deposit: inexact transfer"),
        (SAYS_FALSE, "deposit: refused"),
        (REVERTS, "token: no"),
    ],
)
def test_a_deposit_that_does_not_arrive_is_none(bazaar: Bazaar, mood: int, reason: str) -> None:
    held, length = bazaar.balance(bazaar.world.contract.address_bytes), bazaar.world.contract.inbox_length()
    bazaar.tell("set_mood", mood)
    with pytest.raises(Refused, match=reason):
        bazaar.world.deposit(100)
    assert bazaar.world.contract.inbox_length() == length
    assert bazaar.balance(bazaar.world.contract.address_bytes) == held


def test_a_token_that_says_nothing_is_believed_by_its_balance(bazaar: Bazaar) -> None:
    bazaar.tell("set_mood", SAYS_NOTHING)
    bazaar.world.deposit(100)
    bazaar.claim(0)
    bazaar.freeze()
    bazaar.escape(64)
    bazaar.refund(1)
    assert (bazaar.balance(owner_of(11)), bazaar.balance(owner_of(1))) == (40, 700)


@pytest.mark.parametrize("mood", [SAYS_FALSE, REVERTS])
def test_what_the_token_refuses_to_pay_stays_owed(bazaar: Bazaar, mood: int) -> None:
    bazaar.freeze()
    bazaar.tell("set_mood", mood)
    with pytest.raises(Refused, match="escape: transfer refused"):
        bazaar.escape(64)
    with pytest.raises(Refused, match="refund: transfer refused"):
        bazaar.refund(1)
    assert bazaar.balance(owner_of(1)) == 0
    bazaar.tell("set_mood", PLAIN)
    bazaar.escape(64)
    assert bazaar.balance(owner_of(1)) == 700


@pytest.mark.parametrize("mood", [SAYS_FALSE, REVERTS])
def test_what_the_token_refuses_to_pay_for_a_claim_becomes_credit(bazaar: Bazaar, mood: int) -> None:
    token, payouts = bazaar.world.contract.token_address, bazaar.world.contract.payouts()
    bazaar.tell("set_mood", mood)
    bazaar.claim(0)
    assert (bazaar.balance(owner_of(11)), payouts.credit(token, owner_of(11))) == (0, 40)
    bazaar.tell("set_mood", PLAIN)
    with pytest.raises(Refused, match="claim: already paid"):
        bazaar.claim(0)
    bazaar.claim(1)
    assert (bazaar.balance(owner_of(12)), payouts.credit(token, owner_of(12))) == (60, 0)
    assert bazaar.world.contract.paid_total() == 60


def test_credit_goes_where_its_owner_likes(bazaar: Bazaar) -> None:
    """Also while the token still refuses the owner itself."""
    world, token, payouts = bazaar.world, bazaar.world.contract.token_address, bazaar.world.contract.payouts()
    owner = ChainLink(world.provider, funded_key(5)).sender
    leaves = [*bazaar.leaves(), digests.withdrawal_leaf(2, owner, token, 33)]
    root, proof = fold_withdrawal_tree(leaves, 2)
    fields = replace(bazaar.header(2), withdrawals_root=root, withdrawals_total=133, claims=BOOK.claims - 33)
    world.post(world.consumed(fields))
    world.pass_time(CLAIM_DELAY_S)
    bazaar.tell("blacklist", to_checksum_address(owner))
    world.contract.claim_withdrawal(2, 2, owner, 33, proof)
    mine = world.as_account(5).payouts()
    with pytest.raises(Refused, match="collect: transfer refused"):
        mine.collect(token, owner)
    with pytest.raises(Refused, match="collect: no credit"):
        payouts.collect(token, owner_of(20))
    mine.collect(token, owner_of(20))
    assert (bazaar.balance(owner_of(20)), payouts.credit(token, owner)) == (33, 0)


def test_a_blacklisted_owner_holds_nobody_up(bazaar: Bazaar) -> None:
    bazaar.tell("blacklist", to_checksum_address(owner_of(11)))
    bazaar.claim(0)
    bazaar.claim(1)
    bazaar.freeze()
    bazaar.tell("blacklist", to_checksum_address(owner_of(1)))
    with pytest.raises(Refused, match="escape: transfer refused"):
        bazaar.escape(64)
    bazaar.escape(65)
    assert (bazaar.balance(owner_of(12)), bazaar.balance(owner_of(2))) == (60, 300)
    bazaar.tell("set_mood", PLAIN)
    bazaar.escape(64)
    assert (bazaar.balance(owner_of(11)), bazaar.balance(owner_of(1))) == (0, 700)
    assert bazaar.world.contract.payouts().credit(bazaar.world.contract.token_address, owner_of(11)) == 40


def test_gifts_change_no_share(bazaar: Bazaar) -> None:
    bazaar.tell("mint", bazaar.world.contract.address, 10**9)
    bazaar.freeze()
    assert bazaar.world.contract.pool() == BOOK.claims
    bazaar.escape(64)
    assert bazaar.balance(owner_of(1)) == 700


# Calling back.

LIVE: dict[str, Callable[[Bazaar], object]] = {
    "deposit": lambda bazaar: bazaar.world.contract._send("deposit", to_checksum_address(TRADER), 3, 9),
    "claim": lambda bazaar: bazaar.claim(0),
    "another claim": lambda bazaar: bazaar.claim(1),
}
FROZEN: dict[str, Callable[[Bazaar], object]] = {
    "claim": lambda bazaar: bazaar.claim(0),
    "another claim": lambda bazaar: bazaar.claim(1),
    "escape": lambda bazaar: bazaar.escape(64),
    "another escape": lambda bazaar: bazaar.escape(65),
    "refund": lambda bazaar: bazaar.refund(1),
    "another refund": lambda bazaar: bazaar.refund(2),
}


def attack(bazaar: Bazaar, mood: int, outer: Callable[[Bazaar], object], inner: Callable[[Bazaar], object]) -> None:
    """`outer`, during which the token calls `inner`, which must not succeed."""
    bazaar.tell("plan", mood, *bazaar.record(lambda: inner(bazaar)))
    outer(bazaar)
    assert bazaar.token.functions.tries().call() == 1
    assert bazaar.token.functions.successes().call() == 0


@pytest.mark.parametrize("mood", [CALLS_BACK, CALLS_BACK_LATE])
@pytest.mark.parametrize("inner", LIVE)
@pytest.mark.parametrize("outer", ["deposit", "claim"])
def test_a_live_custody_is_not_entered_twice(bazaar: Bazaar, outer: str, inner: str, mood: int) -> None:
    bazaar.tell("mint", to_checksum_address(bazaar.world.contract.sender), 9)
    ChainLink(bazaar.world.provider, funded_key(0)).send(
        bazaar.token.functions.approve(bazaar.world.contract.address, 9)
    )
    attack(bazaar, mood, LIVE[outer], LIVE[inner])
    if outer == "deposit":
        bazaar.claim(0)
    bazaar.claim(1)
    paid = [bazaar.balance(owner) for owner, _ in WITHDRAWALS]
    assert paid == [amount for _, amount in WITHDRAWALS]
    gained = 9 if outer == "deposit" else 0
    assert bazaar.balance(bazaar.world.contract.address_bytes) == BOOK.claims + sum(WAITING) + gained
    assert bazaar.world.contract.deposited_total(bazaar.world.contract.inbox_length()) == (
        DEPOSITED + sum(WAITING) + gained
    )


@pytest.mark.parametrize("mood", [CALLS_BACK, CALLS_BACK_LATE])
@pytest.mark.parametrize("inner", FROZEN)
@pytest.mark.parametrize("outer", ["claim", "escape", "refund"])
def test_a_frozen_custody_is_not_entered_twice(bazaar: Bazaar, outer: str, inner: str, mood: int) -> None:
    bazaar.freeze()
    payer = bazaar.world.contract.sender
    attack(bazaar, mood, FROZEN[outer], FROZEN[inner])
    for name, act in FROZEN.items():
        if name != outer:
            act(bazaar)
    paid = [bazaar.balance(owner) for owner in (owner_of(11), owner_of(12), owner_of(1), owner_of(2), payer)]
    assert paid == [40, 60, 700, 300, sum(WAITING)]
    assert bazaar.balance(bazaar.world.contract.address_bytes) == 0


@pytest.mark.parametrize("mood", [CALLS_BACK, CALLS_BACK_LATE])
def test_a_checkpoint_during_a_payment_changes_no_payment(bazaar: Bazaar, mood: int) -> None:
    """It moves no money, so the lock does not keep it out; what was checked before it still holds after it."""
    contract = bazaar.world.contract
    fields = bazaar.world.consumed(bazaar.header(2))
    header = fields.encode()
    words = bls.signature_words(bazaar.world.sign(bazaar.world.digest(header)))
    arguments = [[data[at : at + 32] for at in range(0, len(data), 32)] for data in (header, words)]
    payload = contract._contract.encode_abi("checkpoint", [arguments[0], b"", arguments[1]])
    bazaar.tell("plan", mood, contract.address, payload)
    bazaar.claim(0)
    assert bazaar.token.functions.successes().call() == 1
    assert contract.last().height == 2
    assert bazaar.balance(owner_of(11)) == 40
    with pytest.raises(Refused, match="claim: already paid"):
        bazaar.claim(0)


@pytest.mark.parametrize(("stage", "name"), [("live", name) for name in LIVE] + [("frozen", name) for name in FROZEN])
def test_the_calls_back_are_good_ones(bazaar: Bazaar, stage: str, name: str) -> None:
    """Each of them succeeds when nothing else is going on: it was the lock that refused it."""
    if stage == "frozen":
        bazaar.freeze()
    bazaar.tell("act", *bazaar.record(lambda: (LIVE if stage == "live" else FROZEN)[name](bazaar)))
