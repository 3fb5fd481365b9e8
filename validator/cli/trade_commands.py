"""`hansa buy`, `sell`, `order`, `cancel`, `withdraw`: what is signed."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, Literal

from cyclopts import Parameter

from validator.cli.terms import EXIT_USAGE, HERE, Terms, run, say

if TYPE_CHECKING:
    from net.client import Client
    from net.client.records import Placed, Withdrawing

BaseText = Annotated[str, Parameter(help="Units of the base currency, such as 0.1")]
UsdText = Annotated[str | None, Parameter(help="USD, such as 60000 or @60000; without it a market order")]
TimeInForce = Annotated[
    Literal["good_til_cancelled", "immediate_or_cancel", "fill_or_kill", "post_only", "post_only_slide"],
    Parameter(name=("--time-in-force", "--tif"), help="How long it stays"),
]
Wait = Annotated[Literal["final", "received"], Parameter(help="Answer when nothing can undo it, or at once")]
Label = Annotated[str, Parameter(help="Your own name for it: text or a number")]


@Parameter(name="*")
@dataclass(frozen=True, slots=True)
class OrderTerms:
    """How an order lives."""

    tif: TimeInForce = "good_til_cancelled"
    label: Label = ""
    reduce_only: Annotated[bool, Parameter(help="Only ever close a position", negative="")] = False
    trigger: Annotated[str | None, Parameter(help="Wait off the book until the mark price gets there")] = None
    kind: Annotated[Literal["stop", "take"], Parameter(help="With --trigger: it has run against you, or for you")] = (
        "stop"
    )
    wait: Wait = "final"


PLAIN = OrderTerms()


def buy(
    instrument: str,
    amount_base: BaseText,
    price_usd: UsdText = None,
    *,
    order: OrderTerms = PLAIN,
    terms: Terms = HERE,
) -> int:
    """Buy, by a limit order or at market.

    For example:

        hansa buy BTC-PERPETUAL 0.1 @60000 --tif post_only --key main
        hansa buy BTC-PERPETUAL 0.1
        hansa buy BTC-PERPETUAL 0.1 --trigger 70000 --reduce-only
    """
    return _place(terms, "buy", instrument, amount_base, price_usd, order)


def sell(
    instrument: str,
    amount_base: BaseText,
    price_usd: UsdText = None,
    *,
    order: OrderTerms = PLAIN,
    terms: Terms = HERE,
) -> int:
    """Sell, by a limit order or at market.

    For example:

        hansa sell BTC-PERPETUAL 0.1 @66000 --key main
        hansa sell BTC-PERPETUAL 0.1 --trigger 58000 --reduce-only
    """
    return _place(terms, "sell", instrument, amount_base, price_usd, order)


def order(
    direction: Literal["buy", "sell"],
    instrument: str,
    amount_base: BaseText,
    price_usd: UsdText = None,
    *,
    order: OrderTerms = PLAIN,
    terms: Terms = HERE,
) -> int:
    """Place an order: what `hansa buy` and `hansa sell` do.

    For example:

        hansa order sell BTC-PERPETUAL 0.1 66000 --label exit-1 --json
    """
    return _place(terms, direction, instrument, amount_base, price_usd, order)


def edit(
    order_id: str, amount_base: BaseText, price_usd: UsdText = None, *, wait: Wait = "final", terms: Terms = HERE
) -> int:
    """Change the total size and the price of an open order, which keeps its id.

    For example:

        hansa edit BTC-PERPETUAL-17 0.2 @60010
    """
    from validator.cli import shown

    at_usd = None if price_usd is None else price_usd.removeprefix("@")
    return run(
        terms, lambda client: client.edit(order_id, amount_base, at_usd, wait=wait), shown.placed, is_signing=True
    )


def cancel(
    order_id: str | None = None,
    *,
    instrument: Annotated[str | None, Parameter(help="All of this market, or --label of it")] = None,
    label: Annotated[str | None, Parameter(help="The order's label; needs --instrument")] = None,
    everything: Annotated[bool, Parameter(name="--all", help="Every order of the account", negative="")] = False,
    wait: Wait = "final",
    terms: Terms = HERE,
) -> int:
    """Cancel one order, those of a market, or all.

    For example:

        hansa cancel BTC-PERPETUAL-17
        hansa cancel --instrument BTC-PERPETUAL --label exit-1
        hansa cancel --all
    """
    from validator.cli import shown

    def act(client: "Client") -> Any:
        if order_id is not None:
            return client.cancel(order_id, wait=wait)
        if label is not None:
            return client.cancel_by_label(instrument, label, wait=wait)
        return client.cancel_all(instrument, wait=wait)

    ways = [order_id is not None, instrument is not None, everything]
    if sum(ways) != 1 or (label is not None and instrument is None):
        say("say which: ORDER_ID, --instrument NAME (with --label TEXT), or --all")
        return EXIT_USAGE
    return run(terms, act, shown.cancelled, is_signing=True)


def withdraw(amount_usdc: Annotated[str, Parameter(help="USDC, such as 25.5")], *, terms: Terms = HERE) -> int:
    """Start a withdrawal to the owner's own address on the settlement chain.

    For example:

        hansa withdraw 25.5 --key main
    """
    from validator.cli import shown

    def show(answer: "Withdrawing") -> Any:
        pairs = [("withdrawal", answer.index), ("amount USDC", answer.amount_usdc), ("status", answer.progress.status)]
        return shown.facts(pairs)

    return run(terms, lambda client: client.withdraw(amount_usdc), show, is_signing=True)


def _place(
    terms: Terms, direction: str, instrument: str, amount_base: str, price_usd: str | None, order: OrderTerms
) -> int:
    from validator.cli import shown

    at_usd = None if price_usd is None else price_usd.removeprefix("@")
    shared: dict[str, Any] = {
        "time_in_force": order.tif, "label": order.label, "reduce_only": order.reduce_only, "wait": order.wait,
    }  # fmt: skip

    def act(client: "Client") -> "Placed":
        if order.trigger is None:
            place = client.buy if direction == "buy" else client.sell
            placed: Placed = place(instrument, amount_base, at_usd, **shared)
        else:
            placed = client.trigger(
                instrument,
                direction,
                order.trigger,
                amount_base=amount_base,
                price_usd=at_usd,
                kind=order.kind,
                **shared,
            )
        return placed

    return run(terms, act, shown.placed, is_signing=True)
