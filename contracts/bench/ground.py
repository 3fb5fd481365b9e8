"""Where the gas benchmark runs: the embedded chain in this process, or anvil as a process of its own."""

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from eth_account import Account
from web3 import Web3
from web3.providers.base import BaseProvider
from web3.providers.rpc import HTTPProvider
from web3.types import RPCEndpoint

from contracts.chain_process import ChainProcess
from contracts.devchain.chain import Chain, funded_key
from contracts.devchain.provider import InProcessProvider
from contracts.devchain.rpc import Rpc

ANVIL_PORT = 38_545
_GIFT_WEI = 10**18


@dataclass
class Ground:
    """A fresh chain; `chain` is the embedded one, None for anvil."""

    endpoint: BaseProvider
    chain: Chain | None

    def pass_time(self, by_s: int) -> None:
        """Let the next block be so much later."""
        if self.chain is not None:
            self.chain.shift_clock(by_s)
            return
        for method, parameters in (("evm_increaseTime", [by_s]), ("evm_mine", [])):
            self.endpoint.make_request(RPCEndpoint(method), parameters)

    def give(self, address: str) -> None:
        """Ether for gas."""
        web3, giver = Web3(self.endpoint), Account.from_key(funded_key(1))
        signed = giver.sign_transaction({
            "to": address, "value": _GIFT_WEI, "nonce": web3.eth.get_transaction_count(giver.address), "gas": 21_000,
            "maxFeePerGas": 10**10, "maxPriorityFeePerGas": 0, "chainId": web3.eth.chain_id,
        })  # fmt: skip
        web3.eth.wait_for_transaction_receipt(web3.eth.send_raw_transaction(signed.raw_transaction), 30, 0.01)


def is_anvil_here() -> bool:
    return shutil.which("anvil") is not None


@contextmanager
def open_ground(kind: str) -> Iterator[Ground]:
    """A chain that ends with the context. Raises `ChainError` with advice where anvil is not installed."""
    if kind == "devchain":
        chain = Chain()
        yield Ground(InProcessProvider(Rpc(chain)), chain)
        chain.close()
        return
    with tempfile.TemporaryDirectory() as folder:
        process = ChainProcess("anvil", ANVIL_PORT, Path(folder), block_time_s=0)
        with process:
            yield Ground(HTTPProvider(process.rpc_url), None)
