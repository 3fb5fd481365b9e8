"""Stored trades as the API shows them."""

from net.gateway.backend import FillView
from net.gateway.market_data import TradeView
from validator.history import Trade


def show_trade(trade: Trade) -> TradeView:
    """As everybody sees it."""
    row = trade.row
    return TradeView(
        trade_id=trade.number, market=int(row["market"]), side=int(row["taker_side"]),
        price_ticks=int(row["price_ticks"]), size_lots=int(row["size_lots"]), height=trade.height,
        time_ms=trade.time_ms, is_liquidation=bool(row["is_liquidation"]),
    )  # fmt: skip


def show_fill(trade: Trade, is_maker: bool) -> FillView:
    """As one of its two accounts sees it."""
    row, own, other = trade.row, "maker" if is_maker else "taker", "taker" if is_maker else "maker"
    taker_side = int(row["taker_side"])
    return FillView(
        trade_id=trade.number, market=int(row["market"]), order_id=int(row[f"{own}_order_id"]),
        client_id=int(row[f"{own}_client_id"]), counterparty_order_id=int(row[f"{other}_order_id"]),
        side=1 - taker_side if is_maker else taker_side, is_maker=is_maker, price_ticks=int(row["price_ticks"]),
        size_lots=int(row["size_lots"]), fee_quote=int(row[f"{own}_fee_quote"]), height=trade.height,
        time_ms=trade.time_ms, is_liquidation=bool(row["is_liquidation"]),
    )  # fmt: skip
