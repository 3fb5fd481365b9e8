"""Withdrawals leave no faster than the cap, wait while operators pause, come in batches, and are never stuck."""

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass, replace

import pytest
from account_book import owner_of
from settlement_world import CLAIM_DELAY_S, FORCE_DEADLINE_S, MAX_SILENCE_S, HeaderFields, World
from trees import fold_withdrawal_tree

from contracts import digests
from contracts.artifact import load_artifact
from contracts.chain_link import ChainLink
from contracts.council import EXIT_WINDOW_S, Council, Kind
from contracts.deployment import CollateralToken
from contracts.devchain.chain import funded_key
from contracts.payouts import Withdrawal
from contracts.records import CheckpointRecord, Refused

CAP = 1_000
DAY_S = 86_400
# Small ones, one of more than all that the bucket holds, and a few more small ones.
AMOUNTS = (100, 200, 150, 2_600, 30, 20)
SMALL, HUGE = (0, 1, 2, 4, 5), 3


@dataclass
class Desk:
    """A custody whose checkpoint holds the withdrawals and is old enough."""

    world: World
    council: str

    def withdrawals(self) -> list[Withdrawal]:
        token = self.world.contract.token_address
        leaves = [digests.withdrawal_leaf(i, owner_of(i), token, amount) for i, amount in enumerate(AMOUNTS)]
        return [
            Withdrawal(i, owner_of(i), token, amount, fold_withdrawal_tree(leaves, i)[1])
            for i, amount in enumerate(AMOUNTS)
        ]

    def root(self) -> bytes:
        token = self.world.contract.token_address
        leaves = [digests.withdrawal_leaf(i, owner_of(i), token, amount) for i, amount in enumerate(AMOUNTS)]
        return fold_withdrawal_tree(leaves, 0)[0]

    def record(self) -> CheckpointRecord:
        record = self.world.contract.last_checkpoint()
        assert record is not None
        return record

    def claim(self, index: int) -> int:
        """What the owner got by it."""
        before = self.balance(index)
        self.world.contract.payouts().claim(self.record(), self.withdrawals()[index])
        return self.balance(index) - before

    def balance(self, index: int) -> int:
        return self.world.contract.token_balance(owner_of(index))

    def left(self) -> int:
        return self.world.contract.payouts().outflow_left(self.world.contract.token_address)


@pytest.fixture(scope="module")
def founded_desk() -> Iterator[tuple[Desk, int]]:
    world = World(outflow_cap_quote=CAP)
    world.register_all()
    world.activate()
    desk = Desk(world, world.deployment.council)
    world.deposit(10_000)
    total = sum(AMOUNTS)
    world.post(
        world.consumed(HeaderFields(withdrawals_root=desk.root(), withdrawals_total=total, claims=10_000 - total))
    )
    yield desk, world.chain.head.block_number
    world.chain.close()


@pytest.fixture
def desk(founded_desk: tuple[Desk, int]) -> Desk:
    founded, block = founded_desk
    founded.world.chain.rewind(block)
    founded.world.chain.reset_clock()
    founded.world.pass_time(CLAIM_DELAY_S)
    return founded


def test_claims_stop_at_the_cap_and_go_on_as_time_passes(desk: Desk) -> None:
    assert desk.left() == CAP // 2
    assert [desk.claim(index) for index in (0, 1, 2)] == [100, 200, 150]
    with pytest.raises(Refused, match="claim: outflow cap is reached, try later"):
        desk.claim(HUGE)
    assert desk.claim(4) == 30
    desk.world.pass_time(DAY_S)
    assert desk.left() == CAP // 2


def test_a_withdrawal_above_the_cap_is_paid_in_parts(desk: Desk) -> None:
    """Until all is paid, and while it is, small ones find room."""
    paid, days = desk.claim(HUGE), 0
    assert paid == CAP // 4
    assert desk.claim(0) == 100
    while not desk.world.contract.is_claimed(HUGE):
        assert desk.world.contract.payouts().paid_part(HUGE) == paid
        desk.world.pass_time(DAY_S)
        paid, days = paid + desk.claim(HUGE), days + 1
    assert (paid, days) == (AMOUNTS[HUGE], 9)
    with pytest.raises(Refused, match="claim: already paid"):
        desk.claim(HUGE)


def test_outflow_in_any_day_is_at_most_the_cap(desk: Desk) -> None:
    """Somebody claims all that can be claimed, every hour, for four days."""
    paid: list[int] = []
    for _ in range(4 * 24):
        before = desk.world.contract.paid_total()
        for index in (*SMALL, HUGE):
            try:
                desk.claim(index)
            except Refused:
                continue
        paid.append(desk.world.contract.paid_total() - before)
        desk.world.pass_time(DAY_S // 24)
    windows = [sum(paid[start : start + 24]) for start in range(len(paid) - 24)]
    assert max(windows) <= CAP
    assert sum(paid) > CAP


def test_a_batch_skips_what_is_refused(desk: Desk) -> None:
    """A wrong proof, one that was paid before and one that the cap stops hold nobody up."""
    desk.claim(1)
    batch = desk.withdrawals()
    batch[0] = replace(batch[0], amount=99)
    desk.world.contract.payouts().claim_many(desk.record(), [batch[i] for i in (0, 1, 2, 4, HUGE, 5)])
    assert [desk.balance(i) for i in range(6)] == [0, 200, 150, 0, 30, 20]


def test_ronin_and_harmony_stolen_keys_cannot_empty_the_custody_at_once(desk: Desk) -> None:
    """A quorum of stolen keys moves everything to the thief: the delay, a pause and the cap hold it."""
    world, token, thief = desk.world, desk.world.contract.token_address, b"\xbd" * 20
    everything = 10_000 - sum(AMOUNTS)
    leaves = [digests.withdrawal_leaf(i, owner_of(i), token, amount) for i, amount in enumerate(AMOUNTS)]
    leaves.append(digests.withdrawal_leaf(len(leaves), thief, token, everything))
    root, siblings = fold_withdrawal_tree(leaves, len(leaves) - 1)
    world.post(world.consumed(HeaderFields(height=2, withdrawals_root=root, withdrawals_total=10_000)))
    stolen = Withdrawal(len(leaves) - 1, thief, token, everything, siblings)
    payouts = world.contract.payouts()
    with pytest.raises(Refused, match="claim: too early"):
        payouts.claim(desk.record(), stolen)
    world.pass_time(CLAIM_DELAY_S)
    for seat in (1, 2):
        Council(world.provider, desk.council, funded_key(seat)).pause(seat)
    assert payouts.is_paused()
    with pytest.raises(Refused, match="claim: paused"):
        payouts.claim(desk.record(), stolen)
    world.pass_time(DAY_S + 1)
    start_s = world.chain.head.timestamp
    while world.chain.head.timestamp < start_s + DAY_S - 7_200:
        with contextlib.suppress(Refused):
            payouts.claim(desk.record(), stolen)
        world.pass_time(3_600)
    taken = world.contract.token_balance(thief)
    assert 0 < taken <= CAP


def test_polygon_plasma_2021_one_withdrawal_has_one_nullifier(desk: Desk) -> None:
    """The same exit was paid again for other bytes of its proof: here the index alone says what is paid."""
    payouts, good = desk.world.contract.payouts(), desk.withdrawals()[0]
    desk.claim(0)
    with pytest.raises(Refused, match="claim: already paid"):
        payouts.claim(desk.record(), good)
    for bit in (32, 33, 200, 255):
        with pytest.raises(Refused, match="claim: index too large"):
            payouts.claim(desk.record(), replace(good, index=good.index | 1 << bit))
    for level in (0, 7, 31):
        siblings = [bytes(32) if at == level else node for at, node in enumerate(good.siblings)]
        other = [b"\x01" * 32 if at == level else node for at, node in enumerate(good.siblings)]
        for index, proof in ((1, siblings), (1 << level, good.siblings), (3, other)):
            with pytest.raises(Refused, match=r"claim: (wrong proof|already paid)"):
                payouts.claim(desk.record(), replace(good, index=index, siblings=proof))
    assert desk.balance(0) == AMOUNTS[0]


def test_amounts_that_no_token_has_stop_nobody(desk: Desk) -> None:
    """A forged leaf of the largest number there is: refused or paid in parts, and the next claim goes through."""
    world, token = desk.world, desk.world.contract.token_address
    leaves = [digests.withdrawal_leaf(i, owner_of(i), token, amount) for i, amount in enumerate((2**256 - 1, 10))]
    root, _ = fold_withdrawal_tree(leaves, 0)
    world.post(world.consumed(HeaderFields(height=2, withdrawals_root=root, withdrawals_total=10_000)))
    world.pass_time(CLAIM_DELAY_S)
    for index, amount in enumerate((2**256 - 1, 10)):
        proof = fold_withdrawal_tree(leaves, index)[1]
        world.contract.payouts().claim(desk.record(), Withdrawal(index, owner_of(index), token, amount, proof))
    assert (desk.balance(0), desk.balance(1)) == (CAP // 4, 10)


def test_a_pause_blocks_claims_and_nothing_else(desk: Desk) -> None:
    world = desk.world
    for seat in (0, 3):
        Council(world.provider, desk.council, funded_key(seat)).pause(seat)
    with pytest.raises(Refused, match="claim: paused"):
        desk.claim(0)
    world.deposit(77)
    world.post(HeaderFields(height=2, withdrawals_root=desk.root(), withdrawals_total=sum(AMOUNTS), inbox_cursor=1,
                            inbox_hash=world.contract.inbox_hash(1)))  # fmt: skip
    world.pass_time(FORCE_DEADLINE_S + MAX_SILENCE_S)
    assert world.contract.payouts().is_paused()
    world.contract.freeze()
    (entry,) = world.contract.inbox_entries(1, 1, world.contract.latest_block())
    before = world.contract.token_balance(world.contract.sender)
    world.contract.refund(entry)
    assert world.contract.token_balance(world.contract.sender) == before + 77


def test_only_the_contract_of_payouts_moves_money_and_only_the_council_moves_its_terms(desk: Desk) -> None:
    contract, payouts = desk.world.contract, desk.world.contract.payouts()
    checksum = contract._link.web3.to_checksum_address
    token, me = checksum(contract.token_address), checksum(contract.sender)
    with pytest.raises(Refused, match="pay: not the contract of payouts"):
        contract._send("pay_out", token, me, 1)
    with pytest.raises(Refused, match="outflow: not the council"):
        payouts._send("set_outflow_cap", token, 2**60)
    with pytest.raises(Refused, match="outflow: not the council"):
        payouts._send("add_token", token, 2**100)
    with pytest.raises(Refused, match="engine: not the council"):
        contract._send("set_engine_version", 2)


def test_the_council_changes_its_three_things_and_a_new_token_comes_and_goes(desk: Desk) -> None:
    """Cap, engine version and token, each by a quorum and after the exit window."""
    world, contract, payouts = desk.world, desk.world.contract, desk.world.contract.payouts()
    link = ChainLink(world.provider, funded_key(0))
    artifact = load_artifact("TestUSDC")
    coin = link.deploy(link.web3.eth.contract(abi=artifact["abi"], bytecode=artifact["bytecode"]).constructor())
    token, nobody = bytes.fromhex(coin[2:]), bytes(20)
    setting = CollateralToken(coin, 5, 10, 4_000).setting()
    councillors = [Council(world.provider, desk.council, funded_key(seat)) for seat in range(3)]
    changes = (
        (Kind.OUTFLOW_CAP, contract.token_address, 2 * CAP), (Kind.ENGINE_VERSION, nobody, 2),
        (Kind.ADD_TOKEN, token, setting),
    )  # fmt: skip
    numbers = [councillors[0].propose(0, *change) for change in changes]
    for seat in (1, 2):
        for number in numbers:
            councillors[seat].approve(seat, number)
    world.pass_time(EXIT_WINDOW_S + 1)
    for number in numbers:
        councillors[0].execute(number)
    assert payouts.outflow_cap(contract.token_address) == 2 * CAP
    assert (contract.engine_version(), payouts.is_token(token), payouts.outflow_cap(token)) == (2, True, 4_000)

    minted = link.web3.eth.contract(link.web3.to_checksum_address(token), abi=artifact["abi"]).functions.mint
    link.send(minted(link.web3.to_checksum_address(contract.sender), 500))
    contract.deposit(owner_of(9), 0, 500, token)
    leaf = digests.withdrawal_leaf(0, owner_of(9), token, 500)
    root, siblings = fold_withdrawal_tree([leaf], 0)
    world.post(world.consumed(HeaderFields(height=2, engine_version=2, withdrawals_root=root, withdrawals_total=3_100)))
    with pytest.raises(Refused, match="checkpoint: engine not active"):
        world.post(world.consumed(HeaderFields(height=3, withdrawals_root=root, withdrawals_total=3_100)))
    world.pass_time(CLAIM_DELAY_S)
    payouts.claim(desk.record(), Withdrawal(0, owner_of(9), token, 500, siblings))
    assert contract.token_balance(owner_of(9), token) == 500
    with pytest.raises(Refused, match="deposit: no collateral"):
        contract._send("deposit", link.web3.to_checksum_address(owner_of(9)), 0, 1, desk.council)
