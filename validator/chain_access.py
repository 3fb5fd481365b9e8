"""Opens the links to the settlement chain. Here web3 is imported, and nowhere else in a validator: that takes most of a
second, which a node spends in a worker thread while its links come up and not before its first listening.
"""

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

from contracts.records import ChainError
from validator.config import NetworkConfig, NodeConfig

if TYPE_CHECKING:
    from contracts.court import Court
    from contracts.registry import Registry
    from contracts.settlement import Settlement

RECURSION_LIMIT = 1_000
WEI_PER_GWEI = 10**9


def limit_recursion() -> None:
    """A library below web3 raises the limit a hundredfold, and then a client's deeply nested JSON overflows the
    stack.
    """
    sys.setrecursionlimit(RECURSION_LIMIT)


def connect(network: NetworkConfig, config: NodeConfig, operator_key: bytes) -> "tuple[list[Settlement], Court | None]":
    """The contract as each endpoint that answers shows it, and the court where there is one. Blocks; raises
    `ChainError` when none does.
    """
    try:
        from contracts.court import Court
        from contracts.settlement import Settlement
    finally:
        limit_recursion()

    limit_wei = config.gas_price_max_gwei * WEI_PER_GWEI
    settlements, failure = [], None
    for url in config.rpc_urls:
        try:
            settlements.append(Settlement(url, network.contract, operator_key, fee_limit_wei=limit_wei))
        except ChainError as error:
            failure = error
    if failure is not None and not settlements:
        raise failure
    court = Court(settlements[0].endpoint, network.court, operator_key) if network.court else None
    return settlements, court


def open_registries(settlements: "Sequence[Settlement]", operator_key: bytes) -> "list[Registry]":
    """The registry that the contract names, as each endpoint shows it. Blocks; raises `ChainError`."""
    from contracts.registry import Registry

    return [Registry(settlement.endpoint, settlement.registry(), operator_key) for settlement in settlements]
