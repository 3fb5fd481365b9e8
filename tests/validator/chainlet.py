"""A small real chain for tests of one node's parts: genesis, batches, executed and certified blocks. No network."""

from coincurve import PrivateKey

from consensus import crypto
from consensus.messages import (
    FINALIZE,
    ZERO_HASH,
    Block,
    Certificate,
    Header,
    Vote,
    compute_domain,
    keccak,
    vote_digest,
)
from engine.commands import Command, address_of, compute_domain_separator, recover_signer
from engine.params import DEFAULT_MARKETS, ExchangeParams
from engine.payload import InboxEntry, Payload, PriceReport
from engine.state import EngineState, genesis
from net.identity import NetworkSigner, derive_network_key
from validator.batches import BatchPool, CheckedBatch
from validator.config import NetworkConfig, ValidatorEntry
from validator.executor import Executor, to_commitment
from validator.recovery import make_genesis_header
from validator.roster import make_founders
from validator.sealing import Sealer

CHAIN_ID, CONTRACT, TOKEN = 31337, b"\2" * 20, b"\1" * 20
DOMAIN = compute_domain(CHAIN_ID, CONTRACT)
SEPARATOR = compute_domain_separator(CHAIN_ID, CONTRACT)
MEMBERS = 4
PARAMS = ExchangeParams(DEFAULT_MARKETS, TOKEN, MEMBERS, CHAIN_ID, CONTRACT)
SECRETS = [crypto.derive_secret(bytes([index + 1]) * 32) for index in range(MEMBERS)]
BLS_KEYS = tuple(crypto.derive_public_key(secret) for secret in SECRETS)
SEEDS = [bytes([index + 1]) * 32 for index in range(MEMBERS)]
NETWORK_KEYS = tuple(derive_network_key(seed) for seed in SEEDS)
FOUNDERS = make_founders(BLS_KEYS, NETWORK_KEYS)
TRADERS = [PrivateKey(bytes([index + 101]) * 32) for index in range(3)]
OWNERS = [address_of(trader.public_key) for trader in TRADERS]
GENESIS_STATE = genesis(PARAMS, 1_000)
GENESIS = make_genesis_header(GENESIS_STATE, 1)
MARK_TICKS = 600_000
EXPIRY_MS = 1 << 40
FEEDS_E8 = (MARK_TICKS * 10**7, 300_000 * 10**6)


def describe_network(params: ExchangeParams = PARAMS, genesis_time_ms: int = 1_000) -> NetworkConfig:
    """The genesis.toml of this chain."""
    entries = tuple(
        ValidatorEntry("0x" + bytes(20).hex(), bls.hex(), network.hex()) for bls, network in zip(BLS_KEYS, NETWORK_KEYS)
    )
    return NetworkConfig(
        name="test", chain_id=CHAIN_ID, contract="0x" + CONTRACT.hex(), token="0x" + TOKEN.hex(),
        genesis_time_ms=genesis_time_ms, validators=entries, markets=params.markets, validators_max=MEMBERS,
        governor="0x" + params.governor.hex() if any(params.governor) else "",
    )  # fmt: skip


def sign(trader: int, kind: int, nonce: int, **fields: int) -> Command:
    return Command.of(kind, OWNERS[trader], nonce, EXPIRY_MS, **fields).signed(TRADERS[trader], SEPARATOR)


def seal(author: int, sequence: int, records: list[bytes]) -> CheckedBatch:
    sealer = Sealer(author, NetworkSigner(SEEDS[author], DOMAIN), SEPARATOR, sequence)
    for record in records:
        sealer.add(record, recover_signer(Command.decode(record), SEPARATOR))
    sealed = sealer.seal()
    assert sealed is not None
    return sealed


class Chainlet:
    """Executes and certifies blocks one after the other."""

    def __init__(self, state: EngineState = GENESIS_STATE) -> None:
        self.pool = BatchPool(MEMBERS)
        self.head = make_genesis_header(state, 1)
        self.executor = Executor(state.params, self.pool, self.head.hash(), state)
        self.blocks: list[Block] = []

    def add(
        self, batches: list[CheckedBatch], inbox: tuple[InboxEntry, ...] = (), with_prices: bool = False,
        feeds_e8: tuple[int, ...] = FEEDS_E8, step_ms: int = 100, is_final: bool = True,
    ) -> Block:  # fmt: skip
        """The next block with these batches."""
        time_ms = self.head.timestamp_ms + step_ms
        reports: tuple[PriceReport, ...] = ()
        if with_prices:
            signers = [NetworkSigner(seed, DOMAIN) for seed in SEEDS]
            reports = tuple(signer.sign_price_report(at, time_ms, feeds_e8) for at, signer in enumerate(signers))
        for checked in batches:
            self.pool.add_named(checked)
        refs = tuple((item.batch.author, item.batch.sequence, item.batch_hash) for item in batches)
        payload = Payload(refs, reports, inbox, 1)
        executed = self.executor.run(self.head.hash(), 1, self.head.height + 1, time_ms, payload)
        assert executed is not None and executed.result is not None
        header = Header(
            1, self.head.view + 1, self.head.height + 1, self.head.hash(), self.head.view, 0, time_ms,
            keccak(payload.encode()), ZERO_HASH, to_commitment(executed.result).encode(),
        )  # fmt: skip
        block = Block(header, payload.encode())
        assert self.executor.execute(block) == header.commitment
        if is_final:
            self.executor.finalise(block.hash())
        self.blocks.append(block)
        self.head = header
        return block

    def fund(self) -> Block:
        """A block that credits all traders and sets the prices."""
        entries = tuple(
            InboxEntry(index, 1, TOKEN, owner, 0, owner, 10**10, bytes(32), 0) for index, owner in enumerate(OWNERS)
        )
        return self.add([], entries, with_prices=True)


def certify(block: Block, signers: tuple[int, ...] = (0, 1, 2)) -> Certificate:
    """A real finalisation certificate."""
    digest = vote_digest(DOMAIN, FINALIZE, 1, block.header.view, block.hash())
    votes = [
        Vote(FINALIZE, 1, block.header.view, block.hash(), signer, crypto.sign(SECRETS[signer], digest))
        for signer in signers
    ]
    certificate, _ = crypto.make_certificate(votes, BLS_KEYS, digest, 1, MEMBERS)
    assert certificate is not None
    return certificate
