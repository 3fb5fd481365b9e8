"""Opens the links to the settlement chain. Here web3 is imported, and nowhere else in a validator: that takes most of a
second, which a node spends in a worker thread while its links come up and not before its first listening.
"""

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

from validator.config import NetworkConfig

if TYPE_CHECKING:
    from contracts.court import Court
    from contracts.registry import Registry
    from contracts.settlement import Settlement

RECURSION_LIMIT = 1_000


def limit_recursion() -> None:
    """A library below web3 raises the limit a hundredfold, and then a client's deeply nested JSON overflows the
    stack.
    """
    sys.setrecursionlimit(RECURSION_LIMIT)


def connect(
    network: NetworkConfig, rpc_urls: Sequence[str], operator_key: bytes
) -> "tuple[list[Settlement], Court | None]":
    """The contract as each endpoint shows it, and the court where there is one. Blocks; raises `ChainError`."""
    try:
        from contracts.court import Court
        from contracts.settlement import Settlement
    finally:
        limit_recursion()

    settlements = [Settlement(url, network.contract, operator_key) for url in rpc_urls]
    return settlements, Court(rpc_urls[0], network.court, operator_key) if network.court else None


def open_registries(
    settlements: "Sequence[Settlement]", rpc_urls: Sequence[str], operator_key: bytes
) -> "list[Registry]":
    """The registry that the contract names, as each endpoint shows it. Blocks; raises `ChainError`."""
    from contracts.registry import Registry

    return [
        Registry(url, settlement.registry(), operator_key)
        for settlement, url in zip(settlements, rpc_urls, strict=True)
    ]
