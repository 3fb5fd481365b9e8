"""The development chain itself: executes transactions on py-evm, one block for each, and answers questions."""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import rlp
from eth.abc import BlockHeaderAPI, ComputationAPI, SignedTransactionAPI
from eth.consensus import ConsensusContext
from eth.constants import BLANK_ROOT_HASH, ZERO_ADDRESS
from eth.db.chain import ChainDB
from eth.db.trie import make_trie_root_and_nodes
from eth.exceptions import Revert, VMError
from eth.vm.chain_context import ChainContext
from eth.vm.forks.prague.blocks import PragueBlockHeader
from eth.vm.spoof import SpoofTransaction
from eth_account import Account
from eth_typing import Address, BlockNumber, Hash32
from eth_utils import ValidationError, to_canonical_address

from contracts.devchain.precompiles import FastVM
from contracts.devchain.store import LogRow, Store, TransactionRow

# Where a type is ignored below: py-evm declares fields optional that every Prague header has, declares that a copy of a
# header is of another class, and asks for a signed transaction where it takes a spoofed one.
MNEMONIC = "test test test test test test test test test test test junk"
FUNDED_ACCOUNTS = 47
FUNDS_WEI = 10_000 * 10**18
GAS_LIMIT = 36_000_000
FIRST_BASE_FEE_WEI = 10**9
_BASE_GAS = 21_000
_FLOOR_GAS_PER_TOKEN = 10  # EIP-7623; a zero byte is one token, any other four
_BLOCK_HASHES_REACH = 256


class TransactionRefused(Exception):
    """The transaction cannot enter a block; the message says why."""


class Reverted(Exception):
    """A simulated call failed. `data` is what the contract returned with the failure, empty for other errors."""

    def __init__(self, message: str, data: bytes) -> None:
        super().__init__(message)
        self.data = data


@dataclass(frozen=True, slots=True)
class Call:
    """A simulated transaction."""

    sender: bytes = ZERO_ADDRESS
    to: bytes = b""
    data: bytes = b""
    value_wei: int = 0
    gas: int = GAS_LIMIT


@cache
def funded_key(number: int) -> bytes:
    """Private key of funded account `number`, the same as anvil's and hardhat's. Deriving one takes 10 ms."""
    Account.enable_unaudited_hdwallet_features()
    return bytes(Account.from_mnemonic(MNEMONIC, account_path=f"m/44'/60'/0'/0/{number}").key)


class Chain:
    """All methods are safe to call from several threads."""

    def __init__(
        self, folder: Path | None = None, chain_id: int = 31337, now_s: Callable[[], float] = time.time
    ) -> None:
        """Continue the chain in `folder` or start one; None keeps it in memory. Raises `ValueError` on a wrong id.
        `now_s`: the clock by which blocks are stamped.
        """
        if folder is not None:
            folder.mkdir(parents=True, exist_ok=True)
        self._lock = threading.RLock()
        self._clock = now_s
        self._store = Store(None if folder is None else folder / "chain.sqlite")
        self._chain_db = ChainDB(self._store.nodes)
        self.chain_id = chain_id
        head_number = self._store.head_number()
        if head_number is None:
            self._start()
            head_number = 0
        elif self._store.get_meta("chain_id") != chain_id:
            raise ValueError(f"{folder} holds chain id {self._store.get_meta('chain_id')}, not {chain_id}")
        self._clock_offset_s = self._store.get_meta("clock_offset_s") or 0
        self._head = self._require_header(head_number)

    def close(self) -> None:
        with self._lock:
            self._store.close()

    # -------------------------------------------------------- blocks

    @property
    def head(self) -> PragueBlockHeader:
        return self._head

    def header(self, number: int) -> PragueBlockHeader | None:
        """None for a block that is not there."""
        with self._lock:
            return self._header(number)

    def require_header(self, number: int) -> PragueBlockHeader:
        """Raises `ValueError` for a block that is not there."""
        with self._lock:
            return self._require_header(number)

    def block_number(self, block_hash: bytes) -> int | None:
        with self._lock:
            return self._store.block_number(block_hash)

    def transactions_of(self, number: int) -> list[TransactionRow]:
        with self._lock:
            return self._store.transactions_of(number)

    def transaction(self, tx_hash: bytes) -> TransactionRow | None:
        with self._lock:
            return self._store.get_transaction(tx_hash)

    def find_logs(
        self, first: int, last: int, addresses: list[bytes], topics: list[list[bytes]], limit: int
    ) -> list[LogRow]:
        with self._lock:
            return self._store.find_logs(first, last, addresses, topics, limit)

    def mine(self, if_idle_for_s: float = 0) -> None:
        """Add an empty block, unless the head is younger than `if_idle_for_s`."""
        with self._lock:
            if self._now_s() - self._head.timestamp >= if_idle_for_s:
                header = self._next_header()
                with self._store.transaction():
                    self._store.put_block(header.block_number, header.hash, rlp.encode(header))
                self._head = header

    def shift_clock(self, by_s: int) -> int:
        """Let the time of later blocks jump ahead; returns the whole shift so far."""
        with self._lock:
            self._clock_offset_s += by_s
            self._store.set_meta("clock_offset_s", self._clock_offset_s)
            return self._clock_offset_s

    def reset_clock(self) -> None:
        """Take all shifts back."""
        self.shift_clock(-self._clock_offset_s)

    def rewind(self, number: int) -> None:
        """Forget the blocks above `number`, as a reorganisation does."""
        with self._lock:
            header = self._require_header(number)
            with self._store.transaction():
                self._store.drop_blocks_above(number)
            self._head = header

    # -------------------------------------------------------- transactions

    def send(self, raw: bytes) -> bytes:
        """Execute a signed transaction in a block of its own; returns its hash. Raises `TransactionRefused`."""
        with self._lock:
            try:
                transaction = FastVM.get_transaction_builder().decode(raw)
                self._check_signature(transaction)
            except Exception as error:  # the decoder raises many kinds on hostile bytes; all mean the same here
                raise TransactionRefused(f"not a valid signed transaction: {error}") from error
            if self._store.get_transaction(transaction.hash) is not None:
                raise TransactionRefused("already known")
            header = self._next_header()
            vm = self._vm(header)
            self._check_nonce(vm, transaction)
            try:
                vm.validate_transaction_against_header(header, transaction)
                with self._store.transaction():
                    self._head = self._execute(vm, header, transaction, raw)
            except ValidationError as error:
                raise TransactionRefused(str(error)) from error
            return transaction.hash

    def _check_signature(self, transaction: SignedTransactionAPI) -> None:
        transaction.check_signature_validity()
        if transaction.chain_id not in (None, self.chain_id):
            raise ValidationError(f"chain id is {transaction.chain_id}, not {self.chain_id}")

    def _check_nonce(self, vm: FastVM, transaction: SignedTransactionAPI) -> None:
        expected = vm.state.get_nonce(transaction.sender)
        if transaction.nonce != expected:
            relation = "low" if transaction.nonce < expected else "high"
            raise TransactionRefused(f"nonce too {relation}: next nonce {expected}, tx nonce {transaction.nonce}")

    def _execute(
        self, vm: FastVM, header: PragueBlockHeader, transaction: SignedTransactionAPI, raw: bytes
    ) -> PragueBlockHeader:
        receipt, computation = vm.apply_transaction(header, transaction)
        vm.state.persist()
        header = vm.add_receipt_to_header(header, receipt).copy(  # type: ignore[assignment]
            state_root=vm.state.state_root,
            transaction_root=make_trie_root_and_nodes((transaction,))[0],
            receipt_root=make_trie_root_and_nodes((receipt,))[0],
        )
        number = header.block_number
        price_wei = min(transaction.max_fee_per_gas, header.base_fee_per_gas + transaction.max_priority_fee_per_gas)  # type: ignore[operator]
        created = computation.msg.storage_address if computation.msg.is_create else None
        self._store.put_block(number, header.hash, rlp.encode(header))
        self._store.put_transaction(
            TransactionRow(
                transaction.hash, number, raw, transaction.sender, created, int(computation.is_success),
                receipt.gas_used, price_wei,
            )
        )  # fmt: skip
        for position, entry in enumerate(receipt.logs):
            topics = tuple(topic.to_bytes(32, "big") for topic in entry.topics)
            self._store.put_log(LogRow(number, position, transaction.hash, entry.address, topics, entry.data))
        return header

    # -------------------------------------------------------- questions about state

    def call(self, call: Call, number: int) -> bytes:
        """What `call` returns on the state after block `number`. Raises `Reverted`."""
        with self._lock:
            return self._simulate(call, self._require_header(number)).output

    def estimate_gas(self, call: Call) -> int:
        """A gas limit with which `call` succeeds in the next block. Raises `Reverted`."""
        with self._lock:
            computation = self._simulate(call, self._next_header())
        used = call.gas - computation.get_gas_remaining()
        tokens = len(call.data) * 4 - 3 * call.data.count(0)
        # A quarter more: callees get only 63/64 of what is left (EIP-150), and unused gas costs nothing.
        return min(GAS_LIMIT, max(used + used // 4, _BASE_GAS + _FLOOR_GAS_PER_TOKEN * tokens))

    def balance_wei(self, address: bytes, number: int) -> int:
        with self._lock:
            return self._vm(self._require_header(number)).state.get_balance(Address(address))

    def nonce(self, address: bytes, number: int) -> int:
        with self._lock:
            return self._vm(self._require_header(number)).state.get_nonce(Address(address))

    def code(self, address: bytes, number: int) -> bytes:
        with self._lock:
            return self._vm(self._require_header(number)).state.get_code(Address(address))

    def storage_word(self, address: bytes, slot: int, number: int) -> int:
        with self._lock:
            return self._vm(self._require_header(number)).state.get_storage(Address(address), slot)

    def next_base_fee_wei(self) -> int:
        with self._lock:
            return self._next_header().base_fee_per_gas  # type: ignore[return-value]

    # -------------------------------------------------------- inside

    def _start(self) -> None:
        header = PragueBlockHeader(
            difficulty=0, block_number=BlockNumber(0), gas_limit=GAS_LIMIT, timestamp=int(self._clock()),
            nonce=bytes(8), base_fee_per_gas=FIRST_BASE_FEE_WEI, state_root=BLANK_ROOT_HASH,
        )  # fmt: skip
        with self._store.transaction():
            vm = self._vm(header)
            for number in range(FUNDED_ACCOUNTS):
                vm.state.set_balance(to_canonical_address(Account.from_key(funded_key(number)).address), FUNDS_WEI)
            vm.state.persist()
            header = header.copy(state_root=vm.state.state_root)  # type: ignore[assignment]
            self._store.put_block(0, header.hash, rlp.encode(header))
            self._store.set_meta("chain_id", self.chain_id)

    def _now_s(self) -> float:
        return self._clock() + self._clock_offset_s

    def _header(self, number: int) -> PragueBlockHeader | None:
        data = self._store.get_block(number)
        return None if data is None else rlp.decode(data, PragueBlockHeader)

    def _require_header(self, number: int) -> PragueBlockHeader:
        header = self._header(number)
        if header is None:
            raise ValueError(f"there is no block {number}")
        return header

    def _next_header(self) -> PragueBlockHeader:
        # Blocks may share a second: each transaction gets its own block, and time must not run ahead of the clock.
        timestamp_s = max(self._head.timestamp, int(self._now_s()))
        header = FastVM.create_header_from_parent(self._head, timestamp=self._head.timestamp + 1, gas_limit=GAS_LIMIT)
        stamped: PragueBlockHeader = header.copy(timestamp=timestamp_s)
        return stamped

    def _vm(self, header: BlockHeaderAPI) -> FastVM:
        vm = FastVM(header, self._chain_db, ChainContext(self.chain_id), ConsensusContext(self._store.nodes))
        hashes = [Hash32(h) for h in self._store.block_hashes_below(header.block_number, _BLOCK_HASHES_REACH)]
        vm._state = vm.build_state(self._store.nodes, header, vm.chain_context, hashes)
        return vm

    def _simulate(self, call: Call, header: PragueBlockHeader) -> ComputationAPI:
        # On the header itself, without a price for gas. py-evm's own costless state would run a second later than the
        # block that takes the transaction, and estimate as possible what that block refuses.
        vm = self._vm(header.copy(base_fee_per_gas=0))
        unsigned = vm.create_unsigned_transaction(
            nonce=vm.state.get_nonce(Address(call.sender)), gas_price=0, gas=call.gas, to=Address(call.to),
            value=call.value_wei, data=call.data,
        )  # fmt: skip
        try:
            spoofed = SpoofTransaction(unsigned, from_=call.sender)
            computation = vm.state.costless_execute_transaction(spoofed)  # type: ignore[arg-type]
        except (ValidationError, VMError) as error:
            raise Reverted(str(error), b"") from error
        if computation.is_error:
            data = computation.output if isinstance(computation.error, Revert) else b""
            raise Reverted(describe_revert(computation.error, data), data)
        return computation


def describe_revert(error: Exception, data: bytes) -> str:
    """The message development chains give: with the reason where the contract named one."""
    if data[:4] == bytes.fromhex("08c379a0") and len(data) >= 68:
        length = int.from_bytes(data[36:68], "big")
        return f"execution reverted: {data[68 : 68 + length].decode(errors='replace')}"
    return "execution reverted" if isinstance(error, Revert) else f"{type(error).__name__}: {error}"
