"""Nothing is proven by a root of zeros, by a checkpoint that was never posted, or by a header of zeros.

Nomad, August 2022: an upgrade initialised the trusted root with zero, which is what an unknown message's root reads as,
so that every message was proven.
"""

from dataclasses import replace
from functools import partial

from contracts.chain_link import ChainLink
from contracts.checkpoint_call import SELECTOR
from contracts.digests import HEADER_BYTES, WITHDRAWAL_DEPTH
from contracts.payouts import Withdrawal
from contracts.records import CheckpointRecord
from contracts.settlement import Settlement
from testnet.scenario.facts import Verdict
from testnet.scenario.probing.access import Access, must_refuse, must_stay

NAME = "zero_root"
LOOT_UNITS = 1_000 * 10**6
WORD_BYTES, SIGNATURE_BYTES = 32, 256
INFINITY = bytes(SIGNATURE_BYTES)  # as the precompiles of EIP-2537 read it
NO_POINT = b"\x00" * 31 + b"\x01" + bytes(SIGNATURE_BYTES - WORD_BYTES)


def try_zero_roots(access: Access) -> list[Verdict]:
    """Blocking."""
    thief = access.account_of("gambler")
    settlement = Settlement(access.rpc_url, access.config.contract, thief.key)
    own_units = settlement.token_balance(thief.address)
    zeros = [bytes(32)] * WITHDRAWAL_DEPTH
    # A number that no withdrawal has yet: one that was paid would be refused for that alone.
    loot = Withdrawal((1 << WITHDRAWAL_DEPTH) - 1, thief.address, settlement.token_address, LOOT_UNITS, zeros)
    empty = CheckpointRecord(0, bytes(32), bytes(32), bytes(32), bytes(32), bytes(32), 0, 0)
    records = [("a checkpoint of zeros", empty)]
    last = settlement.last_checkpoint()
    if last is not None:
        records += [
            ("the last checkpoint", last),
            ("the last checkpoint with a withdrawals root of zeros", replace(last, withdrawals_root=bytes(32))),
            ("a height that nobody posted", replace(last, height=last.height + 1_000_000)),
        ]
    verdicts = []
    for text, record in records:
        claim = partial(settlement.payouts().claim, record, loot)
        verdicts.append(must_refuse(NAME, f"a withdrawal that nobody made, proven by zeros against {text}", claim))
    link = ChainLink(access.rpc_url, thief.key)
    everybody = bytes(range(len(access.config.validators)))
    plausible = make_plausible(settlement)
    for text, header, absent, signature in (
        ("a header of zeros", bytes(HEADER_BYTES), b"", INFINITY),
        ("a next header with roots of zeros, signed by the point at infinity", plausible, b"", INFINITY),
        ("a next header with roots of zeros, signed by nobody, everybody absent", plausible, everybody, INFINITY),
        ("a next header with roots of zeros, signed by what is no point", plausible, b"", NO_POINT),
    ):
        post = partial(link.send_call, settlement.address_bytes, encode_post(header, absent, signature))
        verdicts.append(must_refuse(NAME, f"{text}, as a checkpoint", post))
    now_units = settlement.token_balance(thief.address)
    return [*verdicts, must_stay(NAME, "what the thief holds on chain, in units", own_units, now_units)]


def make_plausible(settlement: Settlement) -> bytes:
    """A header that is right in all but what it commits to."""
    words = [bytes(WORD_BYTES)] * (HEADER_BYTES // WORD_BYTES)
    last, cursor = settlement.last(), settlement.inbox_length()
    numbers = {
        0: 1, 1: settlement.epoch(), 2: last.height + 1, 3: last.height + 1, 11: cursor, 18: last.withdrawals_total,
        19: settlement.engine_version(),
    }  # fmt: skip
    for place, number in numbers.items():
        words[place] = number.to_bytes(WORD_BYTES, "big")
    words[12] = settlement.inbox_hash(cursor)
    return b"".join(words)


def encode_post(header: bytes, absent: bytes, signature: bytes) -> bytes:
    """Calldata that our own encoder would not make: it lets no signature pass that is none."""
    absent_at = (HEADER_BYTES + WORD_BYTES + SIGNATURE_BYTES).to_bytes(WORD_BYTES, "big")
    padded = absent + bytes(-len(absent) % WORD_BYTES)
    return b"".join((SELECTOR, header, absent_at, signature, len(absent).to_bytes(WORD_BYTES, "big"), padded))
