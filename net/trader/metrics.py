"""What a gateway tells Prometheus, as text; few numbers, written without a library."""

from collections.abc import Iterable, Sequence

from net.trader.key_watch import KeyWatch
from net.trader.upstream import Upstream

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"


def metrics_text(nodes: Sequence[Upstream], key: KeyWatch, proof_height: int) -> str:
    """`proof_height`: of the newest proof of the account that was kept, 0 without one."""
    families: list[tuple[str, str, Iterable[tuple[str, float]]]] = [
        ("node_connected", "1 while there is a connection to the node.",
         ((_of(node), int(node.is_connected)) for node in nodes)),
        ("node_well", "1 while the node is neither catching up nor halted.",
         ((_of(node), int(node.is_well)) for node in nodes)),
        ("node_height", "The last final block that the node has told of.",
         ((_of(node), node.height) for node in nodes)),
        ("node_latency_seconds", "A question and its answer, smoothed.",
         ((_of(node), round(node.latency_s, 6)) for node in nodes)),
        ("proof_height", "Block of the account's proof that lies on this machine.", (("", proof_height),)),
    ]  # fmt: skip
    left_ms = key.left_ms()
    if left_ms is not None:
        families.append(
            ("session_key_left_seconds", "Until the key that signs ends; below 0 afterwards.", (("", left_ms / 1000),))
        )
    lines = []
    for name, text, values in families:
        lines += [f"# HELP hansa_gateway_{name} {text}", f"# TYPE hansa_gateway_{name} gauge"]
        lines += [f"hansa_gateway_{name}{labels} {value}" for labels, value in values]
    return "\n".join(lines) + "\n"


def _of(node: Upstream) -> str:
    return '{{node="{}"}}'.format(node.url.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n"))
