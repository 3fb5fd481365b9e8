"""The chain's values as Ethereum's JSON."""

from typing import Any

from eth.vm.forks.prague.blocks import PragueBlockHeader
from eth_utils import to_checksum_address

from contracts.devchain.precompiles import FastVM
from contracts.devchain.store import LogRow, TransactionRow


def _hex(data: bytes) -> str:
    return "0x" + data.hex()


def _word(value: int, length: int = 32) -> str:
    return "0x" + value.to_bytes(length, "big").hex()


# Types are ignored where py-evm declares fields optional that every Prague header has.
def render_block(header: PragueBlockHeader, rows: list[TransactionRow], full: bool) -> dict[str, Any]:
    return {
        "number": hex(header.block_number),
        "hash": _hex(header.hash),
        "parentHash": _hex(header.parent_hash),
        "sha3Uncles": _hex(header.uncles_hash),
        "miner": to_checksum_address(header.coinbase),
        "stateRoot": _hex(header.state_root),
        "transactionsRoot": _hex(header.transaction_root),
        "receiptsRoot": _hex(header.receipt_root),
        "logsBloom": _word(header.bloom, 256),
        "difficulty": "0x0",
        "totalDifficulty": "0x0",
        "gasLimit": hex(header.gas_limit),
        "gasUsed": hex(header.gas_used),
        "timestamp": hex(header.timestamp),
        "extraData": _hex(header.extra_data),
        "mixHash": _hex(header.mix_hash),
        "nonce": _hex(header.nonce),
        "baseFeePerGas": hex(header.base_fee_per_gas),  # type: ignore[arg-type]
        "withdrawalsRoot": _hex(header.withdrawals_root),  # type: ignore[arg-type]
        "blobGasUsed": hex(header.blob_gas_used),
        "excessBlobGas": hex(header.excess_blob_gas),
        "parentBeaconBlockRoot": _hex(header.parent_beacon_block_root),  # type: ignore[arg-type]
        "requestsHash": _hex(header.requests_hash),
        "size": "0x0",
        "uncles": [],
        "withdrawals": [],
        "transactions": [render_transaction(row, header) if full else _hex(row.hash) for row in rows],
    }


def render_transaction(row: TransactionRow, header: PragueBlockHeader) -> dict[str, Any]:
    transaction = FastVM.get_transaction_builder().decode(row.raw)
    type_id = transaction.type_id or 0
    fields = {
        "hash": _hex(row.hash),
        "type": hex(type_id),
        "blockHash": _hex(header.hash),
        "blockNumber": hex(row.block),
        "transactionIndex": "0x0",
        "from": to_checksum_address(row.sender),
        "to": to_checksum_address(transaction.to) if transaction.to else None,
        "nonce": hex(transaction.nonce),
        "gas": hex(transaction.gas),
        "gasPrice": hex(row.price_wei),
        "value": hex(transaction.value),
        "input": _hex(transaction.data),
        "chainId": hex(transaction.chain_id) if transaction.chain_id is not None else None,
        "v": hex(transaction.y_parity),
        "r": hex(transaction.r),
        "s": hex(transaction.s),
    }
    if type_id >= 2:
        fields["maxFeePerGas"] = hex(transaction.max_fee_per_gas)
        fields["maxPriorityFeePerGas"] = hex(transaction.max_priority_fee_per_gas)
    return fields


def render_log(row: LogRow, header: PragueBlockHeader) -> dict[str, Any]:
    return {
        "address": to_checksum_address(row.address),
        "topics": [_hex(topic) for topic in row.topics],
        "data": _hex(row.data),
        "blockNumber": hex(row.block),
        "blockHash": _hex(header.hash),
        "transactionHash": _hex(row.tx),
        "transactionIndex": "0x0",
        "logIndex": hex(row.position),
        "removed": False,
    }


def render_receipt(row: TransactionRow, header: PragueBlockHeader, logs: list[LogRow]) -> dict[str, Any]:
    transaction = FastVM.get_transaction_builder().decode(row.raw)
    return {
        "transactionHash": _hex(row.hash),
        "transactionIndex": "0x0",
        "blockHash": _hex(header.hash),
        "blockNumber": hex(row.block),
        "from": to_checksum_address(row.sender),
        "to": to_checksum_address(transaction.to) if transaction.to else None,
        "contractAddress": to_checksum_address(row.created) if row.created else None,
        "cumulativeGasUsed": hex(row.gas_used),
        "gasUsed": hex(row.gas_used),
        "effectiveGasPrice": hex(row.price_wei),
        "logs": [render_log(log, header) for log in logs],
        "logsBloom": _word(header.bloom, 256),
        "status": hex(row.status),
        "type": hex(transaction.type_id or 0),
    }
