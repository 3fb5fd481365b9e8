"""`python -m contracts.bench_submit`: how long a member needs from a certified header to a transaction on its way.

For committees of 4 and 100 with a third of the members missing: the calldata, its signing as a transaction, and, for
comparison, the same calldata made with web3. Prints a table and writes `build/results/bench-submit.json`; exit code 1
when a median misses its goal; the slowest runs belong to whatever else the machine does.
"""

import json
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from blspy import PopSchemeMPL, PrivateKey
from coincurve import PrivateKey as AccountKey
from web3 import Web3

from contracts import bls
from contracts.artifact import load_artifact
from contracts.checkpoint_call import encode_checkpoint
from contracts.digests import HEADER_BYTES, compute_domain, finalize_digest
from contracts.transactions import Fees, sign_transaction

COMMITTEE_SIZES = (4, 100)
GOAL_MS = 20.0
ROUNDS = 200
CHAIN_ID, CONTRACT = 31337, b"\x11" * 20
RESULT_PATH = Path("build/results/bench-submit.json")


def main() -> int:
    rows = [row for size in COMMITTEE_SIZES for row in measure(size)]
    print(f"{'members':>8} {'missing':>8}  {'what':<34} {'median ms':>10} {'p95 ms':>11} {'goal ms':>8}")
    for row in rows:
        goal = "" if row["goal_ms"] is None else f"{row['goal_ms']:.0f}"
        print(
            f"{row['members']:>8} {row['missing']:>8}  {row['what']:<34} {row['median_ms']:>10.3f} "
            f"{row['p95_ms']:>11.3f} {goal:>8}"
        )
    RESULT_PATH.parent.mkdir(parents=True, exist_ok=True)
    RESULT_PATH.write_text(json.dumps(rows, indent=1) + "\n")
    missed = [row for row in rows if row["goal_ms"] is not None and row["median_ms"] > row["goal_ms"]]
    for row in missed:
        print(
            f"missed: {row['what']} at {row['members']} members took {row['median_ms']:.1f} ms",
            file=sys.stderr,
        )
    return 1 if missed else 0


def measure(member_count: int) -> list[dict[str, Any]]:
    """The rows of one committee size."""
    missing = list(range((member_count - 1) // 3))
    header = bytes(59) + b"\x01" + bytes(HEADER_BYTES - 60)
    digest = finalize_digest(compute_domain(CHAIN_ID, CONTRACT), header)
    secrets = [PopSchemeMPL.key_gen(number.to_bytes(32, "big")) for number in range(1, member_count + 1)]
    signature = _aggregate([secret for number, secret in enumerate(secrets) if number not in missing], digest)
    contract = Web3().eth.contract(abi=load_artifact("Settlement")["abi"])
    call = encode_checkpoint(header, missing, signature)

    def with_web3() -> bytes:
        words = bls.signature_words(signature)
        arguments = [_words(header), bytes(missing), _words(words)]
        return bytes.fromhex(contract.encode_abi("checkpoint", arguments)[2:])

    if with_web3() != call:
        raise AssertionError("web3 encodes the call otherwise")
    key, fees = AccountKey(b"\x01" * 32), Fees(10**8, 10**11)

    def to_transaction() -> None:
        sign_transaction(key, CHAIN_ID, 7, fees, 300_000, CONTRACT, encode_checkpoint(header, missing, signature))

    what = [
        ("certificate to calldata", lambda: encode_checkpoint(header, missing, signature), GOAL_MS),
        ("certificate to signed transaction", to_transaction, GOAL_MS),
        ("certificate to calldata, with web3", with_web3, None),
    ]
    return [
        {"members": member_count, "missing": len(missing), "what": name, "goal_ms": goal_ms} | _time(work)
        for name, work, goal_ms in what
    ]


def _time(work: Callable[[], object]) -> dict[str, float]:
    """Milliseconds of `ROUNDS` runs after one that nobody counts; the slowest twentieth left out."""
    work()
    spent_ms = []
    for _ in range(ROUNDS):
        began_s = time.perf_counter()
        work()
        spent_ms.append((time.perf_counter() - began_s) * 1000)
    spent_ms.sort()
    return {"median_ms": round(statistics.median(spent_ms), 4), "p95_ms": round(spent_ms[ROUNDS * 19 // 20], 4)}


def _aggregate(secrets: list[PrivateKey], digest: bytes) -> bytes:
    return bytes(PopSchemeMPL.aggregate([PopSchemeMPL.sign(secret, digest) for secret in secrets]))


def _words(data: bytes) -> list[bytes]:
    return [data[at : at + 32] for at in range(0, len(data), 32)]


if __name__ == "__main__":
    sys.exit(main())
