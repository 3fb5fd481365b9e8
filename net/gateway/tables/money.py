"""Money of an account that came and went."""

from net.gateway import money_reads as reads
from net.gateway.api import Method, Param
from net.gateway.shapes.money import (
    DepositAddress,
    Deposits,
    SettlementHistory,
    TransactionLog,
    Transfers,
    Withdrawals,
)
from net.gateway.tables.terms import ACCOUNT, CURRENCY, INSTRUMENT

_PAGE = (
    Param("count", "integer", "1 to 1000, default 10", False),
    Param("offset", "integer", "how many to leave out, at most 10000", False),
)
_SPAN = (
    Param("start_timestamp", "integer", "the earliest that counts", False),
    Param("end_timestamp", "integer", "the last that counts", False),
)
_CONTINUED = (
    Param("count", "integer", "1 to 1000, default 20", False),
    Param("continuation", "integer", "from the page before", False),
)
_TYPE = Param("type", "text", "`all` (default), `settlement` (funding), `delivery`, `bankruptcy` (none)", False)

MONEY_ROWS = (
    Method("private/get_transaction_log", reads.get_transaction_log,
           "Everything that moved the account's cash: trades, funding, deliveries, transfers, deposits, withdrawals. "
           "Trades as far back as 20,000, funding and deliveries while the last 5,000 trades say what was held.",
           (*ACCOUNT, CURRENCY, Param("query", "text", "`all` (default), or a `type` of the answer", False), *_SPAN,
            *_CONTINUED), "owner=0x…", result=TransactionLog),
    Method("private/get_settlement_history_by_currency", reads.get_settlement_history,
           "Funding payments and deliveries of what the account held.",
           (*ACCOUNT, CURRENCY, _TYPE, *_CONTINUED), "owner=0x…", result=SettlementHistory),
    Method("private/get_settlement_history_by_instrument", reads.get_settlement_history, "Those of one market.",
           (INSTRUMENT, *ACCOUNT, _TYPE, *_CONTINUED), "instrument_name=BTC-PERPETUAL&owner=0x…",
           result=SettlementHistory),
    Method("private/get_transfers", reads.get_transfers, "To and from other accounts of the exchange.",
           (*ACCOUNT, CURRENCY, *_PAGE), "owner=0x…", result=Transfers),
    Method("private/get_deposits", reads.get_deposits,
           "Deposits that were credited; those that wait are in `public/x_get_inbox`.", (*ACCOUNT, CURRENCY, *_PAGE),
           "owner=0x…", result=Deposits),
    Method("private/get_withdrawals", reads.get_withdrawals, "Withdrawals of the account.",
           (*ACCOUNT, CURRENCY, *_PAGE), "owner=0x…", result=Withdrawals),
    Method("private/get_current_deposit_address", reads.get_current_deposit_address,
           "The settlement contract, which takes deposits for any account.", (*ACCOUNT, CURRENCY), "owner=0x…",
           result=DepositAddress),
)  # fmt: skip
