"""Answers as tables: what is bought is green, what is sold red, what is missing a dash."""

import json
from collections.abc import Iterable, Sequence
from decimal import Decimal
from typing import Any

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from net.client.records import Account, Cancelled, Fill, Order, OrderBook, Placed, Position, Progress, Trade

_SIDES = {"buy": "green", "sell": "red"}
_LEVELS_MAX = 15


def rows(columns: Sequence[str], lines: Iterable[Sequence[Any]], title: str | None = None) -> Table:
    """A table; numbers stand to the right. What is too wide goes on in the next line: nothing is cut."""
    table = Table(
        title=title, title_justify="left", header_style="bold", box=None, pad_edge=False, padding=(0, 2, 0, 0)
    )
    for column in columns:
        table.add_column(column, overflow="fold")
    for line in lines:
        table.add_row(*map(_cell, line))
    return table


def facts(pairs: Iterable[tuple[str, Any]]) -> Table:
    """A name and its value a line."""
    table = Table(show_header=False, box=None, pad_edge=False)
    for name, value in pairs:
        table.add_row(Text(name, style="bold"), _cell(value))
    return table


def _cell(value: Any) -> Text:
    if value is None:
        return Text("-", style="dim")
    if isinstance(value, Decimal):
        return Text(f"{value:,f}", justify="right", style="red" if value < 0 else "")
    if isinstance(value, bool):
        return Text("yes" if value else "no")
    if isinstance(value, int):
        return Text(str(value), justify="right")
    if isinstance(value, dict | list):
        return Text(json.dumps(value))
    return Text(str(value), style=_SIDES.get(value, ""))


def placed(answer: Placed) -> RenderableType:
    parts: list[RenderableType] = [orders([answer.order]) if answer.order else Text("no order")]
    if answer.trades:
        parts.append(fills(answer.trades))
    return Group(*parts, progress(answer.progress))


def progress(answer: Progress) -> Text:
    where = "" if answer.height is None else f" in block {answer.height}"
    return Text(f"{answer.status}{where}, command {answer.command_id}", style="dim")


def cancelled(answer: Cancelled) -> RenderableType:
    count = "not known yet how many" if answer.count is None else answer.count
    return Group(Text(f"cancelled: {count}"), progress(answer.progress))


def orders(answer: Iterable[Order]) -> Table:
    """What fits beside an order's id, which somebody may want to copy; `--json` has the rest."""
    table = rows(("order", "side", "price", "amount", "filled", "state", "label"), (
        (o.order_id, o.direction, o.price_usd or "market", o.amount_base, o.filled_base, o.state, o.label or None)
        for o in answer
    ))  # fmt: skip
    table.columns[0].no_wrap = True
    return table


def fills(answer: Iterable[Fill]) -> Table:
    columns = ("trade", "instrument", "side", "price", "amount", "fee USDC", "role", "order", "block")
    return rows(columns, (
        (f.trade_id, f.instrument_name, f.direction, f.price_usd, f.amount_base, f.fee_usdc,
         "maker" if f.is_maker else "taker", f.order_id, f.height) for f in answer
    ))  # fmt: skip


def trades(answer: Iterable[Trade]) -> Table:
    columns = ("trade", "side", "price", "amount", "block")
    return rows(columns, ((t.trade_id, t.direction, t.price_usd, t.amount_base, t.height) for t in answer))


def positions(answer: Iterable[Position]) -> Table:
    columns = ("instrument", "size", "mark", "value", "initial margin", "maintenance margin")
    return rows(columns, (
        (p.instrument_name, p.size_base, p.mark_price_usd, p.value, p.initial_margin, p.maintenance_margin)
        for p in answer
    ))  # fmt: skip


def account(answer: Account) -> RenderableType:
    names = ("balance", "equity", "initial_margin", "maintenance_margin", "available", "withdrawable", "open_orders")
    who = (("account", f"{answer.owner}/{answer.subaccount}"), ("at block", answer.height))
    parts: list[RenderableType] = [facts([*who, *((name.replace("_", " "), getattr(answer, name)) for name in names)])]
    return Group(*parts, positions(answer.positions)) if answer.positions else parts[0]


def book(answer: OrderBook) -> Table:
    """Asks above bids, the best ones meeting in the middle."""
    table = Table("price", "amount", title=f"{answer.instrument_name} at block {answer.height}", title_justify="left")
    for style, levels in (("red", answer.asks[:_LEVELS_MAX][::-1]), ("green", answer.bids[:_LEVELS_MAX])):
        for price_usd, amount_base in levels:
            table.add_row(Text(f"{price_usd:f}", style, justify="right"), Text(f"{amount_base:f}", justify="right"))
        if style == "red":
            table.add_section()
    return table
