"""The exchange of the worked session: its markets, its four validators, and one call per block.

Everything is fixed: keys come from fixed seeds, times from the script, prices from the script. Reports are signed with
network keys, each block's header with the keys of a quorum, as on a network; traders' signatures are left out, because
the engine takes the recovered signer as given.
"""

from dataclasses import dataclass
from datetime import UTC, datetime

import numpy as np

from consensus.crypto import derive_public_key, derive_secret, make_certificate, sign
from consensus.messages import FINALIZE, ZERO_HASH, Certificate, Commitment, Header, Vote, compute_domain, vote_digest
from engine.apply import BatchInput, BlockInput, BlockResult, execute
from engine.commands import Action, Command
from engine.intake import decode_batch
from engine.params import ExchangeParams, MarketParams
from engine.payload import KIND_DEPOSIT, InboxEntry, Payload, PriceReport, keccak
from engine.results import Code
from engine.state import EngineState, genesis
from net.identity import NetworkSigner

USD, E8 = 10**6, 10**8
DAY_MS = 86_400_000
START_MS = 1_788_508_800_000  # Friday, 4 September 2026, 08:00 UTC
NEAR_MS, FAR_MS = START_MS + 7 * DAY_MS, START_MS + 35 * DAY_MS
EXPIRIES_MS = (NEAR_MS, FAR_MS)
VALIDATORS, QUORUM = 4, 3
FEED_OFFSET = 1 << 32
# How far each validator's sources lie from the script's price, in bps: the lower median is the script's price.
BIASES_BPS = (0, -2, 3, 1)
CHAIN_ID, CONTRACT, TOKEN = 31337, bytes([0x22]) * 20, bytes([0x11]) * 20
MAKER, SELLER, HEDGER, FUND, BASIS_DESK = range(64, 69)
NAMES = {MAKER: "maker", SELLER: "seller", HEDGER: "hedger", FUND: "fund", BASIS_DESK: "basis desk", 1: "insurance"}
FOREVER_MS = 1 << 60


def format_time(time_ms: int) -> str:
    """UTC day and time of a block."""
    return datetime.fromtimestamp(time_ms // 1000, UTC).strftime("%d %b %H:%M:%S")


def make_market(symbol: str, kind: str, expiry_ms: int = 0, strike_usd: int = 0) -> MarketParams:
    """A market on BTC; options in lots of 0.01, the others in lots of 0.001."""
    is_option = kind in ("call", "put")
    return MarketParams(
        symbol=symbol, kind=kind, expiry_ms=expiry_ms, strike=str(strike_usd),
        tick_size="1" if is_option else "0.1", lot_size="0.01" if is_option else "0.001",
        quote_per_tick_lot=10_000 if is_option else 100,
        initial_margin_bps=1_500 if is_option else 500, maintenance_margin_bps=900 if is_option else 250,
        maker_fee_bps=2, taker_fee_bps=3, price_band_bps=400, size_lots_max=20_000, position_lots_max=100_000,
        oracle_step_bps_max=500, oracle_stale_ms=15_000, liquidation_fee_bps=50, reference_move_bps=20,
    )  # fmt: skip


def make_params() -> ExchangeParams:
    """The perpetual, a future of the far expiry, four options of each expiry.

    Gaps of 30 days do not halt this exchange, so that the script may leave out the quiet days.
    """
    near, far = (
        [
            make_market(f"BTC-{day}-{strike_usd // 1000}{kind[0].upper()}", kind, expiry_ms, strike_usd)
            for strike_usd, kind in zip(strikes_usd, ("put", "put", "call", "call"))
        ]
        for day, expiry_ms, strikes_usd in (
            ("11SEP", NEAR_MS, (85_000, 95_000, 105_000, 115_000)),
            ("09OCT", FAR_MS, (80_000, 90_000, 110_000, 120_000)),
        )
    )
    perpetual, future = make_market("BTC-PERPETUAL", "perpetual"), make_market("BTC-09OCT", "future", FAR_MS)
    return ExchangeParams(
        (perpetual, *near, future, *far), TOKEN, VALIDATORS, CHAIN_ID, CONTRACT, accounts_max=256,
        account_orders_max=64, book_orders_max=256, markets_max=16, orders_max=1_024, positions_max=1_024,
        triggers_max=64, offers_max=64, sessions_max=64, blocks_max=1_024, halt_gap_ms=30 * DAY_MS,
    )  # fmt: skip


PERPETUAL, NEAR_85P, NEAR_95P, NEAR_105C, NEAR_115C, FUTURE, FAR_80P, FAR_90P, FAR_110C, FAR_120C = range(10)


@dataclass(frozen=True, slots=True)
class Surface:
    """Raw SVI in 1e-8: total variance `a + b (rho (k - m) + sqrt((k - m)^2 + sigma^2))`."""

    a_e8: int
    b_e8: int
    rho_e8: int
    m_e8: int
    sigma_e8: int

    def scaled(self, factor_ppm: int) -> "Surface":
        """All variances multiplied."""
        b_e8 = max(self.b_e8 * factor_ppm // 10**6, 1)
        return Surface(self.a_e8 * factor_ppm // 10**6, b_e8, self.rho_e8, self.m_e8, self.sigma_e8)


CALM = (
    Surface(280_000, 2_000_000, -30_000_000, 0, 10_000_000),
    Surface(1_400_000, 4_000_000, -30_000_000, 0, 20_000_000),
)


@dataclass(frozen=True, slots=True)
class Prices:
    """What validators see: index, then forward and surface of each expiry."""

    index_e8: int
    forwards_e8: tuple[int, int]
    surfaces: tuple[Surface, Surface]

    def feeds(self, bias_bps: int) -> tuple[int, ...]:
        """The numbers of one report, its prices off by `bias_bps`."""
        feeds = [self.index_e8 + self.index_e8 * bias_bps // 10_000]
        for forward_e8, surface in zip(self.forwards_e8, self.surfaces):
            feeds.append(forward_e8 + forward_e8 * bias_bps // 10_000)
            feeds += (surface.a_e8 + FEED_OFFSET, surface.b_e8, surface.rho_e8 + FEED_OFFSET)
            feeds += (surface.m_e8 + FEED_OFFSET, surface.sigma_e8)
        return tuple(feeds)


def make_prices(index_usd: int, variances_ppm: tuple[int, int]) -> Prices:
    """Prices with forwards 0.1 % and 0.5 % above the index and the calm surfaces' variances multiplied."""
    index_e8 = index_usd * E8
    forwards_e8 = (index_e8 * 1_001 // 1_000, index_e8 * 1_005 // 1_000)
    near, far = (surface.scaled(factor_ppm) for surface, factor_ppm in zip(CALM, variances_ppm))
    return Prices(index_e8, forwards_e8, (near, far))


@dataclass(frozen=True, slots=True)
class Sent:
    """An action and the account that asks for it."""

    account: int
    action: Action


@dataclass(frozen=True, slots=True)
class Sealed:
    """One block with everything that can be said about it."""

    parent: EngineState
    state: EngineState
    result: BlockResult
    reports: tuple[PriceReport, ...]
    header: Header
    certificate: Certificate


def owner_of(account: int) -> bytes:
    """The address of a user account of the session; deposits to 0x…02 go to insurance."""
    return bytes([0xA0, account]) * 10


class Exchange:
    """Four validators' exchange as one object; `seal` adds a block."""

    def __init__(self) -> None:
        self.params = make_params()
        self.state = genesis(self.params, START_MS - 1_000)
        self.domain = compute_domain(CHAIN_ID, CONTRACT)
        self.signers = [NetworkSigner(bytes([0x51 + number]) * 32, self.domain) for number in range(VALIDATORS)]
        self._secrets = [derive_secret(bytes([0x71 + number]) * 32) for number in range(VALIDATORS)]
        self.keys = [derive_public_key(secret) for secret in self._secrets]
        self._parent_hash, self._nonce, self._inbox = ZERO_HASH, 0, 0

    def seal(
        self,
        time_ms: int,
        prices: Prices,
        sent: tuple[Sent, ...] = (),
        deposits: tuple[tuple[bytes, int], ...] = (),
    ) -> Sealed:
        """Execute one block; every action must be accepted. `deposits`: owner and quote."""
        parent = self.state
        reports = self._report(time_ms, prices)
        inbox = tuple(
            InboxEntry(self._inbox + at, KIND_DEPOSIT, TOKEN, owner, 0, owner, quote, bytes(32), time_ms // 1000)
            for at, (owner, quote) in enumerate(deposits)
        )
        self._inbox += len(inbox)
        batches = self._gather(sent)
        block = BlockInput(parent.height + 1, time_ms, self._parent_hash, reports, inbox, 0, batches)
        self.state, result = execute(parent, block)
        refused = [Code(int(code)).name for code in result.receipts["code"] if code]
        if refused:
            raise ValueError(f"block at {format_time(time_ms)}: {refused}")
        payload = Payload((), reports, inbox, 0).encode()
        header, certificate = self._certify(time_ms, payload, result)
        return Sealed(parent, self.state, result, reports, header, certificate)

    def _report(self, time_ms: int, prices: Prices) -> tuple[PriceReport, ...]:
        return tuple(
            signer.sign_price_report(number, time_ms, prices.feeds(bias_bps))
            for number, (signer, bias_bps) in enumerate(zip(self.signers, BIASES_BPS))
        )

    def _gather(self, sent: tuple[Sent, ...]) -> tuple[BatchInput, ...]:
        if not sent:
            return ()
        commands = []
        for item in sent:
            self._nonce += 1
            commands.append(Command(owner_of(item.account), self._nonce, FOREVER_MS, (item.action,)).encode())
        messages, actions = decode_batch(b"".join(commands))
        sequence = int(self.state.batch_sequences[0]) + 1
        return (BatchInput(0, sequence, messages, actions, np.ascontiguousarray(messages["owner"])),)

    def _certify(self, time_ms: int, payload: bytes, result: BlockResult) -> tuple[Header, Certificate]:
        """The block's header and the finality certificate of three of the four validators."""
        height = self.state.height
        header = Header(
            epoch=0, view=height, height=height, parent_hash=self._parent_hash, parent_view=height - 1,
            proposer=height % VALIDATORS, timestamp_ms=time_ms, payload_root=keccak(payload),
            next_committee_hash=ZERO_HASH, commitment=Commitment(*result.commitment).encode(),
        )  # fmt: skip
        self._parent_hash = header.hash()
        digest = vote_digest(self.domain, FINALIZE, 0, height, self._parent_hash)
        votes = [
            Vote(FINALIZE, 0, height, self._parent_hash, number, sign(self._secrets[number], digest))
            for number in range(VALIDATORS)
            if number != (height + 1) % VALIDATORS
        ]
        certificate, _ = make_certificate(votes, self.keys, digest, 0, VALIDATORS)
        if certificate is None:
            raise ValueError("the votes give no certificate")
        return header, certificate
