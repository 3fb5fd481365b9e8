"""JSON-RPC over the development chain: what web3 libraries ask, and the clock controls of other development chains."""

from collections.abc import Callable
from typing import Any

from contracts.devchain.chain import GAS_LIMIT, Call, Chain, Reverted, TransactionRefused
from contracts.devchain.render import render_block, render_log, render_receipt, render_transaction

LOGS_MAX = 10_000
_INVALID_REQUEST, _NO_METHOD, _INVALID_PARAMS, _INTERNAL = -32600, -32601, -32602, -32603
_REVERTED, _REFUSED = 3, -32000


class RpcError(Exception):
    """Becomes the `error` member of a response."""

    def __init__(self, code: int, message: str, data: str | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.data = data


class Rpc:
    """Answers requests; `finality_blocks` is how far `finalized` and `safe` lie behind `latest`."""

    def __init__(self, chain: Chain, finality_blocks: int = 1) -> None:
        self.chain = chain
        self._finality_blocks = finality_blocks
        self._methods: dict[str, Callable[..., Any]] = {
            "eth_chainId": lambda: hex(chain.chain_id),
            "net_version": lambda: str(chain.chain_id),
            "web3_clientVersion": lambda: "hansa-devchain/1",
            "eth_blockNumber": lambda: hex(chain.head.block_number),
            "eth_getBlockByNumber": self._block_by_number,
            "eth_getBlockByHash": self._block_by_hash,
            "eth_getBalance": lambda address, tag="latest": hex(
                chain.balance_wei(_address(address), self._number(tag))
            ),
            "eth_getTransactionCount": lambda address, tag="latest": hex(
                chain.nonce(_address(address), self._number(tag))
            ),
            "eth_getCode": lambda address, tag="latest": _hex(chain.code(_address(address), self._number(tag))),
            "eth_getStorageAt": lambda address, slot, tag="latest": _hex(
                chain.storage_word(_address(address), _number(slot), self._number(tag)).to_bytes(32, "big")
            ),
            "eth_call": lambda call, tag="latest", *_: _hex(chain.call(_call(call), self._number(tag))),
            "eth_estimateGas": lambda call, *_: hex(chain.estimate_gas(_call(call))),
            "eth_gasPrice": lambda: hex(chain.next_base_fee_wei()),
            "eth_maxPriorityFeePerGas": lambda: "0x0",
            "eth_feeHistory": self._fee_history,
            "eth_sendRawTransaction": lambda raw: _hex(chain.send(_bytes(raw))),
            "eth_getTransactionByHash": self._transaction,
            "eth_getTransactionReceipt": self._receipt,
            "eth_getLogs": self._logs,
            "eth_accounts": list,
            "eth_syncing": lambda: False,
            "evm_increaseTime": lambda by_s: hex(chain.shift_clock(_number(by_s))),
            "evm_mine": self._mine,
            "evm_snapshot": lambda: hex(chain.head.block_number),
            "evm_revert": self._revert,
        }

    def answer(self, request: object) -> dict[str, Any] | list[dict[str, Any]] | None:
        """The response to a parsed request or batch. Never raises."""
        if isinstance(request, list):
            return [self._answer_one(entry) for entry in request] or self._answer_one(None)
        return self._answer_one(request)

    def _answer_one(self, request: object) -> dict[str, Any]:
        request_id = request.get("id") if isinstance(request, dict) else None
        response: dict[str, Any] = {"jsonrpc": "2.0", "id": request_id}
        try:
            response["result"] = self._dispatch(request)
        except RpcError as error:
            response["error"] = {"code": error.code, "message": str(error)}
            if error.data is not None:
                response["error"]["data"] = error.data
        return response

    def _dispatch(self, request: object) -> object:
        if not isinstance(request, dict) or not isinstance(request.get("method"), str):
            raise RpcError(_INVALID_REQUEST, "a request is an object with a method")
        params = request.get("params", [])
        if not isinstance(params, list):
            raise RpcError(_INVALID_PARAMS, "params must be an array")
        method = self._methods.get(request["method"])
        if method is None:
            raise RpcError(_NO_METHOD, f"the method {request['method']} does not exist")
        try:
            return method(*params)
        except RpcError:
            raise
        except Reverted as error:
            raise RpcError(_REVERTED, str(error), _hex(error.data)) from error
        except TransactionRefused as error:
            raise RpcError(_REFUSED, str(error)) from error
        except (ValueError, TypeError, KeyError, AttributeError, OverflowError) as error:
            raise RpcError(_INVALID_PARAMS, f"invalid params: {error}") from error
        except Exception as error:  # a broken request must not end the chain that others share
            raise RpcError(_INTERNAL, f"{type(error).__name__}: {error}") from error

    def _number(self, tag: object) -> int:
        """Block number behind a tag, a hex number or an EIP-1898 object."""
        head = self.chain.head.block_number
        if tag in ("latest", "pending", None):
            return head
        if tag in ("finalized", "safe"):
            return max(0, head - self._finality_blocks)
        if tag == "earliest":
            return 0
        if isinstance(tag, dict):
            if "blockHash" in tag:
                return self._number_of_hash(tag["blockHash"])
            return self._number(tag["blockNumber"])
        return _number(tag)

    def _number_of_hash(self, block_hash: object) -> int:
        number = self.chain.block_number(_bytes(block_hash))
        if number is None:
            raise RpcError(_REFUSED, "unknown block")
        return number

    def _block_by_number(self, tag: object, full: bool = False) -> dict[str, Any] | None:
        header = self.chain.header(self._number(tag))
        if header is None:
            return None
        return render_block(header, self.chain.transactions_of(header.block_number), full)

    def _block_by_hash(self, block_hash: object, full: bool = False) -> dict[str, Any] | None:
        number = self.chain.block_number(_bytes(block_hash))
        return None if number is None else self._block_by_number(hex(number), full)

    def _transaction(self, tx_hash: object) -> dict[str, Any] | None:
        row = self.chain.transaction(_bytes(tx_hash))
        return None if row is None else render_transaction(row, self.chain.require_header(row.block))

    def _receipt(self, tx_hash: object) -> dict[str, Any] | None:
        row = self.chain.transaction(_bytes(tx_hash))
        if row is None:
            return None
        logs = self.chain.find_logs(row.block, row.block, [], [], LOGS_MAX)
        return render_receipt(row, self.chain.require_header(row.block), logs)

    def _logs(self, query: dict[str, Any]) -> list[dict[str, Any]]:
        if "blockHash" in query:
            first = last = self._number_of_hash(query["blockHash"])
        else:
            first, last = self._number(query.get("fromBlock")), self._number(query.get("toBlock"))
        topics = [_alternatives(choice) for choice in query.get("topics") or []]
        if len(topics) > 4:
            raise RpcError(_INVALID_PARAMS, "a log has at most four topics")
        rows = self.chain.find_logs(first, last, _alternatives(query.get("address")), topics, LOGS_MAX + 1)
        if len(rows) > LOGS_MAX:
            raise RpcError(_REFUSED, f"more than {LOGS_MAX} logs: ask for fewer blocks")
        headers = {number: self.chain.require_header(number) for number in {row.block for row in rows}}
        return [render_log(row, headers[row.block]) for row in rows]

    def _fee_history(self, count: object, newest: object, percentiles: list[object] | None = None) -> dict[str, Any]:
        last = self._number(newest)
        first = max(0, last - min(_number(count), 1024) + 1)
        headers = [self.chain.require_header(number) for number in range(first, last + 1)]
        # py-evm declares the field optional; every Prague header has it.
        fees = [hex(header.base_fee_per_gas) for header in headers]  # type: ignore[arg-type]
        history: dict[str, Any] = {
            "oldestBlock": hex(first),
            "baseFeePerGas": [*fees, hex(self.chain.next_base_fee_wei())],
            "gasUsedRatio": [header.gas_used / GAS_LIMIT for header in headers],
        }
        if percentiles:
            history["reward"] = [["0x0"] * len(percentiles) for _ in headers]
        return history

    def _mine(self, *_: object) -> str:
        self.chain.mine()
        return "0x0"

    def _revert(self, number: object) -> bool:
        self.chain.rewind(_number(number))
        return True


def _hex(data: bytes) -> str:
    return "0x" + data.hex()


def _bytes(value: object) -> bytes:
    if not isinstance(value, str) or not value.startswith("0x"):
        raise ValueError(f"expected 0x-prefixed hex, got {value!r}"[:100])
    return bytes.fromhex(value[2:])


def _number(value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int | str):
        raise ValueError(f"expected a number, got {value!r}"[:100])
    number = value if isinstance(value, int) else int(value, 16)
    if not 0 <= number < 1 << 256:
        raise ValueError("number out of range")
    return number


def _address(value: object) -> bytes:
    address = _bytes(value)
    if len(address) != 20:
        raise ValueError("an address has 20 bytes")
    return address


def _alternatives(choice: object) -> list[bytes]:
    if choice is None:
        return []
    return [_bytes(entry) for entry in choice] if isinstance(choice, list) else [_bytes(choice)]


def _call(fields: dict[str, Any]) -> Call:
    data = fields.get("input") or fields.get("data") or "0x"
    return Call(
        sender=_address(fields["from"]) if fields.get("from") else bytes(20),
        to=_address(fields["to"]) if fields.get("to") else b"",
        data=_bytes(data),
        value_wei=_number(fields.get("value") or 0),
        gas=min(_number(fields.get("gas") or GAS_LIMIT), GAS_LIMIT),
    )
