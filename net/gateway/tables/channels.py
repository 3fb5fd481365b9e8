"""Every channel that `public/subscribe` takes, and what comes over it."""

from net.gateway.api import ChannelRow
from net.gateway.shapes.account import AccountTrade
from net.gateway.shapes.market import BookMessage, Ticker, Trade
from net.gateway.shapes.network import BlockNotice
from net.gateway.shapes.orders import Order

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
    ChannelRow("x.blocks", "every finalised block: height, hash, state root", BlockNotice, "x.blocks"),
)  # fmt: skip
