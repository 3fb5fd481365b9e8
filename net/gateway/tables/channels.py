"""Every channel that `public/subscribe` takes, and what comes over it."""

from net.gateway.api import ChannelRow
from net.gateway.shapes.account import AccountSummary, AccountTrade, TrippedProtection
from net.gateway.shapes.market import BookMessage, Ticker, Trade
from net.gateway.shapes.network import BlockNotice
from net.gateway.shapes.orders import AccountChanges, CommandState, Order

CHANNELS = (
    ChannelRow("book.{instrument}.raw", "the whole book, then its changes after each block that changed it",
               BookMessage, "book.BTC-PERPETUAL.raw"),
    ChannelRow("book.{instrument}.100ms", "the same, at most every 100 ms", BookMessage, "book.BTC-PERPETUAL.100ms"),
    ChannelRow("trades.{instrument}.raw", "the trades of each block", list[Trade], "trades.BTC-PERPETUAL.raw"),
    ChannelRow("ticker.{instrument}.raw",
               "the ticker after each block that changed it (`100ms`: at most every 100 ms)", Ticker,
               "ticker.BTC-PERPETUAL.raw"),
    ChannelRow("user.orders.{owner}",
               "orders of all subaccounts of an address that opened, changed or left the book", list[Order],
               "user.orders.0x…"),
    ChannelRow("user.trades.{owner}", "its trades", list[AccountTrade], "user.trades.0x…"),
    ChannelRow("user.orders.{instrument}.{interval}",
               "orders of the account of `public/auth` that opened, changed or left the book: with `raw` one a "
               "message, with `100ms` or `agg2` those of a block", Order | list[Order],
               "user.orders.BTC-PERPETUAL.raw"),
    ChannelRow("user.orders.{kind}.{currency}.{interval}", "those in all markets of a kind and a currency",
               Order | list[Order], "user.orders.any.any.100ms"),
    ChannelRow("user.trades.{instrument}.{interval}", "its trades", list[AccountTrade],
               "user.trades.BTC-PERPETUAL.raw"),
    ChannelRow("user.trades.{kind}.{currency}.{interval}", "those in all markets of a kind and a currency",
               list[AccountTrade], "user.trades.future.USDC.raw"),
    ChannelRow("user.changes.{instrument}.{interval}", "its orders, trades and position, together", AccountChanges,
               "user.changes.BTC-PERPETUAL.raw"),
    ChannelRow("user.changes.{kind}.{currency}.{interval}",
               "those in all markets of a kind and a currency, one message an instrument", AccountChanges,
               "user.changes.any.any.raw"),
    ChannelRow("user.portfolio.{currency}",
               "the account's summary after each block that changed it; silent for other currencies than USDC",
               AccountSummary, "user.portfolio.usdc"),
    ChannelRow("user.mmp_trigger.{index}", "market-maker protection has tripped", TrippedProtection,
               "user.mmp_trigger.btc_usdc"),
    ChannelRow("x.commands.{owner}", "what became of every action of an owner that a final block carried",
               list[CommandState], "x.commands.0x…"),
    ChannelRow("x.blocks", "every finalised block: height, hash, state root", BlockNotice, "x.blocks"),
)  # fmt: skip
