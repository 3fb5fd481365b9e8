"""What each option of config.toml means, in the file that `hansa init` writes and in docs/operate.md."""

import json
from dataclasses import MISSING, fields
from pathlib import Path

from validator.config import NodeConfig, PeerAddress

OPTIONS: dict[str, str] = {
    "index": "this validator's number: that of its registration, for ever",
    "rpc_urls": "settlement chain endpoints, best of three independent providers; a majority must tell the same, and "
    "two where there are two. `hansa status` shows each, and what is wrong with it",
    "listen_host": "where committee links are accepted",
    "listen_port": "their port",
    "api_host": "where the traders' API and the status page are served",
    "api_port": "their port",
    "api_process": "who serves that API: `own`, a process that the node starts and starts again; `inside`, the node's "
    "own loop; `none`, nobody, or `hansa api` that you run yourself",
    "peers": "`host` and `port`: where the first validators listen, by number; all others advertise it in the registry",
    "price_source": "`file:/path/prices.json`, which a program of yours replaces at least every 10 s: "
    '`{"BTC": "60000.5"}`, USD by underlying; or `path:seed=N,noise_bps=M`, the seeded path of test networks',
    "signer": "who holds the voting key: `inside`, the node; or `unix:PATH`, a `hansa signer` that listens there, from "
    "this folder on",
    "snapshot_interval_blocks": "every so many blocks a state that others may fetch; equal on all nodes, or they "
    "cannot fetch from several",
    "snapshot_gap_blocks": "further behind than this, a peer's snapshot is fetched instead of all blocks",
    "keep_blocks": "how many blocks stay on this disk at least, with their orders and trades: 256 or more; 0: all, as "
    "an archive. A million is about a day. What others need to begin here, and what no checkpoint covers yet, stays "
    "as well",
    "doppelganger_wait_ms": "how long to listen for another process with this key before voting",
    "vote_above_view": "for a node that lost its guard: vote again, above this view only; 0: just observe",
    "gas_price_max_gwei": "the most that you pay for a unit of gas; a checkpoint that no block takes is offered for "
    "more until then",
    "metrics_host": "where Prometheus is answered, at `/metrics`",
    "metrics_port": "its port; 0: nowhere",
    "log_level": "debug, info, warning, error",
    "log_format": "`json`, a line for one fact; `console`, to read; `auto`, console in a terminal and JSON elsewhere. "
    "docs/logs.md lists the facts",
}
_COMMENT_CHARS = 100


def explain(config: NodeConfig, network_name: str) -> str:
    """The text of a config.toml in which every option stands with what it means; defaults are commented out."""
    lines = [
        f"# A node of the network {network_name}. Every option is here; what has a # before it is the default.",
        "# HANSA_NODE_… variables and `hansa start --set name=value` stand above this file: "
        "`hansa config show --origin`.",
    ]
    for item in fields(NodeConfig):
        value = getattr(config, item.name)
        if item.name == "peers":
            continue
        is_default = item.default is not MISSING and value == item.default
        shown = json.dumps(list(value) if isinstance(value, tuple) else value)
        lines += ["", *_comment(OPTIONS[item.name]), f"{'# ' if is_default else ''}{item.name} = {shown}"]
    lines += ["", *_comment(OPTIONS["peers"])]
    peers = config.peers or (PeerAddress("203.0.113.7", 26656),)
    for peer in peers:
        mark = "" if config.peers else "# "
        lines += [
            f"{mark}[[peers]]", f"{mark}host = {json.dumps(peer.host)}", f"{mark}port = {peer.port}",
        ]  # fmt: skip
    return "\n".join(lines) + "\n"


def write_explained(path: Path, config: NodeConfig, network_name: str) -> None:
    path.write_text(explain(config, network_name))


def table_of_options() -> list[str]:
    """The rows of the table in docs/operate.md."""
    rows = []
    for item in fields(NodeConfig):
        name = "[[peers]]" if item.name == "peers" else item.name
        default = "-" if item.default is MISSING or item.name == "peers" else str(item.default)
        rows.append(f"| `{name}` | {OPTIONS[item.name]} | {default} |")
    return rows


def _comment(text: str) -> list[str]:
    lines, line = [], "#"
    for word in text.split():
        if len(line) + 1 + len(word) > _COMMENT_CHARS:
            lines.append(line)
            line = "#"
        line += " " + word
    return [*lines, line]
