"""`hansa top`: nodes at a glance, in a terminal, over ssh as well."""

import json
import os
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

if TYPE_CHECKING:
    from validator.top.looks import Look
    from validator.top.reading import Watched

DEFAULT_URL, DEFAULT_METRICS = "http://127.0.0.1:8645", "http://127.0.0.1:26660/metrics"
EXIT_UNSEEN, EXIT_USAGE = 1, 2
ONCE_COLUMNS = 160


def top(
    *urls: Annotated[str, Parameter(help="APIs of nodes; this machine's own by default")],
    metrics: Annotated[tuple[str, ...], Parameter(help="Their pages for Prometheus, in the same order")] = (),
    home: Annotated[tuple[Path, ...], Parameter(help="A validator's folder, which names both; several may be")] = (),
    testnet: Annotated[Path | None, Parameter(help="The folder of a local network: all its nodes")] = None,
    interval_s: Annotated[float, Parameter(name="--interval", help="Seconds between two looks")] = 1.0,
    once: Annotated[bool, Parameter(help="Look once, print, and end", negative="")] = False,
    as_json: Annotated[bool, Parameter(name="--json", help="With --once: print JSON", negative="")] = False,
) -> int:
    """Watch nodes in a terminal: who signs, heights and lag, finality, prices, the settlement chain, what is wrong.

    Keys: Tab next panel, p pause, r look now, q quit. What a page for Prometheus adds (escape deadline, disk, loop,
    clock, guard) shows where its URL is known. With --once it exits with 1 if a node does not answer.

    For example:

        hansa top
        hansa top http://a.example:8645 http://b.example:8645
        hansa top --testnet .hansa-testnet
        hansa top --home ~/.hansa --once --json
    """
    from validator.config import ConfigError

    try:
        nodes = choose_nodes(urls, metrics, home, testnet)
        if as_json and not once:
            raise ConfigError("--json goes with --once")
    except ConfigError as error:
        print(f"hansa: {error}", file=sys.stderr)
        return EXIT_USAGE
    import asyncio

    if once:
        return _print_once(asyncio.run(_look_twice(nodes)), as_json)
    try:
        import textual  # noqa: F401
    except ModuleNotFoundError:
        print("hansa: this needs textual: pip install 'hansa[tui]', or say --once", file=sys.stderr)
        return EXIT_USAGE
    asyncio.run(_show(nodes, max(0.2, interval_s)))
    return 0


def choose_nodes(
    urls: Sequence[str], metrics: Sequence[str], homes: Sequence[Path], testnet: Path | None
) -> "list[Watched]":
    """Whom to look at. Raises `ConfigError`."""
    from validator.config import ConfigError, Home, load_node
    from validator.dashboards_command import find_homes
    from validator.top.reading import Watched

    if metrics and len(metrics) != len(urls):
        raise ConfigError("--metrics names one page for each URL, in their order")
    nodes = []
    for at, url in enumerate(urls):
        name = url.partition("://")[2].rstrip("/") or url
        nodes.append(Watched(name, url if "://" in url else f"http://{url}", metrics[at] if metrics else ""))
    for folder in find_homes(homes, testnet):
        config = load_node(Home(folder).config)
        page = f"http://{config.metrics_host}:{config.metrics_port}/metrics" if config.metrics_port else ""
        nodes.append(Watched(folder.resolve().name, f"http://{config.api_host}:{config.api_port}", page))
    return nodes or [Watched("this node", DEFAULT_URL, DEFAULT_METRICS)]


async def _show(nodes: "list[Watched]", interval_s: float) -> None:
    from validator.top.reading import Reader
    from validator.top.screen import Top

    async with Reader(nodes) as reader:
        await Top(reader, interval_s).run_async()


async def _look_twice(nodes: "list[Watched]") -> "list[Look]":
    """The second look: roots are compared at a height that the first one has seen."""
    from validator.top.reading import Reader

    async with Reader(nodes) as reader:
        await reader.look()
        return await reader.look()


def _print_once(looks: "Sequence[Look]", as_json: bool) -> int:
    try:
        if as_json:
            print(json.dumps(to_plain(looks), indent=1), flush=True)
        else:
            _print_tables(looks)
    except BrokenPipeError:  # `hansa top --once | head` ends quietly
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return 0 if all(look.is_there for look in looks) else EXIT_UNSEEN


def to_plain(looks: "Sequence[Look]") -> dict[str, object]:
    """The facts as JSON has them: `nodes` as they were seen, `alerts` under the names of the alert rules."""
    from validator.top.findings import list_findings

    return {"nodes": [asdict(look) for look in looks], "alerts": [asdict(item) for item in list_findings(looks)]}


def _print_tables(looks: "Sequence[Look]") -> None:
    from rich.console import Console

    from validator.top.drawing import draw_committee, draw_findings, draw_network, draw_nodes
    from validator.top.findings import list_findings

    console = Console(width=None if sys.stdout.isatty() else ONCE_COLUMNS)
    history_ms = [float(max((look.finality_p50_ms for look in looks), default=0))]
    for picture in (
        draw_network(looks, None, history_ms, console.width), draw_nodes(looks, console.width),
        draw_committee(looks, console.width), draw_findings(list_findings(looks)),
    ):  # fmt: skip
        console.print(picture)
        console.print()
