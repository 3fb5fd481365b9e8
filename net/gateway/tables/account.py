"""Accounts: money, positions, own trades."""

from net.gateway import private_methods as private
from net.gateway.api import Method, Param
from net.gateway.shapes.account import AccountSummary, Position, UserTrades
from net.gateway.shapes.orders import TransferAnswer, WithdrawAnswer
from net.gateway.tables.terms import ACCOUNT, COUNT, CURRENCY, INSTRUMENT, SIGNED

_USDC = (
    Param("amount", "decimal", "USDC, at most six decimals"), Param("currency", "text", "`USDC`", False),
)  # fmt: skip

ACCOUNT_ROWS = (
    Method("private/submit_transfer_to_subaccount", private.transfer_to_subaccount,
           "Moves USDC to another subaccount of the owner, which is made if it is new.",
           (*_USDC, Param("destination", "integer", "number of the subaccount"), *SIGNED), result=TransferAnswer),
    Method("private/submit_transfer_to_user", private.transfer_to_user, "Moves USDC to another owner's account.",
           (*_USDC, Param("destination", "address", "whose account"),
            Param("x_destination_subaccount", "integer", "default 0", False), *SIGNED), result=TransferAnswer),
    Method("private/withdraw", private.withdraw, "Starts a withdrawal to the owner's own address.",
           (*_USDC, *SIGNED), result=WithdrawAnswer),
    Method("private/x_withdraw", private.withdraw, "The same under a neutral name.",
           (Param("amount", "decimal", "USDC, at most six decimals"), *SIGNED), result=WithdrawAnswer),
    Method("private/get_positions", private.get_positions, "Positions at mark.", (*ACCOUNT, CURRENCY), "owner=0x…",
           result=list[Position]),
    Method("private/get_position", private.get_position, "One position, zero included.", (INSTRUMENT, *ACCOUNT),
           "instrument_name=BTC-PERPETUAL&owner=0x…", result=Position),
    Method("private/get_account_summary", private.get_account_summary, "Balance, equity, margins.",
           (*ACCOUNT, CURRENCY), "owner=0x…", result=AccountSummary),
    Method("private/get_user_trades_by_instrument", private.get_user_trades, "Own trades, newest first.",
           (INSTRUMENT, *ACCOUNT, COUNT), "instrument_name=BTC-PERPETUAL&owner=0x…", result=UserTrades),
)  # fmt: skip
