"""After a freeze collateral lots leave as they are; a debtor's after its debt is paid, which the creditors share."""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import pytest
from account_book import owner_of
from eth_utils import to_checksum_address
from settlement_world import MAX_SILENCE_S, TRADER, HeaderFields, World
from trees import fold_sum_tree

from contracts import digests
from contracts.artifact import load_artifact
from contracts.chain_link import ChainLink
from contracts.deployment import CollateralToken
from contracts.devchain.chain import funded_key
from contracts.payouts import AccountProof
from contracts.records import CheckpointRecord, Refused

MARKET, UNITS_PER_LOT = 7, 1_000
AUX_HASH = b"\xaa" * 32
REDEMPTION_S = 30 * 86_400
DEPOSITED, CLAIMS, DEBT = 900, 1_000, 100


def encode_holdings(balance: int, *rows: tuple[int, int]) -> bytes:
    words = [market.to_bytes(4, "big") + lots.to_bytes(8, "big", signed=True) for market, lots in rows]
    return balance.to_bytes(8, "big", signed=True) + b"".join(words)


# Index: claim, debt, holdings.
ACCOUNTS = {
    3: (0, 0, encode_holdings(0, (MARKET, 9))),
    64: (700, 0, encode_holdings(700, (2, -5), (MARKET, 3), (9, 1))),
    65: (0, DEBT, encode_holdings(-DEBT, (MARKET, 2))),
    66: (300, 0, encode_holdings(300, (2, 5))),
    67: (0, 0, encode_holdings(0, (9, 4), (MARKET, 4))),
    68: (0, 0, encode_holdings(0, (MARKET, 1), (MARKET, 1))),
    69: (0, 0, encode_holdings(0, (MARKET, 1))[:-1]),
    70: (0, 0, encode_holdings(0, (MARKET, -1))),
}


@dataclass
class Vault:
    world: World
    token: bytes

    def account(self, index: int) -> AccountProof:
        leaves = {}
        for at, (claim, debt, holdings) in ACCOUNTS.items():
            sums = digests.encode_sums(claim, debt)
            digest = digests.keccak(holdings + AUX_HASH)
            leaves[at] = (digests.account_leaf(at, owner_of(at), 0, sums, digest), sums)
        _, siblings = fold_sum_tree(leaves, index)
        claim, debt, holdings = ACCOUNTS[index]
        return AccountProof(
            index, owner_of(index), 0, claim, debt, holdings, AUX_HASH, [node[0] for node in siblings],
            [node[1] for node in siblings],
        )  # fmt: skip

    def root(self) -> bytes:
        account = self.account(64)
        sums = digests.encode_sums(account.claim, account.debt)
        node = (digests.account_leaf(64, account.owner, 0, sums, digests.keccak(account.holdings + AUX_HASH)), sums)
        for level, sibling in enumerate(zip(account.sibling_hashes, account.sibling_sums)):
            node = digests.sum_node(sibling, node) if 64 >> level & 1 else digests.sum_node(node, sibling)
        return node[0]

    def record(self) -> CheckpointRecord:
        record = self.world.contract.last_checkpoint()
        assert record is not None
        return record

    def take(self, index: int) -> int:
        """Units that the owner of the account got."""
        before = self.world.contract.token_balance(owner_of(index), self.token)
        self.world.contract.payouts().escape_in_kind(self.record(), self.token, self.account(index))
        return self.world.contract.token_balance(owner_of(index), self.token) - before

    def send(self, token: bytes, name: str, *arguments: object) -> None:
        link = ChainLink(self.world.provider, funded_key(0))
        contract = link.web3.eth.contract(to_checksum_address(token), abi=load_artifact("TestUSDC")["abi"])
        link.send(contract.functions[name](*arguments))

    def bring_lots(self, lots: int) -> None:
        contract = self.world.contract
        self.send(self.token, "mint", to_checksum_address(contract.sender), lots * UNITS_PER_LOT)
        contract.deposit(TRADER, 0, lots * UNITS_PER_LOT, self.token)


def make_collaterals(provider: object) -> list[CollateralToken]:
    link = ChainLink(provider, funded_key(0))  # type: ignore[arg-type]
    artifact = load_artifact("TestUSDC")
    token = link.deploy(link.web3.eth.contract(abi=artifact["abi"], bytecode=artifact["bytecode"]).constructor())
    return [CollateralToken(token, MARKET, UNITS_PER_LOT, 10**9)]


@pytest.fixture(scope="module")
def founded_vault() -> Iterator[tuple[Vault, int]]:
    """Seven lots and 900 quote units are consumed, two lots wait; then the committee is silent."""
    tokens: list[bytes] = []

    def make(provider: object) -> list[CollateralToken]:
        made = make_collaterals(provider)
        tokens.append(bytes.fromhex(made[0].token[2:]))
        return made

    world = World(make_collaterals=make)
    world.register_all()
    world.activate()
    vault = Vault(world, tokens[0])
    world.deposit(DEPOSITED)
    vault.bring_lots(7)
    fields = replace(HeaderFields(), account_root=vault.root(), claims=CLAIMS, debt=DEBT)
    world.post(world.consumed(fields))
    vault.bring_lots(2)
    world.pass_time(MAX_SILENCE_S + 1)
    world.contract.freeze()
    yield vault, world.chain.head.block_number
    world.chain.close()


@pytest.fixture
def vault(founded_vault: tuple[Vault, int]) -> Vault:
    founded, block = founded_vault
    founded.world.chain.rewind(block)
    founded.world.chain.reset_clock()
    founded.world.pass_time(MAX_SILENCE_S + 2)
    return founded


def test_lots_leave_as_they_are_and_once(vault: Vault) -> None:
    assert vault.take(64) == 3 * UNITS_PER_LOT
    with pytest.raises(Refused, match="escape: already paid"):
        vault.take(64)


@pytest.mark.parametrize(
    ("index", "reason"),
    [
        (3, "escape: system account"),
        (65, "escape: the account is in debt"),
        (66, "escape: nothing to pay"),
        (67, "escape: holdings are not ascending"),
        (68, "escape: holdings are not ascending"),
        (69, "escape: holdings"),
        (70, "escape: nothing to pay"),
    ],
)
def test_who_takes_nothing(vault: Vault, index: int, reason: str) -> None:
    with pytest.raises(Refused, match=reason):
        vault.take(index)


def test_bnb_2022_what_the_leaf_does_not_cover_counts_nothing(vault: Vault) -> None:
    """Holdings with one more row, or another count of lots, are not those of the leaf."""
    payouts, account = vault.world.contract.payouts(), vault.account(64)
    for holdings in (
        account.holdings + encode_holdings(0, (11, 5))[8:],
        encode_holdings(700, (2, -5), (MARKET, 4), (9, 1)),
        account.holdings[:-12],
    ):
        with pytest.raises(Refused, match="escape: wrong proof"):
            payouts.escape_in_kind(vault.record(), vault.token, replace(account, holdings=holdings))


def test_what_no_checkpoint_consumed_stays_for_its_sender(vault: Vault) -> None:
    contract = vault.world.contract
    (entry,) = contract.inbox_entries(2, 1, contract.latest_block())
    assert (entry.token, entry.amount) == (vault.token, 2 * UNITS_PER_LOT)
    contract.refund(entry)
    assert contract.token_balance(contract.sender, vault.token) == 2 * UNITS_PER_LOT
    assert vault.take(64) == 3 * UNITS_PER_LOT
    assert contract.token_balance(contract.address_bytes, vault.token) == 4 * UNITS_PER_LOT


def test_a_paid_debt_frees_the_lots_and_is_shared_by_the_creditors(vault: Vault) -> None:
    contract, payouts = vault.world.contract, vault.world.contract.payouts()
    vault.send(contract.token_address, "mint", to_checksum_address(contract.sender), DEBT)
    vault.send(contract.token_address, "approve", to_checksum_address(payouts.address), DEBT)
    with pytest.raises(Refused, match="redemption: not open"):
        payouts.pay_debt(vault.record(), vault.account(65))
    payouts.open_redemption()
    with pytest.raises(Refused, match="redemption: no debt"):
        payouts.pay_debt(vault.record(), vault.account(64))
    payouts.pay_debt(vault.record(), vault.account(65))
    assert vault.take(65) == 2 * UNITS_PER_LOT
    with pytest.raises(Refused, match="redemption: paid before"):
        payouts.pay_debt(vault.record(), vault.account(65))
    with pytest.raises(Refused, match="share: too early"):
        payouts.share(vault.record(), vault.account(64))
    vault.world.pass_time(REDEMPTION_S)
    for index, part in ((66, 30), (64, 70)):
        payouts.share(vault.record(), vault.account(index))
        assert contract.token_balance(owner_of(index)) == part
    with pytest.raises(Refused, match="share: already paid"):
        payouts.share(vault.record(), vault.account(66))
    assert contract.token_balance(bytes.fromhex(payouts.address[2:])) == 0
