"""A checkpoint's accounts and everything that proves one of them."""

from dataclasses import dataclass, replace
from typing import Any

from settlement_world import HeaderFields
from trees import Node, fold_sum_tree

from contracts import digests

AUX_HASH = b"\xaa" * 32


@dataclass(frozen=True)
class BookAccount:
    owner: bytes
    claim: int
    debt: int = 0
    subaccount: int = 0


class Book:
    """Accounts by index. Owners need not differ."""

    def __init__(self, accounts: dict[int, BookAccount]) -> None:
        self.accounts = accounts
        self.leaves: dict[int, Node] = {}
        for index, account in accounts.items():
            sums = digests.encode_sums(account.claim, account.debt)
            leaf = digests.account_leaf(index, account.owner, account.subaccount, sums, self.digest(index))
            self.leaves[index] = (leaf, sums)
        (self.root, _), _ = fold_sum_tree(self.leaves, 0)
        self.claims = sum(account.claim for account in accounts.values())
        self.debt = sum(account.debt for account in accounts.values())

    @staticmethod
    def holdings(index: int) -> bytes:
        return b"holdings of " + index.to_bytes(4, "big")

    def digest(self, index: int) -> bytes:
        return digests.keccak(self.holdings(index) + AUX_HASH)

    def fields(self, base: HeaderFields) -> HeaderFields:
        return replace(base, account_root=self.root, claims=self.claims, debt=self.debt)

    def leaf(self, index: int) -> dict[str, Any]:
        """Arguments of `escape` and `verify_account`."""
        account = self.accounts[index]
        _, siblings = fold_sum_tree(self.leaves, index)
        return {
            "index": index, "owner": account.owner, "subaccount": account.subaccount, "claim": account.claim,
            "debt": account.debt, "digest": self.digest(index), "sibling_hashes": [node[0] for node in siblings],
            "sibling_sums": [node[1] for node in siblings],
        }  # fmt: skip


def owner_of(number: int) -> bytes:
    return b"\xee" + number.to_bytes(19, "big")
