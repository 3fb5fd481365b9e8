"""`python -m contracts.bench_gas`: what the contracts cost in gas, beside two other ways to check a certificate.

Measures committees of 4 to 100 on the embedded chain, and on anvil where it is installed (`--chain` chooses one of
them). Prints a table and the goals, writes `build/results/bench-gas.json`, and exits with 1 if a goal is missed.

"next span": the header is the first of its span of time, so the contract moves the one before it among the kept ones;
that is the dearest checkpoint there is once the slots of the ring have been used.
"""

import argparse
import json
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from blspy import PopSchemeMPL, PrivateKey
from eth_account import Account
from eth_utils import to_canonical_address

from contracts import digests
from contracts.bench import goals
from contracts.bench.ground import Ground, is_anvil_here, open_ground
from contracts.bench.rivals import EcdsaMultisig, HashPerKey
from contracts.court import Court, Statement
from contracts.deployment import MAX_SILENCE_S, deploy
from contracts.devchain.chain import funded_key
from contracts.forced import ForcedActions
from contracts.records import ChainError, TxResult
from contracts.registry import Registry
from contracts.settlement import SYSTEM_ACCOUNTS, Settlement

COMMITTEE_SIZES = (4, 16, 64, 100)
DEPOSIT_QUOTE = 10**9
RESULT_PATH = Path("build/results/bench-gas.json")
_FINALIZE = 3
_CLAIM_DELAY_S = 800
_SPAN_S = _CLAIM_DELAY_S // 8
_KEPT_SPANS = 64
_INBOX_RING = 256  # entries after which slots are used again
_OWNERS = (b"\x03" * 20, b"\x04" * 20)


class Bench:
    """A fresh chain and contract with a committee of `member_count`; `rows` collects the measurements."""

    def __init__(self, member_count: int, ground: Ground) -> None:
        self._member_count = member_count
        self._ground = ground
        self._provider = ground.endpoint
        self._deployment = deploy(self._provider, funded_key(0), claim_delay_s=_CLAIM_DELAY_S)
        self._height = 0
        self._contract = Settlement(self._provider, self._deployment.settlement, funded_key(0))
        self._inbox = ForcedActions(self._provider, self._deployment.settlement, funded_key(0))
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
        for name in ("deposit, first of all", "deposit, new slots"):
            self._deposit(name)
        leaf = digests.withdrawal_leaf(0, b"\x02" * 20, self._contract.token_address, 5)
        proof = _zero_siblings()
        self._measure_checkpoints(_fold(leaf, proof))
        self._measure_rivals()
        self._judge()
        self._ground.pass_time(_CLAIM_DELAY_S)
        self._measure("claim", lambda: self._contract.claim_withdrawal(self._height, 0, b"\x02" * 20, 5, proof))
        self._leave()

    def _measure_checkpoints(self, withdrawals_root: bytes) -> None:
        absent = list(range((self._member_count - 1) // 3))
        self._post("checkpoint, first of all", [], withdrawals_root)
        self._post("checkpoint, same span", [], withdrawals_root)
        for _ in range(_INBOX_RING):
            self._inbox.cancel(0)
        self._post("", [], withdrawals_root)
        self._deposit(goals.DEPOSIT)
        # The first two spans of the ring's first lap, then the same two slots again.
        for name, missing, spans in (
            ("checkpoint, next span, new slot", [], 1), ("", [], 1), ("", [], _KEPT_SPANS - 2),
            (goals.CHECKPOINT, [], 1), (goals.MISSING, absent, 1), ("checkpoint, f missing, same span", absent, 0),
        ):  # fmt: skip
            if spans:
                self._ground.pass_time(spans * _SPAN_S)
            self._post(name, missing, withdrawals_root)

    def _deposit(self, name: str) -> None:
        self._contract.mint_test_usdc(self._contract.sender, DEPOSIT_QUOTE)
        self._measure(name, lambda: self._contract.deposit(b"\x01" * 20, 0, DEPOSIT_QUOTE))

    def _post(self, name: str, absent: list[int], withdrawals_root: bytes) -> None:
        """The next header; measured if `name` says as what."""
        self._height += 1
        header = self._header(self._height, withdrawals_root)
        signature = self._sign(header, absent)
        post = partial(self._contract.checkpoint, header, absent, signature)
        if name:
            self._measure(name, post)
        else:
            post()

    def _measure_rivals(self) -> None:
        """Each posts twice: the second time all its slots have been used."""
        absent = list(range((self._member_count - 1) // 3))
        multisig = EcdsaMultisig(self._provider, funded_key(0), self._member_count)
        hashed = HashPerKey(self._provider, funded_key(0), self._secrets)
        headers = [self._header(height, bytes(32)) for height in (1, 2, 3)]
        multisig.checkpoint(headers[0])
        self._measure("ECDSA multisig", partial(multisig.checkpoint, headers[1]))
        hashed.checkpoint(headers[0], [])
        self._measure("hash per key", partial(hashed.checkpoint, headers[1], []))
        self._measure("hash per key, f missing", partial(hashed.checkpoint, headers[2], absent))

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
        self._ground.pass_time(MAX_SILENCE_S + 1)
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
        self._ground.give(account.address)
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


def run_chain(kind: str, sizes: tuple[int, ...]) -> list[dict[str, Any]]:
    """All rows of one kind of chain. Each committee gets a chain of its own."""
    rows = []
    for member_count in sizes:
        with open_ground(kind) as ground:
            bench = Bench(member_count, ground)
            bench.run()
        rows += bench.rows
    return rows


def print_rows(rows: list[dict[str, Any]], sizes: tuple[int, ...]) -> None:
    """One line an action, one column a committee."""
    gas = {(row["action"], row["members"]): row["gas"] for row in rows}
    print(f"{'gas of the whole transaction':<34}" + "".join(f"{f'n = {size}':>12}" for size in sizes))
    for action in dict.fromkeys(row["action"] for row in rows):
        cells = (gas.get((action, size)) for size in sizes)
        print(f"{action:<34}" + "".join(f"{'' if cell is None else f'{cell:,}':>12}" for cell in cells))


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m contracts.bench_gas", description=__doc__)
    parser.add_argument("--chain", choices=("devchain", "anvil"), help="only this one")
    parser.add_argument(
        "--members", type=int, nargs="+", default=COMMITTEE_SIZES, help="sizes of the committee, from 4"
    )
    options = parser.parse_args(arguments)
    sizes = tuple(options.members)
    kinds = [options.chain] if options.chain else ["devchain"] + (["anvil"] if is_anvil_here() else [])
    if kinds == ["devchain"] and options.chain is None:
        print("anvil is not installed: measured on the embedded chain only", file=sys.stderr)
    results, is_good = {}, True
    for kind in kinds:
        try:
            rows = run_chain(kind, sizes)
        except ChainError as error:
            print(f"{kind}: {error}", file=sys.stderr)
            return 2
        verdicts = goals.judge(rows, max(sizes))
        print(f"\n{kind}")
        print_rows(rows, sizes)
        print()
        for verdict in verdicts:
            mark = "ok    " if verdict.is_met else "MISSED"
            print(f"{mark} {verdict.goal}: {verdict.measured:,} of at most {verdict.limit:,}")
            is_good = is_good and verdict.is_met
        results[kind] = {
            "rows": rows,
            "goals": [
                {"goal": v.goal, "measured": v.measured, "limit": v.limit, "is_met": v.is_met} for v in verdicts
            ],
        }  # fmt: skip
    RESULT_PATH.parent.mkdir(parents=True, exist_ok=True)
    RESULT_PATH.write_text(json.dumps(results, indent=1) + "\n")
    print(f"written to {RESULT_PATH}")
    return 0 if is_good else 1


if __name__ == "__main__":
    sys.exit(main())
