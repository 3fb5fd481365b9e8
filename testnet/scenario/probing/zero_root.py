"""Nothing is proven by a root of zeros, by a checkpoint that was never posted, or by a header of zeros.

Nomad, August 2022: an upgrade initialised the trusted root with zero, which is what an unknown message's root reads as,
so that every message was proven.
"""

from dataclasses import replace
from functools import partial

from contracts.digests import WITHDRAWAL_DEPTH
from contracts.payouts import Withdrawal
from contracts.records import CheckpointRecord
from contracts.settlement import Settlement
from testnet.scenario.facts import Verdict
from testnet.scenario.probing.access import Access, must_refuse, must_stay

NAME = "zero_root"
LOOT_UNITS = 1_000 * 10**6
HEADER_BYTES, SIGNATURE_BYTES = 640, 96
INFINITY = b"\xc0" + bytes(SIGNATURE_BYTES - 1)  # the point at infinity, compressed


def try_zero_roots(access: Access) -> list[Verdict]:
    """Blocking."""
    thief = access.account_of("gambler")
    settlement = Settlement(access.rpc_url, access.config.contract, thief.key)
    own_units = settlement.token_balance(thief.address)
    zeros = [bytes(32)] * WITHDRAWAL_DEPTH
    loot = Withdrawal(0, thief.address, settlement.token_address, LOOT_UNITS, zeros)
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
    for text, signature in (("without a signature", bytes(SIGNATURE_BYTES)), ("signed by infinity", INFINITY)):
        post = partial(settlement.checkpoint, bytes(HEADER_BYTES), [], signature)
        verdicts.append(must_refuse(NAME, f"a header of zeros, {text}, as a checkpoint", post))
    now_units = settlement.token_balance(thief.address)
    return [*verdicts, must_stay(NAME, "what the thief holds on chain, in units", own_units, now_units)]
