"""`python -m contracts.bench_gas`: what the contract costs, in gas and in milliseconds on the embedded chain.

Prints a table and writes `build/results/bench-gas.json`.
"""

import json
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from blspy import PopSchemeMPL, PrivateKey
from eth_account import Account
from eth_utils import to_canonical_address

from contracts import digests
from contracts.court import Court, Statement
from contracts.deployment import MAX_SILENCE_S, deploy
from contracts.devchain.chain import Chain, funded_key
from contracts.devchain.provider import InProcessProvider
from contracts.devchain.rpc import Rpc
from contracts.records import TxResult
from contracts.registry import Registry
from contracts.settlement import SYSTEM_ACCOUNTS, Settlement

COMMITTEE_SIZES = (4, 16, 64, 100)
DEPOSIT_QUOTE = 10**9
RESULT_PATH = Path("build/results/bench-gas.json")
_FINALIZE = 3
_GIFT_WEI = 10**18
_OWNERS = (b"\x03" * 20, b"\x04" * 20)


class Bench:
    """A fresh chain and contract with a committee of `member_count`; `rows` collects the measurements."""

    def __init__(self, member_count: int) -> None:
        self._member_count = member_count
        self._chain = Chain()
        self._provider = InProcessProvider(Rpc(self._chain))
        self._deployment = deploy(self._provider, funded_key(0), claim_delay_s=0)
        self._contract = Settlement(self._provider, self._deployment.settlement, funded_key(0))
        self._registry = Registry(self._provider, self._deployment.registry, funded_key(0))
        self._secrets: list[PrivateKey] = [
            PopSchemeMPL.key_gen(i.to_bytes(32, "big")) for i in range(1, member_count + 1)
        ]
        self.rows: list[dict[str, Any]] = []

    def run(self) -> None:
        for number in range(self._member_count):
            self._register(number)
        committee = self._registry.next_members()
        numbers = [member.number for member in committee]
        self._measure("make committee", partial(self._registry.make_committee, numbers))
        self._measure("activate", partial(self._contract.activate, digests.committee_hash(committee)))
        for name in ("deposit, first", "deposit"):
            self._contract.mint_test_usdc(self._contract.sender, DEPOSIT_QUOTE)
            self._measure(name, lambda: self._contract.deposit(b"\x01" * 20, 0, DEPOSIT_QUOTE))
        absent = list(range((self._member_count - 1) // 3))
        leaf = digests.withdrawal_leaf(0, b"\x02" * 20, self._contract.token_address, 5)
        proof = _zero_siblings()
        for height, (name, missing) in enumerate(
            [("checkpoint, first", []), ("checkpoint", []), (f"checkpoint, {len(absent)} missing", absent)], start=1
        ):
            header = self._header(height, _fold(leaf, proof))
            signature = self._sign(header, missing)
            self._measure(name, partial(self._contract.checkpoint, header, missing, signature))
        self._judge()
        self._measure("claim", lambda: self._contract.claim_withdrawal(3, 0, b"\x02" * 20, 5, proof))
        self._leave()

    def _judge(self) -> None:
        """Two votes of one member; two certificates with as few signers as a quorum has, shared as little as can be."""
        court = Court(self._provider, self._deployment.court, funded_key(0))
        count = self._member_count
        quorum = count - (count - 1) // 3
        for view, (name, first, second) in enumerate(
            [
                ("evidence, two votes", [0], [0]),
                ("evidence, certificates", list(range(quorum)), list(range(count - quorum, count))),
            ],
            start=1,
        ):
            pair = [self._state(view, digests.keccak(bytes([at])), who) for at, who in enumerate((first, second))]
            self._measure(name, partial(court.submit, 1, *pair))

    def _state(self, view: int, header_hash: bytes, signers: list[int]) -> Statement:
        digest = digests.vote_digest(self._contract.domain(), _FINALIZE, 1, view, header_hash)
        signature = bytes(PopSchemeMPL.aggregate([PopSchemeMPL.sign(self._secrets[i], digest) for i in signers]))
        return Statement(_FINALIZE, view, header_hash, sum(1 << i for i in signers), signature)

    def _leave(self) -> None:
        """The last checkpoint holds two accounts; one deposit waits."""
        self._contract.mint_test_usdc(self._contract.sender, DEPOSIT_QUOTE)
        self._contract.deposit(b"\x01" * 20, 0, DEPOSIT_QUOTE)
        index = self._contract.inbox_length() - 1
        (waiting,) = self._contract.inbox_entries(index, 1, self._contract.latest_block())
        self._chain.shift_clock(MAX_SILENCE_S + 1)
        self._measure("freeze", self._contract.freeze)
        for position, name in enumerate(("escape, first", "escape, next")):
            hashes, sums = [list(part) for part in zip(*_account_siblings(position))]
            escape = partial(
                self._contract.escape, SYSTEM_ACCOUNTS + position, _OWNERS[position], 0, DEPOSIT_QUOTE // 2, 0,
                bytes(32), hashes, sums,
            )  # fmt: skip
            self._measure(name, escape)
        self._measure("refund", lambda: self._contract.refund(waiting))

    def _measure(self, name: str, action: Callable[[], TxResult]) -> None:
        start_s = time.perf_counter()
        result = action()
        elapsed_ms = (time.perf_counter() - start_s) * 1_000
        self.rows.append(
            {"members": self._member_count, "action": name, "gas": result.gas_used, "elapsed_ms": round(elapsed_ms, 1)}
        )

    def _register(self, number: int) -> None:
        account = Account.from_key(digests.keccak(b"bench" + number.to_bytes(4, "big")))
        self._give(account.address)
        registry = Registry(self._provider, self._deployment.registry, bytes(account.key))
        secret, network_key = self._secrets[number], (number + 1).to_bytes(32, "big")
        key = bytes(secret.get_g1())
        digest = digests.possession_digest(
            registry.chain_id, registry.address_bytes, to_canonical_address(account.address), network_key, key
        )
        possession = bytes(PopSchemeMPL.sign(secret, digest))
        if number == self._member_count - 1:
            self._measure("register", lambda: registry.register(key, possession, network_key))
        else:
            registry.register(key, possession, network_key)

    def _give(self, address: str) -> None:
        giver = Account.from_key(funded_key(1))
        nonce = self._chain.nonce(to_canonical_address(giver.address), self._chain.head.block_number)
        fields = {
            "to": address, "value": _GIFT_WEI, "nonce": nonce, "gas": 21_000, "maxFeePerGas": 10**10,
            "maxPriorityFeePerGas": 0, "chainId": self._chain.chain_id,
        }  # fmt: skip
        self._chain.send(bytes(giver.sign_transaction(fields).raw_transaction))

    def _header(self, height: int, withdrawals_root: bytes) -> bytes:
        cursor = self._contract.inbox_length()
        account_root, account_sums = _account_root()
        roots = [digests.keccak(bytes([height, i])) for i in range(4)]
        values: list[int | bytes] = [
            1, 1, height + 1, height, roots[0], height, 1, int(time.time() * 1_000), roots[1], bytes(32), roots[2],
            cursor, self._contract.inbox_hash(cursor), 1_000, roots[3], account_root, account_sums,
            withdrawals_root, 5, 1,
        ]  # fmt: skip
        return b"".join(v if isinstance(v, bytes) else v.to_bytes(32, "big") for v in values)

    def _sign(self, header: bytes, absent: list[int]) -> bytes:
        digest = digests.finalize_digest(self._contract.domain(), header)
        parts = [PopSchemeMPL.sign(s, digest) for i, s in enumerate(self._secrets) if i not in absent]
        return bytes(PopSchemeMPL.aggregate(parts))


def _account_leaf(position: int) -> tuple[bytes, bytes]:
    sums = digests.encode_sums(DEPOSIT_QUOTE // 2, 0)
    return digests.account_leaf(SYSTEM_ACCOUNTS + position, _OWNERS[position], 0, sums, bytes(32)), sums


def _account_siblings(position: int) -> list[tuple[bytes, bytes]]:
    """From the leaf up: the other account, then empty nodes."""
    empty = (bytes(32), bytes(32))
    siblings = [_account_leaf(1 - position)]
    while len(siblings) < digests.ACCOUNT_DEPTH:
        empty = digests.sum_node(empty, empty)
        siblings.append(empty)
    return siblings


def _account_root() -> tuple[bytes, bytes]:
    node = _account_leaf(0)
    for level, sibling in enumerate(_account_siblings(0)):
        is_right = SYSTEM_ACCOUNTS >> level & 1
        node = digests.sum_node(sibling, node) if is_right else digests.sum_node(node, sibling)
    return node


def _zero_siblings() -> list[bytes]:
    siblings = [bytes(32)]
    while len(siblings) < digests.WITHDRAWAL_DEPTH:
        siblings.append(digests.keccak(siblings[-1] * 2))
    return siblings


def _fold(leaf: bytes, siblings: list[bytes]) -> bytes:
    node = leaf
    for sibling in siblings:
        node = digests.keccak(node + sibling)
    return node


def main() -> None:
    rows = []
    for member_count in COMMITTEE_SIZES:
        bench = Bench(member_count)
        bench.run()
        rows += bench.rows
    print(f"{'members':>7}  {'action':<24} {'gas':>10} {'ms':>8}")
    for row in rows:
        print(f"{row['members']:>7}  {row['action']:<24} {row['gas']:>10,} {row['elapsed_ms']:>8}")
    RESULT_PATH.parent.mkdir(parents=True, exist_ok=True)
    RESULT_PATH.write_text(json.dumps(rows, indent=1) + "\n")
    print(f"written to {RESULT_PATH}")


if __name__ == "__main__":
    main()
