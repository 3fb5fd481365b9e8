"""What a validator acts on of the settlement chain, read from one endpoint without web3: finalised inbox entries and
checkpoints.

Importing web3 takes a second, these calls some milliseconds, and a validator may not vote before it has seen the inbox.
Every question costs the endpoint the same however old the contract is: logs are asked for by ranges of blocks, from
where the last answer ended. Must tell what `contracts.settlement` tells.
"""

import json
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

from contracts.digests import keccak, next_inbox_hash
from contracts.records import ChainError, InboxRecord

RPC_TIMEOUT_S = 3
ANSWER_BYTES_MAX = 32 * 1024 * 1024
# Endpoints refuse ranges that are longer.
PAGE_BLOCKS = 2_000
_ENTRY_TOPIC = (
    "0x" + keccak(b"InboxEntry(uint256,uint256,address,address,uint256,address,uint256,bytes32,uint256,bytes32)").hex()
)
_CHECKPOINT_TOPIC = "0x" + keccak(b"Checkpoint(uint256,bytes32,bytes32,bytes32,bytes32,bytes32,uint256)").hex()
_ENTRY_DATA_BYTES = 7 * 32

Ask = Callable[[str, list[Any]], Any]
T = TypeVar("T")


def ask_over_http(url: str, timeout_s: float = RPC_TIMEOUT_S) -> Ask:
    """JSON-RPC calls to one endpoint. They raise `ChainError`."""

    def ask(method: str, params: list[Any]) -> Any:
        call = {"jsonrpc": "2.0", "id": 1, "method": method, "params": params}
        request = urllib.request.Request(
            url, json.dumps(call).encode(), {"Content-Type": "application/json", "User-Agent": "hansa"}
        )
        try:
            with urllib.request.urlopen(request, timeout=timeout_s) as response:
                answer = json.loads(response.read(ANSWER_BYTES_MAX))
            return take_result(method, answer)
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise ChainError(f"the settlement chain did not answer: {type(error).__name__}: {error}") from error

    return ask


class RpcRefused(ChainError):
    """The endpoint answered with an error."""

    def __init__(self, method: str, message: str, data: object = None) -> None:
        super().__init__(f"the settlement chain's endpoint refuses {method}: {message}")
        self.message = message
        self.data = data


def take_result(method: str, answer: Any) -> Any:
    """What a JSON-RPC answer says. Raises `RpcRefused`; `KeyError` or `TypeError` when it is none."""
    error = answer.get("error") if isinstance(answer, dict) else None
    if error is not None:
        parts = error if isinstance(error, dict) else {"message": error}
        raise RpcRefused(method, str(parts.get("message")), parts.get("data"))
    return answer["result"]


@dataclass(frozen=True, slots=True)
class SeenCheckpoint:
    """A checkpoint that the contract accepted in `block_number`."""

    height: int
    header_hash: bytes
    block_number: int


@dataclass(frozen=True, slots=True)
class News:
    """Inbox entries and checkpoints of some blocks, in the chain's order."""

    entries: tuple[InboxRecord, ...]
    checkpoints: tuple[SeenCheckpoint, ...]


class ChainReader:
    """The contract at `address` as one endpoint shows it. Blocking; every method raises `ChainError`."""

    def __init__(self, ask: Ask, address: str) -> None:
        self._ask = ask
        self._address = address

    def check(self, chain_id: int, domain: bytes) -> int:
        """That this is the right chain with the right contract; the block in which the contract was deployed."""
        found_id = self._read("eth_chainId", [], lambda answer: int(answer, 16))
        if found_id != chain_id:
            raise ChainError(f"wrong chain: its id is {found_id}, the network's {chain_id}")
        if self._call("domain()", lambda word: word) != domain:
            raise ChainError(f"wrong contract: at {self._address} is nothing, or not this network's")
        return self._call("DEPLOYED_BLOCK()", _number)

    def finalized_block(self) -> int:
        """Number of the last block that the chain will not take back."""
        return self._read("eth_getBlockByNumber", ["finalized", False], lambda block: int(block["number"], 16))

    def posted_height(self) -> int:
        """Height of the last checkpoint in the youngest block, which the chain may yet take back; 0: none."""
        return self._call("last_checkpoint()", lambda words: _number(words[:32]))

    def freeze_deadlines_s(self) -> tuple[int, int]:
        """Chain time after which anyone may freeze the contract: because an inbox entry is overdue (the largest number
        if none waits), because the committee is silent.
        """
        return self._call("freeze_deadlines()", lambda words: (_number(words[:32]), _number(words[32:64])))

    def news(self, first_block: int, last_block: int) -> News:
        """What happened in these blocks, both included: at most `PAGE_BLOCKS` of them."""
        query = {
            "address": self._address, "fromBlock": hex(first_block), "toBlock": hex(last_block),
            "topics": [[_ENTRY_TOPIC, _CHECKPOINT_TOPIC]],
        }  # fmt: skip
        return self._read("eth_getLogs", [query], lambda logs: _sort_logs(logs, range(first_block, last_block + 1)))

    def _call(self, signature: str, decode: Callable[[bytes], T]) -> T:
        call = {"to": self._address, "data": "0x" + keccak(signature.encode())[:4].hex()}
        return self._read("eth_call", [call, "latest"], lambda answer: decode(_bytes(answer, 32)))

    def _read(self, method: str, params: list[Any], decode: Callable[[Any], T]) -> T:
        answer = self._ask(method, params)
        try:
            return decode(answer)
        except (TypeError, ValueError, KeyError, IndexError, AttributeError) as error:
            raise ChainError(f"the endpoint's answer to {method} makes no sense: {error!r}") from error


def find_break(entries: tuple[InboxRecord, ...], index: int, previous_hash: bytes) -> str:
    """Why these entries do not continue an inbox of `index` entries whose hash chain ends so; empty if they do."""
    for entry in entries:
        if entry.index != index:
            return f"a gap: entry {entry.index} came where {index} was due"
        previous_hash = next_inbox_hash(
            previous_hash, index, entry.kind, entry.token, entry.beneficiary, entry.subaccount, entry.sender,
            entry.amount, entry.data, entry.time_s,
        )  # fmt: skip
        if entry.hash != previous_hash:
            return f"entry {index} does not give the hash that it names"
        index += 1
    return ""


def _sort_logs(logs: list[dict[str, Any]], blocks: range) -> News:
    entries, checkpoints = [], []
    for log in sorted(logs, key=lambda log: (int(log["blockNumber"], 16), int(log["logIndex"], 16))):
        if int(log["blockNumber"], 16) not in blocks:
            raise ValueError(f"a log of block {int(log['blockNumber'], 16)} was not asked for")
        if log["topics"][0] == _ENTRY_TOPIC:
            entries.append(_decode_entry(log))
        elif log["topics"][0] == _CHECKPOINT_TOPIC:
            _, height, header_hash = (_bytes(topic, 32) for topic in log["topics"])
            checkpoints.append(SeenCheckpoint(_number(height), header_hash, int(log["blockNumber"], 16)))
        else:
            raise ValueError("a log of another event was not asked for")
    return News(tuple(entries), tuple(checkpoints))


def _decode_entry(log: dict[str, Any]) -> InboxRecord:
    """Three indexed fields are topics, the others words of the data, in the event's order."""
    _, index, beneficiary, sender = (_bytes(topic, 32) for topic in log["topics"])
    data = _bytes(log["data"], _ENTRY_DATA_BYTES)
    if len(data) != _ENTRY_DATA_BYTES:
        raise ValueError(f"an entry's data has {len(data)} bytes instead of {_ENTRY_DATA_BYTES}")
    kind, token, subaccount, amount, payload, time_s, entry_hash = (
        data[at : at + 32] for at in range(0, _ENTRY_DATA_BYTES, 32)
    )
    return InboxRecord(
        _number(index), _number(kind), token[12:], beneficiary[12:], _number(subaccount), sender[12:], _number(amount),
        payload, _number(time_s), entry_hash, int(log["blockNumber"], 16),
    )  # fmt: skip


def _bytes(text: str, length_min: int) -> bytes:
    data = bytes.fromhex(text.removeprefix("0x"))
    if len(data) < length_min:
        raise ValueError(f"{len(data)} bytes instead of {length_min}")
    return data


def _number(word: bytes) -> int:
    return int.from_bytes(word, "big")
