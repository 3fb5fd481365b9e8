"""One account's link to a chain: sends transactions and tells the world's failures from the contract's refusals."""

import threading
from collections.abc import Callable
from typing import Any, TypeVar

import requests
from eth_account import Account
from eth_account.signers.local import LocalAccount
from eth_utils import to_canonical_address
from web3 import HTTPProvider, Web3
from web3.contract.contract import ContractConstructor, ContractFunction
from web3.exceptions import ContractLogicError, Web3Exception
from web3.providers.base import BaseProvider
from web3.types import TxParams, TxReceipt, Wei

from contracts.records import ChainError, Refused, TxResult

RPC_TIMEOUT_S = 30
RECEIPT_TIMEOUT_S = 120
RECEIPT_POLL_S = 0.1
# Estimates hold for the moment they are made; state may move until the block.
_GAS_MARGIN_PERCENT = 20
_ERROR_SELECTOR = "0x08c379a0"
_FOREIGN_ERRORS = (Web3Exception, requests.RequestException, OSError, ValueError)

T = TypeVar("T")


def revert_reason(error: ContractLogicError) -> str:
    """The reason that the contract named, without what nodes put around it."""
    if isinstance(error.data, str) and error.data.startswith(_ERROR_SELECTOR):
        body = bytes.fromhex(error.data[len(_ERROR_SELECTOR) :])
        return body[64 : 64 + int.from_bytes(body[32:64], "big")].decode(errors="replace")
    message = error.message or str(error)
    return message.removeprefix("execution reverted").removeprefix(": ").strip() or "no reason given"


class ChainLink:
    """Calls may come from several threads; nonces are handed out one transaction at a time."""

    def __init__(self, endpoint: str | BaseProvider, private_key: bytes | None) -> None:
        """`endpoint` is an RPC address. Without a key only reading is possible."""
        if isinstance(endpoint, str):
            endpoint = HTTPProvider(endpoint, request_kwargs={"timeout": RPC_TIMEOUT_S})
        self.web3 = Web3(endpoint)
        self._account: LocalAccount | None = None if private_key is None else Account.from_key(private_key)
        self._sending = threading.Lock()
        self.chain_id: int = self.ask(lambda: self.web3.eth.chain_id)

    @property
    def sender(self) -> bytes:
        """The account's address. Raises `TypeError` on a link without a key."""
        return to_canonical_address(self._require_account().address)

    def ask(self, question: Callable[[], T]) -> T:
        """The answer to `question`. Raises `Refused` for a revert, `ChainError` for everything else."""
        try:
            return question()
        except ContractLogicError as error:
            raise Refused(revert_reason(error)) from error
        except _FOREIGN_ERRORS as error:
            raise ChainError(f"the settlement chain did not answer: {type(error).__name__}: {error}") from error

    def send(self, action: ContractFunction | ContractConstructor) -> TxResult:
        """Sign, send and wait for the block. Raises `Refused` or `ChainError`; after the latter it may be mined yet."""
        return self._result(self.ask(lambda: self._transact(action)), action)

    def deploy(self, constructor: ContractConstructor) -> str:
        """Create a contract; returns its checksummed address."""
        receipt = self.ask(lambda: self._transact(constructor))
        self._result(receipt, constructor)
        address = receipt["contractAddress"]
        if address is None:
            raise ChainError("the node's receipt of a deployment names no contract: ask another node")
        return address

    def _transact(self, action: ContractFunction | ContractConstructor) -> TxReceipt:
        account = self._require_account()
        # Held until the node has the transaction: two threads must not sign with one nonce.
        with self._sending:
            base_fee_wei = self.web3.eth.get_block("latest")["baseFeePerGas"]
            tip_wei = self.web3.eth.max_priority_fee
            gas = action.estimate_gas({"from": account.address})
            fields: TxParams = {
                "from": account.address,
                "nonce": self.web3.eth.get_transaction_count(account.address, "pending"),
                "gas": gas + gas * _GAS_MARGIN_PERCENT // 100,
                "maxFeePerGas": Wei(2 * base_fee_wei + tip_wei),
                "maxPriorityFeePerGas": tip_wei,
                "chainId": self.chain_id,
            }
            unsigned: Any = action.build_transaction(fields)
            signed = account.sign_transaction(unsigned)
            tx_hash = self.web3.eth.send_raw_transaction(signed.raw_transaction)
        return self.web3.eth.wait_for_transaction_receipt(tx_hash, RECEIPT_TIMEOUT_S, RECEIPT_POLL_S)

    def _result(self, receipt: TxReceipt, action: ContractFunction | ContractConstructor) -> TxResult:
        if receipt["status"] != 1:
            # The estimate passed and the block did not: ask again for the reason, in the state it met.
            if isinstance(action, ContractFunction):
                sender = self._require_account().address
                self.ask(lambda: action.call({"from": sender}, block_identifier=receipt["blockNumber"]))
            raise Refused("failed in its block, for a reason that is gone")
        return TxResult(bytes(receipt["transactionHash"]), receipt["blockNumber"], receipt["gasUsed"])

    def _require_account(self) -> LocalAccount:
        if self._account is None:
            raise TypeError("this link only reads: give a private key to send transactions")
        return self._account
