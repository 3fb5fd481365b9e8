"""The development chain as its users meet it: a process behind HTTP that others share and that outlives a crash."""

import concurrent.futures
import http.client
import json
import os
import random
import socket
import time
from pathlib import Path

import pytest
from eth.exceptions import VMError
from eth.vm.forks.prague.computation import PRAGUE_PRECOMPILES

from contracts import bls
from contracts.chain_process import ChainProcess
from contracts.deployment import deploy
from contracts.devchain.chain import Chain, TransactionRefused, funded_key
from contracts.devchain.precompiles import FIELD_PRIME, FastComputation
from contracts.devchain.provider import InProcessProvider
from contracts.devchain.rpc import Rpc
from contracts.settlement import ChainError, Settlement

HOLDER = b"\x55" * 20


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def post(port: int, body: bytes) -> dict:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    try:
        connection.request("POST", "/", body, {"Content-Type": "application/json"})
        return json.loads(connection.getresponse().read())
    finally:
        connection.close()


def test_state_survives_a_kill(tmp_path: Path) -> None:
    port = free_port()
    chain = ChainProcess("devchain", port, tmp_path, block_time_s=0.3)
    with chain:
        deployment = deploy(chain.rpc_url, funded_key(0))
        contract = Settlement(chain.rpc_url, deployment.settlement, funded_key(0))
        sent = contract.mint_test_usdc(HOLDER, 5)
        head = contract.latest_block()
        chain.kill()
        with pytest.raises(ChainError):
            contract.latest_block()
        chain.start()
        assert contract.latest_block() >= head
        assert contract.token_balance(HOLDER) == 5
        contract.mint_test_usdc(HOLDER, 6)
        assert contract.token_balance(HOLDER) == 11
        receipt = contract._link.web3.eth.get_transaction_receipt(sent.tx_hash)
        assert receipt["blockNumber"] == sent.block_number
        number = contract.latest_block()
        deadline_s = time.monotonic() + 10
        while contract.latest_block() < number + 2:
            assert time.monotonic() < deadline_s, "no empty blocks come"
            time.sleep(0.05)
        process_id = chain.pid
        assert process_id is not None
        _check_bad_requests(port)
        _check_parallel_senders(chain.rpc_url, deployment.settlement)
        assert chain.pid == process_id
    assert chain.pid is None
    with pytest.raises(ValueError, match="holds chain id 31337"):
        Chain(tmp_path, chain_id=5)


def _check_bad_requests(port: int) -> None:
    for body, code in [
        (b"", -32700),
        (b"\xff{", -32700),
        (b"[" * 100_000, -32700),
        (b"3", -32600),
        (b"[]", -32600),
        (b'{"method": "nothing", "id": 1}', -32601),
        (b'{"method": "eth_call", "params": {}, "id": 1}', -32602),
        (b'{"method": "eth_call", "params": [7], "id": 1}', -32602),
        (b'{"method": "eth_getBlockByNumber", "params": ["0xzz"], "id": 1}', -32602),
        (b'{"method": "eth_getBalance", "params": ["0x00"], "id": 1}', -32602),
        (b'{"method": "eth_getLogs", "params": [{"topics": [null, null, null, null, null]}], "id": 1}', -32602),
        (b'{"method": "eth_sendRawTransaction", "params": ["0x02ff"], "id": 1}', -32000),
        (b'{"method": "evm_increaseTime", "params": [-5], "id": 1}', -32602),
    ]:
        answer = post(port, body)
        assert answer["error"]["code"] == code, body
    batch = post(port, b'[{"method": "eth_chainId", "id": 1}, {"method": "net_version", "id": 2}]')
    assert [entry["result"] for entry in batch] == ["0x7a69", "31337"]


def _check_parallel_senders(url: str, address: str) -> None:
    """Two threads share one account's bindings, others have their own: no nonce is used twice, none is lost."""
    shared = Settlement(url, address, funded_key(1))
    before = shared.token_balance(HOLDER)
    senders = [shared, shared, Settlement(url, address, funded_key(2)), Settlement(url, address, funded_key(3))]
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda sender: [sender.mint_test_usdc(HOLDER, 1) for _ in range(4)], senders))
    assert shared.token_balance(HOLDER) == before + 16


def test_launcher_tells_what_is_wrong(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ValueError, match="unknown chain"):
        ChainProcess("ganache", 1, tmp_path)
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(ChainError, match="npm install"):
        ChainProcess("anvil", free_port(), tmp_path).start()
    with socket.socket() as squatter:
        squatter.bind(("127.0.0.1", 0))
        with pytest.raises(ChainError, match="Address already in use"):
            ChainProcess("devchain", squatter.getsockname()[1], tmp_path).start()
    port = free_port()
    with ChainProcess("devchain", port, tmp_path), pytest.raises(ChainError, match="already answers"):
        ChainProcess("devchain", port, tmp_path / "second").start()


def test_settlement_needs_a_contract() -> None:
    provider = InProcessProvider(Rpc(Chain()))
    with pytest.raises(ChainError, match="no contract"):
        Settlement(provider, "0x" + "12" * 20)


def test_chain_refuses_replayed_and_foreign_transactions() -> None:
    chain = Chain()
    provider = InProcessProvider(Rpc(chain))
    contract = Settlement(provider, deploy(provider, funded_key(0)).settlement, funded_key(0))
    sent = contract.mint_test_usdc(HOLDER, 1)
    row = chain.transaction(sent.tx_hash)
    assert row is not None
    with pytest.raises(TransactionRefused, match="already known"):
        chain.send(row.raw)
    other = Chain(chain_id=7)
    with pytest.raises(TransactionRefused, match="chain id is 31337, not 7"):
        other.send(row.raw)
    with pytest.raises(TransactionRefused, match="nonce too high"):
        Chain().send(row.raw)


def test_clock_and_rewind() -> None:
    chain = Chain()
    rpc = Rpc(chain)
    start_s = chain.head.timestamp
    rpc.answer({"method": "evm_increaseTime", "params": [100], "id": 1})
    rpc.answer({"method": "evm_mine", "params": [], "id": 2})
    assert chain.head.timestamp >= start_s + 100
    assert rpc.answer({"method": "evm_revert", "params": ["0x0"], "id": 3})["result"] is True
    assert chain.head.block_number == 0
    chain.mine(if_idle_for_s=1_000)
    assert chain.head.block_number == 0


class Input:
    """What a precompile sees of a computation."""

    def __init__(self, data: bytes) -> None:
        self.msg = self
        self.data = self.data_as_bytes = data
        self.gas_used = 0
        self.output = b""

    def consume_gas(self, gas: int, reason: str) -> None:
        self.gas_used += gas


def run_precompile(table: dict, number: int, data: bytes) -> tuple[bytes | None, int]:
    computation = Input(data)
    try:
        table[number.to_bytes(20, "big")](computation)
    except VMError:
        return None, 0
    return computation.output, computation.gas_used


def precompile_inputs() -> list[tuple[int, bytes]]:
    rng = random.Random(7)

    def element() -> bytes:
        return rng.randrange(FIELD_PRIME).to_bytes(64, "big")

    def g1() -> bytes:
        return run_precompile(FastComputation._precompiles, 0x10, element())[0] or b""

    def g2() -> bytes:
        return run_precompile(FastComputation._precompiles, 0x11, element() + element())[0] or b""

    p, q, s, infinity = g1(), g1(), g2(), bytes(128)
    minus_p = p[:64] + (FIELD_PRIME - int.from_bytes(p[64:], "big")).to_bytes(64, "big")
    over = (int.from_bytes(p[:64], "big") + FIELD_PRIME).to_bytes(64, "big") + p[64:]
    off_curve = p[:-1] + bytes([p[-1] ^ 1])
    outside_subgroup = bytes(128)[:-1] + b"\x02"  # (0, 2) solves y^2 = x^3 + 4 and has order 3
    inputs = [(0x0B, left + right) for left in (p, infinity) for right in (p, q, minus_p, infinity)]
    inputs += [(0x0B, p + bad) for bad in (over, off_curve, outside_subgroup, q[:-1], os.urandom(128))]
    inputs += [(0x0D, s + g2()), (0x0D, s + s), (0x0D, s + bytes(256)), (0x0D, s + s[128:] + s[:128]), (0x0D, s)]
    inputs += [(0x10, element()), (0x10, FIELD_PRIME.to_bytes(64, "big")), (0x10, bytes(64)), (0x10, b"")]
    inputs += [(0x11, element() + element()), (0x11, element() + FIELD_PRIME.to_bytes(64, "big"))]
    inputs += [(0x0F, p + s + minus_p + s), (0x0F, p + s), (0x0F, infinity + s), (0x0F, b""), (0x0F, p)]
    inputs += [(0x0F, outside_subgroup + s), (0x0F, off_curve + s), (0x0F, over + s)]
    return inputs


def test_fast_precompiles_answer_like_the_slow_ones() -> None:
    for number, data in precompile_inputs():
        fast = run_precompile(FastComputation._precompiles, number, data)
        assert fast == run_precompile(PRAGUE_PRECOMPILES, number, data), (hex(number), data.hex())


def test_points_change_form_without_loss() -> None:
    with pytest.raises(ValueError):
        bls.signature_words(bytes(96))
    with pytest.raises(ValueError, match="128 bytes"):
        bls.compress_key(bytes(127))
