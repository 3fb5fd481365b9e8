"""Every channel that `public/subscribe` takes, and what comes over it."""

from net.gateway.api import ChannelRow
from net.gateway.shapes.account import AccountSummary, AccountTrade, TrippedProtection
from net.gateway.shapes.explorer import Checkpoint, RoundNotice
from net.gateway.shapes.market import BookMessage, Ticker, Trade
from net.gateway.shapes.network import BlockNotice
from net.gateway.shapes.notices import (
    ChartCandle,
    ExpirationNotice,
    GroupedBookMessage,
    IndexNotice,
    InstrumentNotice,
    OptionMark,
    PerpetualNotice,
    PlatformNotice,
    Quote,
    TickerChange,
)
from net.gateway.shapes.orders import AccountChanges, CommandState, Order

CHANNELS = (
    ChannelRow("book.{instrument}.{interval}",
               "the whole book, then its changes: `raw` after each block that changed it, `100ms` and `agg2` (a "
               "second) at most so often", BookMessage, "book.BTC-PERPETUAL.raw"),
    ChannelRow("book.{instrument}.{group}.{depth}.{interval}",
               "the best 1, 10 or 20 levels, all in every message; `group` is `none` or whole USD, to which bids are "
               "rounded down and asks up", GroupedBookMessage, "book.BTC-PERPETUAL.none.10.100ms"),
    ChannelRow("ticker.{instrument}.{interval}", "the ticker after blocks that changed it", Ticker,
               "ticker.BTC-PERPETUAL.100ms"),
    ChannelRow("incremental_ticker.{instrument}", "the ticker, then its fields that changed", TickerChange,
               "incremental_ticker.BTC-PERPETUAL"),
    ChannelRow("quote.{instrument}", "the best prices after each block that changed them", Quote,
               "quote.BTC-PERPETUAL"),
    ChannelRow("trades.{instrument}.{interval}", "the trades of each block, whatever the interval", list[Trade],
               "trades.BTC-PERPETUAL.raw"),
    ChannelRow("trades.{kind}.{currency}.{interval}", "those of all markets of a kind and a currency", list[Trade],
               "trades.any.BTC.raw"),
    ChannelRow("chart.trades.{instrument}.{resolution}",
               "the candle that trades are in, after each block that has some; resolutions of "
               "`public/get_tradingview_chart_data`", ChartCandle, "chart.trades.BTC-PERPETUAL.1"),
    ChannelRow("perpetual.{instrument}.{interval}", "funding of a perpetual and its index", PerpetualNotice,
               "perpetual.BTC-PERPETUAL.100ms"),
    ChannelRow("deribit_price_index.{index}", "an index after each block that moved it; also as "
               "`price_index.{index}`", IndexNotice, "deribit_price_index.btc_usdc"),
    ChannelRow("price_index.{index}", "the same", IndexNotice, "price_index.btc_usdc"),
    ChannelRow("markprice.options.{index}", "marks of all options of an index, once a second", list[OptionMark],
               "markprice.options.btc_usdc"),
    ChannelRow("estimated_expiration_price.{index}", "what the next expiry would settle at, at most once a second",
               ExpirationNotice, "estimated_expiration_price.btc_usdc"),
    ChannelRow("instrument.state.{kind}.{currency}", "markets that are listed or end", InstrumentNotice,
               "instrument.state.any.any"),
    ChannelRow("platform_state", "whether the network is frozen, or this node catching up", PlatformNotice,
               "platform_state"),
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
    ChannelRow("x.rounds", "how each block became final: proposer, signers, time to finality as this node saw it",
               RoundNotice, "x.rounds"),
    ChannelRow("x.checkpoints", "the last state on the settlement chain, when it is another", Checkpoint,
               "x.checkpoints"),
    ChannelRow("x.blocks", "every finalised block: height, hash, state root", BlockNotice, "x.blocks"),
)  # fmt: skip
