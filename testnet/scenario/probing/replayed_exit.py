"""A withdrawal is paid once, however its proof is written.

Polygon's Plasma bridge, 2021: what had been paid was remembered by bytes of the proof that could be written in 224
ways, so one exit could have been replayed 223 times. Here it is remembered by the leaf's number, which is checked
against the depth of the tree.
"""

from dataclasses import replace
from functools import partial
from typing import Any

import httpx

from contracts.artifact import load_artifact
from contracts.chain_link import ChainLink
from contracts.digests import WITHDRAWAL_DEPTH
from contracts.payouts import Payouts, Withdrawal
from contracts.records import CheckpointRecord
from contracts.settlement import Settlement
from engine.units import parse_quote
from testnet.scenario.facts import Verdict
from testnet.scenario.probing.access import Access, must_refuse, must_stay

NAME = "replayed_exit"
WORD_BYTES, SELECTOR_BYTES = 32, 4


def try_replays(access: Access) -> list[Verdict]:
    """Blocking. Fails if no withdrawal has been paid yet: then nothing would be shown."""
    trader = access.account_of("withdrawer")
    settlement = Settlement(access.rpc_url, access.config.contract, trader.key)
    found = find_paid(access, settlement, trader.address_text)
    return replay(access, *found) if found is not None else [nothing_was_paid()]


def nothing_was_paid() -> Verdict:
    return Verdict(NAME, "a withdrawal was paid before it is replayed", "none was", False)


def replay(access: Access, record: CheckpointRecord, paid: Withdrawal) -> list[Verdict]:
    """Blocking. The withdrawal, which was paid by this checkpoint's proof, in every way that a claim can be written."""
    trader = access.account_of("withdrawer")
    settlement = Settlement(access.rpc_url, access.config.contract, trader.key)
    paid_units, own_units = settlement.paid_total(), settlement.token_balance(trader.address)
    payouts = settlement.payouts()
    depth = WITHDRAWAL_DEPTH
    verdicts = [
        must_refuse(NAME, f"the paid withdrawal again, {text}", partial(payouts.claim, record, withdrawal))
        for text, withdrawal in (
            ("as it was", paid),
            ("under its number and the tree's size", replace(paid, index=paid.index + (1 << depth))),
            ("under its number with a high bit", replace(paid, index=paid.index + (1 << 255))),
            ("to another owner", replace(paid, owner=access.account_of("gambler").address)),
            ("with one unit more", replace(paid, amount=paid.amount + 1)),
            ("with its siblings the other way round", replace(paid, siblings=paid.siblings[::-1])),
        )
    ]
    link = ChainLink(access.rpc_url, trader.key)
    for text, call in malleate(encode_claim(link, payouts, record, paid)):
        send = partial(link.send_call, payouts.address_bytes, call)
        verdicts.append(must_refuse(NAME, f"the paid withdrawal again, {text}", send))
    payouts.claim_many(record, [paid, paid])  # skips what is refused
    verdicts.append(must_stay(NAME, "units paid in all, both in one call, too", paid_units, settlement.paid_total()))
    now_units = settlement.token_balance(trader.address)
    return [*verdicts, must_stay(NAME, "what the trader holds on chain, in units", own_units, now_units)]


def find_paid(access: Access, settlement: Settlement, owner: str) -> tuple[CheckpointRecord, Withdrawal] | None:
    """A withdrawal that was paid, with its proof against a checkpoint that would still pay."""
    record = settlement.payable_checkpoint()
    listed = _ask(access, "x_get_withdrawals", {"owner": owner})
    for entry in listed if record is not None else []:
        if settlement.is_claimed(entry["index"]):
            assert record is not None, "or nothing was listed"
            proof = _ask(access, "x_get_withdrawal_proof", {"index": entry["index"], "height": record.height})
            siblings = [bytes.fromhex(sibling.removeprefix("0x")) for sibling in proof["siblings"]]
            return record, Withdrawal(
                entry["index"], bytes.fromhex(owner.removeprefix("0x")), settlement.token_address,
                parse_quote(entry["amount"]), siblings,
            )  # fmt: skip
    return None


def _ask(access: Access, method: str, params: dict[str, Any]) -> Any:
    answer = httpx.get(f"{access.api_urls[0]}/api/v2/public/{method}", params=params, timeout=20).json()
    if "error" in answer:
        raise RuntimeError(f"{method} was refused: {answer['error']}")
    return answer["result"]


def encode_claim(link: ChainLink, payouts: Payouts, record: CheckpointRecord, withdrawal: Withdrawal) -> bytes:
    contract = link.web3.eth.contract(payouts.address, abi=load_artifact("Payouts")["abi"])
    encoded = contract.encode_abi("claim_withdrawal", args=[record.to_abi(), withdrawal.to_abi()])
    return bytes.fromhex(encoded.removeprefix("0x"))


def malleate(call: bytes) -> list[tuple[str, bytes]]:
    """Other bytes that a careless decoder would take for the same arguments."""
    words = [call[at : at + WORD_BYTES] for at in range(SELECTOR_BYTES, len(call), WORD_BYTES)]
    owner_at = next(at for at, word in enumerate(words) if word[:12] == bytes(12) and any(word[12:16]))
    dirty = b"\x01" + words[owner_at][1:]
    changed = [*words[:owner_at], dirty, *words[owner_at + 1 :]]
    return [
        ("with bytes after its end", call + bytes(WORD_BYTES)),
        ("with another word after its end", call + b"\xff" * WORD_BYTES),
        ("with dirt above the owner's address", call[:SELECTOR_BYTES] + b"".join(changed)),
        ("cut short by a word", call[:-WORD_BYTES]),
    ]
