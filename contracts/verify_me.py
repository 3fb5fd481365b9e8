"""`hansa verify-me`, also `python -m contracts.verify_me`: is this account proof true, and what is it worth?

Asks one RPC endpoint of the chain and nobody else, needs no validator alive, and imports nothing of this repository: it
believes the chain, the hash and the curve library. Bytes: docs/protocol.md, sections 1, 2, 4; money is in 1e-6 USDC.

Exit status: 0 the proof is true and would pay; 1 it is false; 2 it could not be checked; 3 it is true, but would pay
nothing as things stand. stdout: a line a check and a verdict, or with --json one object.
"""

import argparse
import json
import sys
from pathlib import Path
from typing import Any

import requests
from blspy import G1Element, G2Element, PopSchemeMPL
from sha3 import keccak_256

LEVELS, HEADER_BYTES, SYSTEM_ACCOUNTS = 20, 640, 64
EPOCH, HEIGHT, CURSOR, ACCOUNT_ROOT, ACCOUNT_SUMS, WITHDRAWALS_TOTAL = 1, 3, 11, 15, 16, 18
CHECKPOINT_EVENT = b"Checkpoint(uint256,bytes32,bytes32,bytes32,bytes32,bytes32,uint256)"
FIELD_PRIME = 0x1A0111EA397FE69A4B1BA7B6434BACD764774B84F38512BF6730D2A0F6B0F6241EABFFFEB153FFFFB9FEFFFFFFFFAAAB
TRUE, FALSE, UNKNOWN, WORTHLESS = 0, 1, 2, 3
VERDICTS = ("the proof is true", "THE PROOF IS FALSE", "the proof was not checked", "true, but it would pay nothing")


class Findings(list[tuple[str, int, str]]):
    """What was checked so far: (check, how it went, in words)."""

    def add(self, check: str, is_true: bool, words: str, otherwise: int = FALSE) -> None:
        self.append((check, TRUE if is_true else otherwise, words))

    def status(self) -> int:
        return next((bad for bad in (FALSE, UNKNOWN, WORTHLESS) if bad in [row[1] for row in self]), TRUE)


class Contract:
    """The settlement contract through one endpoint; an answer is a list of numbers, one a word."""

    def __init__(self, url: str, address: str) -> None:
        self.url, self.address = url, address
        self.chain_id = int(self.ask("eth_chainId"), 16)
        if len(self.ask("eth_getCode", address, "latest")) < 4:
            raise ConnectionError(f"there is no contract at {address} on chain {self.chain_id}")

    def ask(self, method: str, *params: Any) -> Any:
        body = {"jsonrpc": "2.0", "id": 1, "method": method, "params": params}
        answer = requests.post(self.url, json=body, timeout=30).json()
        if "result" not in answer:
            raise ConnectionError(f"{method} failed: {answer.get('error')}")
        return answer["result"]

    def call(self, signature: str, *numbers: int) -> list[int]:
        data = "0x" + keccak(signature.encode())[:4].hex() + "".join(f"{number:064x}" for number in numbers)
        return split(unhex(self.ask("eth_call", {"to": self.address, "data": data}, "latest")))


def main(arguments: list[str] | None = None) -> int:
    raw = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(prog="hansa verify-me", description=__doc__, formatter_class=raw)
    parser.add_argument("proof", type=Path, help="JSON file: the answer of `public/x_get_proof`")
    parser.add_argument("--rpc", required=True, metavar="URL", help="an RPC endpoint of the settlement chain")
    parser.add_argument("--contract", required=True, metavar="ADDRESS", help="the settlement contract")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    options = parser.parse_args(arguments)
    findings = Findings()
    try:
        check_all(findings, options.proof.read_text(), Contract(options.rpc, options.contract))
    except (OSError, UnicodeDecodeError) as error:
        findings.add("question", False, str(error), UNKNOWN)
    verdict = VERDICTS[findings.status()]
    checks = [dict(zip(("check", "status", "words"), row)) for row in findings]
    lines = [f"{('ok', 'FALSE', 'unknown', 'note')[status]:8}{check:13}{words}" for check, status, words in findings]
    whole = json.dumps({"status": findings.status(), "verdict": verdict, "checks": checks}, indent=2)
    print(whole if options.json else "\n".join([*lines, verdict]))
    return findings.status()


def check_all(findings: Findings, text: str, contract: Contract) -> None:
    try:
        proof = json.loads(text)
        proof = proof.get("result", proof)
        header = unhex(proof["certificate"]["header"], HEADER_BYTES)
        bitmap, signature = unhex(proof["certificate"]["bitmap"]), unhex(proof["certificate"]["signature"])
        root, total_claims, total_debt = fold(proof)
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
        return findings.add("file", False, f"no account proof as `public/x_get_proof` gives it: {error!r}")
    words, claim = split(header), quote(proof["claims"])
    who = f"account {proof['index']}, owner {proof['owner']}, subaccount {proof['subaccount']}"
    findings.add("leaf", True, f"{who}: claim {money(claim)}, debt {money(quote(proof['debt']))}")
    findings.add("root", split(root)[0] == words[ACCOUNT_ROOT], "its path leads to the account root of the header")
    sums = f"and adds up to the header's totals: claims {money(total_claims)}, debts {money(total_debt)}"
    findings.add("sums", total_claims << 128 | total_debt == words[ACCOUNT_SUMS], sums)
    check_certificate(findings, contract, header, bitmap, signature)
    return check_worth(findings, contract, header, proof["index"], claim) if findings.status() == TRUE else None


def check_certificate(findings: Findings, contract: Contract, header: bytes, bitmap: bytes, signature: bytes) -> None:
    """A quorum of the committee that the chain knows has signed the header to be final."""
    registry, epoch = Contract(contract.url, f"0x{contract.call('REGISTRY()')[0]:040x}"), split(header)[EPOCH]
    count = registry.call("committee_size(uint256)", epoch)[0]
    keys = [compress(*registry.call("member(uint256,uint256)", epoch, index)[2:6]) for index in range(count)]
    signers = [index for index in range(8 * len(bitmap)) if bitmap[index // 8] >> index % 8 & 1]
    quorum = count - (count - 1) // 3
    is_quorum = count > 0 and len(bitmap) == (count + 7) // 8 and len(signers) >= quorum and signers[-1] < count
    findings.add("committee", is_quorum, f"{len(signers)} signed; {quorum} of the {count} members on chain must")
    domain = keccak(b"hansa/v1" + contract.chain_id.to_bytes(32, "big") + unhex(contract.address))
    digest = keccak(b"\3" + domain + header[60:64] + header[88:96] + keccak(header))
    try:
        points = [G1Element.from_bytes(keys[index]) for index in signers if index < count]
        is_signed = bool(points) and PopSchemeMPL.fast_aggregate_verify(points, digest, G2Element.from_bytes(signature))
    except ValueError:
        is_signed = False
    findings.add("certificate", is_signed, f"their aggregate signature of the header of height {split(header)[HEIGHT]}")


def check_worth(findings: Findings, contract: Contract, header: bytes, index: int, claim: int) -> None:
    """Where the header stands among the checkpoints, and what the account would be paid after a freeze."""
    last_height, _, _, _, is_frozen, _ = contract.call("last_checkpoint()")
    words, height = split(header), split(header)[HEIGHT]
    topics, first_block = [f"0x{keccak(CHECKPOINT_EVENT).hex()}", f"0x{height:064x}"], contract.call("DEPLOYED_BLOCK()")
    where = {"address": contract.address, "fromBlock": hex(first_block[0]), "toBlock": "latest", "topics": topics}
    logs = contract.ask("eth_getLogs", where)
    if logs and logs[0]["topics"][2] != "0x" + keccak(header).hex():
        return findings.add("checkpoint", False, f"the chain has another header at height {height}: a fork")
    if height < last_height:
        overtaken = f"height {height} was overtaken by checkpoint {last_height}: save a newer proof"
        findings.add("checkpoint", False, overtaken, WORTHLESS)
    elif height == last_height:
        findings.add("checkpoint", True, f"the header is the last checkpoint, of height {height}")
    else:
        ahead = f"the last checkpoint has height {last_height}; anyone may post this one while nothing is frozen"
        findings.add("checkpoint", not is_frozen, ahead, WORTHLESS)
    claims, (deposited,) = words[ACCOUNT_SUMS] >> 128, contract.call("deposited_total(uint256)", words[CURSOR])
    share = claim * min(deposited - words[WITHDRAWALS_TOTAL], claims) // claims if claim else 0
    state = "frozen: an escape pays" if is_frozen else "after a freeze at this header an escape would pay"
    if index < SYSTEM_ACCOUNTS:
        share, state = 0, "an account of the exchange itself, which nobody can claim:"
    elif contract.call("is_escaped(uint256)", index) == [1]:
        share, state = 0, "paid already; now"
    return findings.add("worth", share > 0, f"{state} {money(share)}", WORTHLESS)


def fold(proof: dict[str, Any]) -> tuple[bytes, int, int]:
    """Hash, claims and debt of the account tree's root that the leaf and its path lead to."""
    index, siblings = proof["index"], proof["siblings"]
    if len(siblings) != LEVELS or not 0 <= index < 1 << LEVELS:
        raise ValueError(f"the account tree has {LEVELS} levels")
    digest = keccak(unhex(proof["holdings"]) + unhex(proof["aux_hash"], 32))
    claims, debt = quote(proof["claims"]), quote(proof["debt"])
    owner, subaccount = bytes(12) + unhex(proof["owner"], 20), pack(0, proof["subaccount"])
    node = keccak(pack(0, 1) + pack(0, index) + owner + subaccount + pack(claims, debt) + digest)
    for level, sibling in enumerate(siblings):
        other_claims, other_debt = quote(sibling["claims"]), quote(sibling["debt"])
        pair = (node + pack(claims, debt), unhex(sibling["hash"], 32) + pack(other_claims, other_debt))
        node = keccak(pair[1] + pair[0] if index >> level & 1 else pair[0] + pair[1])
        claims, debt = claims + other_claims, debt + other_debt
    return node, claims, debt


def compress(*key: int) -> bytes:
    """Four words in 48 bytes, as the library reads them: three flags (compressed, infinity, upper half), then x."""
    x, y = key[0] << 256 | key[1], key[2] << 256 | key[3]
    return (x | 1 << 383 | (y > FIELD_PRIME // 2) << 381).to_bytes(48, "big")


def keccak(data: bytes) -> bytes:
    return bytes(keccak_256(data).digest())


def split(data: bytes) -> list[int]:
    return [int.from_bytes(data[at : at + 32], "big") for at in range(0, len(data), 32)]


def pack(high: int, low: int) -> bytes:
    return high.to_bytes(16, "big") + low.to_bytes(16, "big")


def unhex(text: str, length: int | None = None) -> bytes:
    data = bytes.fromhex(text.removeprefix("0x"))
    if length not in (None, len(data)):
        raise ValueError(f"{text!r} has {len(data)} bytes, not {length}")
    return data


def quote(text: str) -> int:
    """Decimal text of at most six decimals in quote units."""
    whole, _, decimals = text.partition(".")
    if not (whole + decimals).isdecimal() or len(decimals) > 6:
        raise ValueError(f"{text!r} is no money")
    return int(whole + decimals.ljust(6, "0"))


def money(quote_units: int) -> str:
    return f"{quote_units // 10**6}.{quote_units % 10**6:06} USDC"


if __name__ == "__main__":
    sys.exit(main())
