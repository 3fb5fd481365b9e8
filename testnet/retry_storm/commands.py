"""What the storm sends: signed transfers of amounts that no other has, and resting orders with labels of their own.

Both leave traces beside their statuses: balances and open orders of the final state say how often each was executed.
"""

from dataclasses import dataclass

from coincurve import PrivateKey

from engine.commands import BUY, PLACE, POST_ONLY, TRANSFER, Action, Command, command_id
from testnet.funding import ChainAccount

SAVINGS = 7  # the subaccount that transfers go to
LOT = 1


@dataclass(frozen=True, slots=True)
class Sent:
    """One signed command and what it means."""

    account: ChainAccount
    command: Command
    command_id: bytes
    amount_quote: int = 0  # of a transfer
    label: int = 0  # of an order


def sign_commands(
    accounts: list[ChainAccount], count: int, separator: bytes, first_nonce: int, expiry_ms: int, price_ticks: int
) -> list[Sent]:
    """Transfers and orders in turn, the accounts in turn; nonces grow."""
    sent = []
    for number in range(count):
        account = accounts[number % len(accounts)]
        amount_quote, label = (number + 1, 0) if number // len(accounts) % 2 else (0, number + 1)
        action = (
            Action(TRANSFER, size_lots=amount_quote, link=SAVINGS) if amount_quote else
            Action(PLACE, side=BUY, time_in_force=POST_ONLY, price_ticks=price_ticks, size_lots=LOT, client_id=label)
        )  # fmt: skip
        plain = Command(account.address, first_nonce + number, expiry_ms, (action,))
        command = plain.signed(PrivateKey(account.key), separator)
        sent.append(Sent(account, command, command_id(command, separator), amount_quote, label))
    return sent
