"""Contracts that only tests deploy: sources in `src/` beside this file, compiled when first asked for."""

import functools
from pathlib import Path
from typing import Any

from vyper.cli.vyper_compile import compile_files
from vyper.compiler.settings import Settings
from web3.contract import Contract
from web3.providers.base import BaseProvider

from contracts.chain_link import ChainLink

FOLDER = Path(__file__).parent / "src"


@functools.cache
def compile_source(name: str) -> dict[str, Any]:
    """Artefact of `src/NAME.vy` with the keys `abi` and `bytecode`."""
    outputs = compile_files([FOLDER / f"{name}.vy"], ["abi", "bytecode"], paths=[FOLDER], settings=Settings())
    (output,) = outputs.values()
    artifact: dict[str, Any] = output
    return artifact


def deploy_source(provider: BaseProvider, private_key: bytes, name: str, *arguments: Any) -> Contract:
    """A new `NAME`, readable; transactions go through `ChainLink`."""
    link = ChainLink(provider, private_key)
    artifact = compile_source(name)
    factory = link.web3.eth.contract(abi=artifact["abi"], bytecode=artifact["bytecode"])
    address = link.deploy(factory.constructor(*arguments))
    contract: Contract = link.web3.eth.contract(address, abi=artifact["abi"])
    return contract
