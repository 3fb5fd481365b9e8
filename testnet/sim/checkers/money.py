"""S12: no money is made or lost. What accounts may claim, less what they owe, and what was withdrawn is what was paid
in, by the settlement chain's own list of deposits.
"""

from collections.abc import Sequence

from consensus.messages import Commitment
from engine.payload import KIND_DEPOSIT, InboxEntry
from testnet.sim.checkers.violation import require


def check_money(commitment: bytes, deposits: Sequence[InboxEntry], height: int) -> None:
    """`commitment`: the result of a final block; `deposits`: all that the settlement chain holds."""
    result = Commitment.decode(commitment)
    claims_quote, debt_quote = (int.from_bytes(result.account_sums[at : at + 16], "big") for at in (0, 16))
    require(result.inbox_cursor <= len(deposits), f"S12 height {height} has taken deposits that nobody made")
    paid_in_quote = sum(entry.amount for entry in deposits[: result.inbox_cursor] if entry.kind == KIND_DEPOSIT)
    held_quote = claims_quote - debt_quote + result.withdrawals_total_quote
    require(held_quote == paid_in_quote, f"S12 height {height} holds {held_quote} of {paid_in_quote} paid in")
