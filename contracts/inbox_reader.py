"""The contract's inbox, read without web3: the one thing of the chain that a validator needs before it can vote.

A proposal names the chain's height and the inbox entries up to there, and nobody votes for what it has not seen
itself. Importing web3 takes a second, these calls some milliseconds. Must tell what `contracts.settlement` tells.
"""

import json
import urllib.request
from collections.abc import Callable
from typing import Any

from contracts.digests import keccak
from contracts.records import ChainError, InboxRecord

RPC_TIMEOUT_S = 2
_EVENT = "InboxEntry(uint256,uint256,address,address,uint256,address,uint256,bytes32,uint256,bytes32)"
_TOPIC = "0x" + keccak(_EVENT.encode()).hex()
_DEPLOYED_BLOCK = "0x" + keccak(b"DEPLOYED_BLOCK()")[:4].hex()
_DATA_BYTES = 7 * 32

Ask = Callable[[str, list[Any]], Any]


def ask_over_http(url: str) -> Ask:
    """JSON-RPC calls to one endpoint. They raise `ChainError`."""

    def ask(method: str, params: list[Any]) -> Any:
        call = {"jsonrpc": "2.0", "id": 1, "method": method, "params": params}
        request = urllib.request.Request(
            url, json.dumps(call).encode(), {"Content-Type": "application/json", "User-Agent": "hansa"}
        )
        try:
            with urllib.request.urlopen(request, timeout=RPC_TIMEOUT_S) as response:
                return json.load(response)["result"]
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise ChainError(f"the settlement chain did not answer: {type(error).__name__}: {error}") from error

    return ask


class InboxReader:
    """The inbox of the contract at `address`. Blocking; every method raises `ChainError`."""

    def __init__(self, ask: Ask, address: str) -> None:
        self._ask = ask
        self._address = address

    def finalized_block(self) -> int:
        """Number of the last block that the chain will not take back."""
        try:
            return int(self._ask("eth_getBlockByNumber", ["finalized", False])["number"], 16)
        except (TypeError, ValueError, KeyError) as error:
            raise ChainError(f"the node's answer names no finalised block: {error}") from error

    def inbox_entries(self, from_index: int, limit: int, to_block: int) -> list[InboxRecord]:
        """At most `limit` entries from `from_index` on, in order, of blocks up to `to_block`."""
        wanted = range(from_index, from_index + limit)
        try:
            first = int(self._ask("eth_call", [{"to": self._address, "data": _DEPLOYED_BLOCK}, "latest"]), 16)
            if to_block < first:
                return []
            filters = {
                "address": self._address, "fromBlock": hex(first), "toBlock": hex(to_block),
                "topics": [_TOPIC, [f"0x{index:064x}" for index in wanted]],
            }  # fmt: skip
            entries = sorted(map(_decode, self._ask("eth_getLogs", [filters])), key=lambda entry: entry.index)
        except (TypeError, ValueError, KeyError, IndexError) as error:
            raise ChainError(f"the node's answer about the inbox makes no sense: {error}") from error
        if [entry.index for entry in entries] != list(wanted[: len(entries)]):
            raise ChainError("the node's answer has a gap in the inbox: ask again, or ask another node")
        return entries


def _decode(log: dict[str, Any]) -> InboxRecord:
    """Three indexed fields are topics, the others words of the data, in the event's order."""
    _, index, beneficiary, sender = (bytes.fromhex(topic.removeprefix("0x")) for topic in log["topics"])
    data = bytes.fromhex(log["data"].removeprefix("0x"))
    if len(data) != _DATA_BYTES:
        raise ValueError(f"an entry's data has {len(data)} bytes instead of {_DATA_BYTES}")
    kind, token, subaccount, amount, payload, time_s, entry_hash = (
        data[at : at + 32] for at in range(0, _DATA_BYTES, 32)
    )
    return InboxRecord(
        _number(index), _number(kind), token[12:], beneficiary[12:], _number(subaccount), sender[12:], _number(amount),
        payload, _number(time_s), entry_hash, int(log["blockNumber"], 16),
    )  # fmt: skip


def _number(word: bytes) -> int:
    return int.from_bytes(word, "big")
