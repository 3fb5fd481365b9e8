"""What all clients of our contracts share: one contract at an address, seen through one link.

Blocking; from async code call it in worker threads. Raises `ChainError` when the chain does not answer (retry) and
`Refused` when the contract says no (do not).
"""

from typing import Any

from eth_utils import to_canonical_address, to_checksum_address
from web3.contract import Contract
from web3.types import BlockIdentifier

from contracts.artifact import load_artifact
from contracts.chain_link import ChainLink
from contracts.records import ChainError, TxResult


class ContractClient:
    """Reads and sends by the names of the contract's functions."""

    def __init__(self, link: ChainLink, address: str | bytes, artifact: str) -> None:
        """Raises `ChainError` if nothing answers or no contract is there."""
        self._link = link
        self.chain_id = link.chain_id
        self.address = to_checksum_address(address)
        self.address_bytes = to_canonical_address(address)
        if not link.ask(lambda: link.web3.eth.get_code(self.address)):
            raise ChainError(f"there is no contract at {self.address} on chain {self.chain_id}: wrong address?")
        self._contract: Contract = link.web3.eth.contract(self.address, abi=load_artifact(artifact)["abi"])

    @property
    def sender(self) -> bytes:
        """Address of the account that sends; `TypeError` without a key."""
        return self._link.sender

    def _read(self, name: str, *arguments: Any, block: int | None = None) -> Any:
        function = self._contract.functions[name](*arguments)
        at: BlockIdentifier = "latest" if block is None else block
        return self._link.ask(lambda: function.call(block_identifier=at))

    def _read_number(self, name: str, *arguments: Any, block: int | None = None) -> int:
        number: int = self._read(name, *arguments, block=block)
        return number

    def _send(self, name: str, *arguments: Any) -> TxResult:
        return self._link.send(self._contract.functions[name](*arguments))
