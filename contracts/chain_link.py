"""One account's link to a chain: sends transactions and tells the world's failures from the contract's refusals."""

from collections.abc import Callable
from typing import Any, TypeVar

import requests
from eth_utils import to_canonical_address, to_checksum_address
from hexbytes import HexBytes
from web3 import HTTPProvider, Web3
from web3.contract.contract import ContractConstructor, ContractFunction
from web3.exceptions import ContractLogicError, Web3Exception
from web3.providers.base import BaseProvider
from web3.types import Nonce, RPCEndpoint, TxParams, Wei

from contracts.chain_reader import Ask, take_result
from contracts.records import ChainError, Refused, TxResult
from contracts.sender import LIMIT_MAX_WEI, Sender, read_reason

RPC_TIMEOUT_S = 30
# Web3 asks the node for whatever of these is missing; the sender knows better.
_NO_QUESTIONS: TxParams = {
    "gas": 0, "nonce": Nonce(0), "chainId": 0, "value": Wei(0), "maxFeePerGas": Wei(0), "maxPriorityFeePerGas": Wei(0),
}  # fmt: skip
_FOREIGN_ERRORS = (Web3Exception, requests.RequestException, OSError, ValueError)

T = TypeVar("T")


def revert_reason(error: ContractLogicError) -> str:
    """The reason that the contract named, without what nodes put around it."""
    return read_reason(error.message or str(error), error.data)


class ChainLink:
    """Calls may come from several threads."""

    def __init__(
        self, endpoint: str | BaseProvider, private_key: bytes | None, fee_limit_wei: int = LIMIT_MAX_WEI
    ) -> None:
        """`endpoint` is an RPC address. Without a key only reading is possible."""
        if isinstance(endpoint, str):
            endpoint = HTTPProvider(endpoint, request_kwargs={"timeout": RPC_TIMEOUT_S})
        self.web3 = Web3(endpoint)
        self.chain_id: int = self.ask(lambda: self.web3.eth.chain_id)
        self._sender: Sender | None = None
        if private_key is not None:
            ask = _ask_through(endpoint)
            self._sender = Sender(ask, private_key, self.chain_id, limit_max_wei=fee_limit_wei)

    @property
    def sender(self) -> bytes:
        """The account's address. Raises `TypeError` on a link without a key."""
        return self._require_sender().address

    def ask(self, question: Callable[[], T]) -> T:
        """The answer to `question`. Raises `Refused` for a revert, `ChainError` for everything else."""
        try:
            return question()
        except ContractLogicError as error:
            raise Refused(revert_reason(error)) from error
        except _FOREIGN_ERRORS as error:
            raise ChainError(f"the settlement chain did not answer: {type(error).__name__}: {error}") from error

    def send(self, action: ContractFunction) -> TxResult:
        """Sign, send and wait for the block. Raises `Refused` or `ChainError`; after the latter it may be mined yet."""
        fields = self.ask(lambda: action.build_transaction(_NO_QUESTIONS))
        return self.send_call(to_canonical_address(fields["to"]), bytes(HexBytes(fields["data"])))

    def send_call(self, to: bytes, data: bytes) -> TxResult:
        """`send` for a call that is encoded already."""
        return self._require_sender().send(to, data)

    def deploy(self, constructor: ContractConstructor) -> str:
        """Create a contract; returns its checksummed address."""
        fields = self.ask(lambda: constructor.build_transaction(_NO_QUESTIONS))
        return to_checksum_address(self._require_sender().create(bytes(HexBytes(fields["data"]))))

    def _require_sender(self) -> Sender:
        if self._sender is None:
            raise TypeError("this link only reads: give a private key to send transactions")
        return self._sender


def _ask_through(provider: BaseProvider) -> Ask:
    """A provider of web3 as `contracts.chain_reader` asks."""

    def ask(method: str, params: list[Any]) -> Any:
        try:
            return take_result(method, provider.make_request(RPCEndpoint(method), params))
        except _FOREIGN_ERRORS as error:
            raise ChainError(f"the settlement chain did not answer: {type(error).__name__}: {error}") from error

    return ask
