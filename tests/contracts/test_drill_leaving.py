"""The drill's second half, on a contract whose committee is as dead as a test makes it: its checks hold, or fail."""

import json
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from account_book import AUX_HASH, Book, BookAccount
from settlement_world import HeaderFields, World
from trees import fold_withdrawal_tree

from consensus.messages import Certificate, Header
from contracts import digests
from contracts.devchain.rpc import Rpc
from contracts.devchain.server import Server
from contracts.forced import ForcedActions
from engine.units import format_quote
from net.gateway import present
from net.gateway.backend import AccountProof, FinalisedHeader
from testnet import homes
from testnet.escape.cast import make_cast
from testnet.escape.disks import Disks
from testnet.escape.leave import Leaving, Outcome
from testnet.escape.life import Plan, Remains
from testnet.escape.market import list_markets
from testnet.launch import Network

CLAIMS = (1_000, 333, 7, 0, 4_444)  # of three traders, `daring` and `vulture`
DEBT, SYSTEM, WITHDRAWN, LATE = 901, 250, 123, 55
PERPETUAL_AND_OPTION = bytes(8) + b"".join(number.to_bytes(4, "big") + bytes(8) for number in (0, 2))


class HeldBook(Book):
    """A book in which everybody holds a perpetual and an option."""

    @staticmethod
    def holdings(index: int) -> bytes:
        return PERPETUAL_AND_OPTION


class DeadNetwork:
    """What a life leaves: a contract with one checkpoint, everybody's files, and one deposit that nobody read."""

    def __init__(self, world: World, folder: Path, url: str) -> None:
        self.world = world
        cast = make_cast(folder, 4)
        self.cast = replace(cast, traders=cast.traders[2:5])
        accounts = {1: BookAccount((2).to_bytes(20, "big"), SYSTEM)}
        for index, (person, claim) in enumerate(zip(self.cast.everybody, CLAIMS, strict=True), 64):
            debt = DEBT if person is self.cast.daring else 0
            accounts[index] = BookAccount(person.account.address, claim, debt)
        self.book = HeldBook(accounts)
        world.deposit(self.book.claims - self.book.debt + WITHDRAWN)
        self.fields = self._post()
        self._save(self.fields)
        forced = ForcedActions(world.provider, world.deployment.settlement, self.cast.forcing.account.key)
        forced.withdraw(0, forced.token)
        world.contract.mint_test_usdc(self.cast.late.account.address, LATE)
        late = world.as_account(self.cast.late.account.number)
        late.deposit(self.cast.late.account.address, 0, LATE)
        config = homes.make_network(
            world.contract.chain_id, world.deployment.settlement, world.deployment.token, [], 1,
            markets=list_markets(0),
        )  # fmt: skip
        network = Network(config, url, [url.replace("http:", "http://127.0.0.1:1#")], [])
        self.remains = Remains(network, self.cast, Plan(1, (0, 1, 2, 3)), Disks(folder, 4))

    def leave(self) -> Outcome:
        return Leaving(self.remains, seed=7, is_in_process=True).run()

    def _post(self) -> HeaderFields:
        world = self.world
        owner = self.cast.vulture.account.address
        leaf = digests.withdrawal_leaf(0, owner, world.contract.token_address, WITHDRAWN)
        root, self._siblings = fold_withdrawal_tree([leaf], 0)
        made_ms = world.chain.head.timestamp * 1_000
        base = HeaderFields(
            height=8, timestamp_ms=made_ms, withdrawals_root=root, withdrawals_total=WITHDRAWN,
        )  # fmt: skip
        fields = world.consumed(self.book.fields(base))
        world.post(fields)
        return fields

    def _save(self, fields: HeaderFields) -> None:
        header = Header.decode(fields.encode())
        signature = self.world.sign(self.world.digest(fields.encode()))
        finalised = FinalisedHeader(
            header, Certificate(3, header.epoch, header.view, header.hash(), b"\x0f", signature)
        )
        for index, person in enumerate(self.cast.everybody, 64):
            leaf = self.book.leaf(index)
            siblings = tuple(
                (node, int.from_bytes(sums[:16], "big"), int.from_bytes(sums[16:], "big"))
                for node, sums in zip(leaf["sibling_hashes"], leaf["sibling_sums"])
            )
            view = AccountProof(
                index=index, owner=leaf["owner"], subaccount=0, claims=leaf["claim"], debt=leaf["debt"],
                holdings=PERPETUAL_AND_OPTION, aux_hash=AUX_HASH, siblings=siblings, finalised=finalised,
            )  # fmt: skip
            person.proof_path.write_text(json.dumps(present.account_proof(view)))
        proof = {
            "index": 0, "owner": "0x" + self.cast.vulture.account.address.hex(), "amount": format_quote(WITHDRAWN),
            "token": "0x" + self.world.contract.token_address.hex(),
            "siblings": ["0x" + node.hex() for node in self._siblings],
            "certificate": present.certificate(finalised),
        }  # fmt: skip
        (self.cast.vulture.folder / "withdrawal-0.json").write_text(json.dumps(proof))


@pytest.fixture
def dead(world: World, tmp_path: Path) -> Iterator[DeadNetwork]:
    server = Server(Rpc(world.chain), "127.0.0.1", 0)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield DeadNetwork(world, tmp_path, f"http://127.0.0.1:{server.server_address[1]}")
    server.shutdown()
    server.server_close()


def failing(outcome: Outcome) -> list[str]:
    return [check.text for check in outcome.checks if not check.is_met]


def test_everybody_leaves_a_dead_network(dead: DeadNetwork) -> None:
    outcome = dead.leave()
    assert failing(outcome) == []
    pool = dead.book.claims - DEBT
    shares = {person.name: claim * pool // dead.book.claims for person, claim in zip(dead.cast.everybody, CLAIMS)}
    paid = {item.due.person.name: item.paid_quote for item in outcome.payments}
    assert paid == shares | {"late": LATE, "vulture": shares["vulture"] + WITHDRAWN}
    assert outcome.figures["left_quote"] == pool - sum(shares.values())


def give_the_contract_money(dead: DeadNetwork) -> None:
    dead.world.contract.mint_test_usdc(dead.world.contract.address_bytes, 1)


def forget_a_withdrawal(dead: DeadNetwork) -> None:
    (dead.cast.vulture.folder / "withdrawal-0.json").unlink()


@pytest.mark.parametrize(
    ("spoil", "findings"),
    [
        (
            give_the_contract_money,
            [
                "the contract holds the pool, unread deposits and open withdrawals, to the unit",
                "what is left is the exchange's own part and the rounding, to the unit",
            ],
        ),
        (
            forget_a_withdrawal,
            [
                "a deposit is unread and a withdrawal is open",
                "the contract holds the pool, unread deposits and open withdrawals, to the unit",
                "what is left is the exchange's own part and the rounding, to the unit",
            ],
        ),
    ],
)
def test_what_is_wrong_is_found(dead: DeadNetwork, spoil: Callable[[DeadNetwork], None], findings: list[str]) -> None:
    spoil(dead)
    assert failing(dead.leave()) == findings
