"""The exchange that a simulated committee runs: the real engine on small tables."""

from dataclasses import dataclass
from functools import lru_cache

from consensus.messages import Block, Header, compute_domain
from engine.apply import BlockInput, BlockResult, execute
from engine.commands import compute_domain_separator
from engine.params import DEFAULT_MARKETS, ExchangeParams, MarketParams
from engine.payload import KIND_DEPOSIT, KIND_WITHDRAW, Batch, InboxEntry, PriceReport
from engine.state import EngineState, genesis
from net.identity import NetworkSigner, verify_price_report
from testnet.sim.clocks import START_MS
from validator.batches import BatchPool, CheckedBatch, check_batch
from validator.executor import Executed, Executor, RunBlock
from validator.recovery import make_genesis_header

CHAIN_ID, CONTRACT, TOKEN = 31337, bytes(20), b"\1" * 20
SEPARATOR = compute_domain_separator(CHAIN_ID, CONTRACT)
EPOCH = 1
EXPIRY_MS = START_MS * 2
PRICE_E8 = (50_000 * 10**8, 3_000 * 10**8)
PRICE_TICKS = (500_000, 300_000)
MEMORY_BLOCKS = 40
ORDERS_MAX = 32  # of an account


@dataclass(frozen=True, slots=True)
class Exchange:
    """What all nodes of a committee share before the first block. The state is never written to."""

    params: ExchangeParams
    state: EngineState
    header: Header
    signers: tuple[NetworkSigner, ...]
    network_keys: tuple[bytes, ...]
    domain: bytes
    separator: bytes


def network_seed(member: int) -> bytes:
    """Of a member's network key, in every run the same."""
    return bytes([1 + member]) * 32


@lru_cache(maxsize=8)
def make_exchange(
    member_count: int,
    markets: tuple[MarketParams, ...] = DEFAULT_MARKETS,
    contract: bytes = CONTRACT,
    token: bytes = TOKEN,
) -> Exchange:
    """`contract` and `token`: where there is a real settlement contract."""
    domain, separator = compute_domain(CHAIN_ID, contract), compute_domain_separator(CHAIN_ID, contract)
    params = ExchangeParams(
        markets, token, member_count, CHAIN_ID, contract, accounts_max=256, account_orders_max=ORDERS_MAX,
        book_orders_max=512, markets_max=len(markets), orders_max=1024, positions_max=1024, triggers_max=64,
        offers_max=64, sessions_max=64, blocks_max=64 * len(markets) // 2,
    )  # fmt: skip
    state = genesis(params, START_MS - 1000)
    signers = tuple(NetworkSigner(network_seed(member), domain) for member in range(member_count))
    return Exchange(
        params, state, make_genesis_header(state, EPOCH), signers, tuple(one.network_key for one in signers), domain,
        separator,
    )  # fmt: skip


def make_entry(index: int, owner: bytes, amount_quote: int, time_s: int) -> InboxEntry:
    """A deposit, or one time in three a forced withdrawal, by the amount."""
    kind = KIND_WITHDRAW if amount_quote % 3 == 2 else KIND_DEPOSIT
    return InboxEntry(index, kind, TOKEN, owner, 0, owner, amount_quote, bytes(32), time_s)


class Shared:
    """Answers that are functions of their questions alone, found once for all nodes of a run. Without memory every
    node finds all of them by itself.
    """

    def __init__(self, exchange: Exchange, has_memory: bool) -> None:
        self._exchange = exchange
        self._has_memory = has_memory
        self._results: dict[tuple[object, ...], tuple[EngineState, BlockResult]] = {}
        self._batches: dict[Batch, CheckedBatch | None] = {}
        self._reports: dict[tuple[PriceReport, bytes], bool] = {}
        self.execution_count = 0

    def run_block(self, parent: EngineState, block: BlockInput) -> tuple[EngineState, BlockResult]:
        if not self._has_memory:
            self.execution_count += 1
            return execute(parent, block)
        batches = tuple(
            (item.author, item.sequence, item.messages.tobytes(), item.actions.tobytes(), item.signers.tobytes())
            for item in block.batches
        )
        key = (parent.state_root, *block[:-1], batches)
        known = self._results.get(key)
        if known is None:
            self.execution_count += 1
            known = self._results[key] = execute(parent, block)
            if len(self._results) > MEMORY_BLOCKS:
                del self._results[next(iter(self._results))]
        return known

    def check_batch(self, batch: Batch) -> CheckedBatch | None:
        if not self._has_memory:
            return self._check_batch(batch)
        if batch not in self._batches:
            self._batches[batch] = self._check_batch(batch)
        return self._batches[batch]

    def learn_batch(self, checked: CheckedBatch) -> None:
        """An honest member sealed it: checking it would find just this."""
        self._batches[checked.batch] = checked

    def learn_report(self, report: PriceReport, key: bytes) -> None:
        """Just signed with this key."""
        self._reports[report, key] = True

    def _check_batch(self, batch: Batch) -> CheckedBatch | None:
        keys = self._exchange.network_keys
        network_key = keys[batch.author] if batch.author < len(keys) else None
        return check_batch(batch, network_key, self._exchange.domain, self._exchange.separator)

    def verify_report(self, report: PriceReport, key: bytes, domain: bytes) -> bool:
        if (report, key) not in self._reports:
            self._reports[report, key] = verify_price_report(report, key, domain)
        return self._reports[report, key]


class Auditor:
    """Executes every final block once more, apart from all nodes; `state` is that of the highest."""

    def __init__(self, exchange: Exchange, run_block: RunBlock) -> None:
        self.pool = BatchPool(exchange.params.validator_count)
        self._executor = Executor(exchange.params, self.pool, exchange.header.hash(), exchange.state, run_block)

    @property
    def state(self) -> EngineState:
        return self._executor.final.state

    @property
    def final(self) -> Executed:
        """The highest block with all that happened in it."""
        return self._executor.final

    def find_batch(self, batch_hash: bytes) -> Batch | None:
        """Of all batches that any node took and no final block has passed."""
        checked = self.pool.get(batch_hash)
        return None if checked is None else checked.batch

    def execute(self, _: Header, block: Block) -> bytes:
        """The commitment, or nothing when the block cannot be executed."""
        commitment = self._executor.execute(block)
        if commitment is None:
            return b""
        self._executor.finalise(block.hash())
        self.pool.drop_through(self.state.batch_sequences.tolist())
        return commitment
