"""What is read: `hansa book`, `positions`, `orders`, `trades`, `account`, `proof`, `status`, `call`, `watch` ...."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

from validator.cli.terms import EXIT_USAGE, HERE, Terms, guard, print_json, run, say, to_json

if TYPE_CHECKING:
    from net.client import Client
    from net.client.protocol import Call
    from net.client.records import OrderBook, ProvenAccount

_LEVELS = 12


def book(
    instrument: str,
    *,
    depth: Annotated[int, Parameter(help="Levels of each side")] = _LEVELS,
    watch: Annotated[bool, Parameter(help="Until Ctrl-C, as it changes", negative="")] = False,
    terms: Terms = HERE,
) -> int:
    """The order book of a market.

    For example:

        hansa book BTC-PERPETUAL
        hansa book BTC-PERPETUAL --watch
    """
    from validator.cli import shown

    if watch:
        return guard(terms, lambda: _watch_book(terms, instrument, depth))
    return run(terms, lambda client: client.order_book(instrument, depth), shown.book, is_public=True)


def positions(*, terms: Terms = HERE) -> int:
    """Positions of the account, at mark."""
    from validator.cli import shown

    return run(terms, lambda client: client.positions(), shown.positions)


def orders(instrument: str | None = None, *, terms: Terms = HERE) -> int:
    """Open orders of the account, of all markets or of one."""
    from validator.cli import shown

    return run(terms, lambda client: client.open_orders(instrument), shown.orders)


def trades(
    instrument: str,
    *,
    own: Annotated[bool, Parameter(help="Those of the account", negative="")] = False,
    count: Annotated[int, Parameter(help="How many, newest first")] = 20,
    terms: Terms = HERE,
) -> int:
    """The last trades of a market, everybody's or your own.

    For example:

        hansa trades BTC-PERPETUAL --own --account 0x70997970C51812dc3A010C7d01b50e0d17dc79C8
    """
    from validator.cli import shown

    if own:
        return run(terms, lambda client: client.user_trades(instrument, count), shown.fills)
    return run(terms, lambda client: client.trades(instrument, count), shown.trades, is_public=True)


def account(*, terms: Terms = HERE) -> int:
    """Balance, equity, margins and positions of the account.

    For example:

        hansa account --account 0x70997970C51812dc3A010C7d01b50e0d17dc79C8/1
    """
    from validator.cli import shown

    return run(terms, lambda client: client.account(), shown.account)


def proof(
    *,
    height: Annotated[int | None, Parameter(help="Of a certified block; default: the last")] = None,
    save: Annotated[
        Path | None, Parameter(help="Folder to keep it in, for `hansa verify-me` and `hansa escape`")
    ] = None,
    kept: Annotated[
        Path | None,
        Parameter(help="Folder of kept proofs, such as ~/.hansa/gateway/proofs: ask no node, show that one"),
    ] = None,
    genesis: Annotated[
        Path | None, Parameter(help="genesis.toml from somebody you trust: check the committee's certificate, too")
    ] = None,
    terms: Terms = HERE,
) -> int:
    """The Merkle proof of the account's equity, checked: what gets your money out when every validator is gone.

    For example:

        hansa proof --save ~/.hansa/proofs --account 0x70997970C51812dc3A010C7d01b50e0d17dc79C8
        hansa proof --kept ~/.hansa/gateway/proofs --account 0x70997970C51812dc3A010C7d01b50e0d17dc79C8
    """
    from validator.cli import shown

    if kept is not None:
        from validator.cli.kept_proof import show_kept

        return guard(terms, lambda: show_kept(terms, kept.expanduser(), genesis))

    def ask(client: "Client") -> "ProvenAccount":
        from dataclasses import replace

        from net.client.keeping import save_proof

        proven: ProvenAccount = client.proof(height)
        if genesis is not None:
            from validator.cli.kept_proof import judge

            folder = (save or Path("~/.hansa")).expanduser()

            def put(question: "Call") -> Any:
                return client.call(question.method, **question.params)

            proven = replace(proven, certificate=judge(genesis, folder, proven.raw["certificate"], put))
        if save is not None:
            say(f"kept in {save_proof(save.expanduser(), proven)}")
        return proven

    def show(proven: "ProvenAccount") -> Any:
        names = ("height", "header_hash", "claims", "debt", "certificate")
        return shown.facts([(name.replace("_", " "), getattr(proven, name)) for name in names])

    return run(terms, ask, show)


def status(url: str | None = None, *, terms: Terms = HERE) -> int:
    """A node's height, view, peers, finality and last certified root.

    For example:

        hansa status http://127.0.0.1:8645
        hansa status --json | jq .height
    """
    from validator.cli import shown

    chosen = terms if url is None else Terms(url, terms.account, terms.key, terms.as_json)
    return run(chosen, lambda client: client.status(), lambda answer: shown.facts(answer.items()), is_public=True)


def call(method: str, *params: str, terms: Terms = HERE) -> int:
    """Call any read method of a node's API with name=value parameters and print its result as JSON.

    Methods under private/ are asked about the account that --account or HANSA_ACCOUNT names, unless `owner=` does.

    For example:

        hansa call public/get_order_book instrument_name=BTC-PERPETUAL
        hansa call public/x_get_proof owner=0x70997970C51812dc3A010C7d01b50e0d17dc79C8
    """
    pairs = dict(param.partition("=")[::2] for param in params)
    if not all("=" in param for param in params):
        say("parameters are written name=value")
        return EXIT_USAGE
    if method.startswith("private/") and terms.owner is not None:
        pairs = {"owner": terms.owner, "subaccount": str(terms.subaccount)} | pairs

    def ask() -> None:
        with terms.reader() as client:
            print_json(client.call(method, **pairs))

    return guard(terms, ask)


def watch(*channels: str, terms: Terms = HERE) -> int:
    """Print what channels say, a JSON object a line, until Ctrl-C; it reconnects by itself.

    For example:

        hansa watch trades.BTC-PERPETUAL.raw ticker.BTC-PERPETUAL.100ms
    """

    def follow() -> None:
        with terms.reader() as client:
            for message in client.subscribe(*channels):
                print(json.dumps({"channel": message.channel, "data": to_json(message.data)}), flush=True)

    if not channels:
        say("name a channel, such as trades.BTC-PERPETUAL.raw; docs/api.md has all")
        return EXIT_USAGE
    return guard(terms, follow)


def decode(command: str, *, terms: Terms = HERE) -> int:
    """What a signed message says, its digest and who signed it. Nothing is executed."""

    def ask() -> None:
        with terms.reader() as client:
            print_json(client.call("public/x_decode_action", command=command))

    return guard(terms, ask)


def _watch_book(terms: Terms, instrument: str, depth: int) -> None:
    from rich.live import Live

    from validator.cli import shown

    with terms.reader() as client:
        books = _follow_book(client, instrument, depth)
        if terms.as_json:
            for found in books:
                print(json.dumps(to_json(found)), flush=True)
            return
        with Live(shown.book(next(books)), auto_refresh=False) as live:
            for found in books:
                live.update(shown.book(found), refresh=True)


def _follow_book(client: "Client", instrument: str, depth: int) -> "Iterator[OrderBook]":
    from decimal import Decimal

    from net.client.records import OrderBook

    sides: dict[str, dict[Decimal, Decimal]] = {"bids": {}, "asks": {}}
    for message in client.subscribe(f"book.{instrument}.100ms"):
        data = message.data
        if data["type"] == "snapshot":
            sides = {"bids": {}, "asks": {}}
        for name, levels in sides.items():
            for action, at_usd, amount_base in data[name]:
                if action == "delete":
                    levels.pop(Decimal(at_usd), None)
                else:
                    levels[Decimal(at_usd)] = Decimal(amount_base)
        bids = tuple(sorted(sides["bids"].items(), reverse=True)[:depth])
        asks = tuple(sorted(sides["asks"].items())[:depth])
        yield OrderBook(instrument, data["change_id"], bids, asks)
