"""How a devnet begins: its markets and constants, a committee of one, and where its first block stands."""

from dataclasses import dataclass

from consensus import crypto
from consensus.messages import Header, compute_domain, keccak
from engine.params import DEFAULT_MARKETS, MarketParams
from engine.state import EngineState, genesis
from net.identity import derive_network_key
from testnet.devnet.wallet import derive_wallets
from testnet.listing import Listing, list_markets
from validator.config import NetworkConfig, ValidatorEntry, address_bytes
from validator.pricefeed import compute_start_ticks
from validator.recovery import make_genesis_header
from validator.roster import Seats, make_founders

CHAIN_ID = 31_337
# No settlement chain is there: names that nobody has on one, only to sign for.
CONTRACT, TOKEN = keccak(b"hansa/devnet/contract")[:20], keccak(b"hansa/devnet/token")[:20]
# Whoever deploys the contracts of a local network lists its markets, too (`testnet.funding`): here the same account.
GOVERNOR_NUMBER = 19
USDC_QUOTE = 1_000_000
TRADER_QUOTE = 1_000_000 * USDC_QUOTE
# The insurance fund is the exchange's account 1, and this is its owner.
INSURANCE_OWNER = (2).to_bytes(20, "big")
INSURANCE_QUOTE = 100_000 * USDC_QUOTE
FIRST_EPOCH = 1


@dataclass(frozen=True, slots=True, eq=False)
class Keys:
    """The secrets of the only member."""

    bls: bytes
    network: bytes

    def seats(self, epoch: int) -> Seats:
        """It, alone, as the committee of an epoch."""
        return make_founders([crypto.derive_public_key(self.bls)], [derive_network_key(self.network)], epoch)


@dataclass(frozen=True, slots=True, eq=False)
class Founding:
    """The network's constants, and header and state on which the next block stands. `seed`: of the only member's keys
    and of the prices; `epoch`: of the blocks that are made here.
    """

    network: NetworkConfig
    seed: int
    epoch: int
    head: Header
    state: EngineState

    @property
    def domain(self) -> bytes:
        return compute_domain(self.network.chain_id, address_bytes(self.network.contract))


def derive_keys(seed: int) -> Keys:
    """The same keys for the same seed: whoever knows it may sign, which is right for a devnet alone."""
    bls, network = (keccak(f"hansa/devnet/{name}/{seed}".encode()) for name in ("bls", "network"))
    return Keys(crypto.derive_secret(bls), network)


def found(seed: int, genesis_time_ms: int, has_options: bool = True) -> Founding:
    """A new network: perpetuals, and futures and options of two expiries around the start prices."""
    member = derive_keys(seed).seats(FIRST_EPOCH).committee.members[0]
    network = NetworkConfig(
        name="hansa-devnet", chain_id=CHAIN_ID, contract="0x" + CONTRACT.hex(), token="0x" + TOKEN.hex(),
        genesis_time_ms=genesis_time_ms,
        validators=(ValidatorEntry("0x" + bytes(20).hex(), member.bls_key.hex(), member.network_key.hex()),),
        markets=choose_markets(genesis_time_ms) if has_options else DEFAULT_MARKETS, validators_max=1,
        account_orders_max=256, governor=derive_wallets(GOVERNOR_NUMBER, 1)[0].address_text,
    )  # fmt: skip
    return begin(network, seed)


def begin(network: NetworkConfig, seed: int) -> Founding:
    """A network of ours at height 0."""
    state = genesis(network.exchange_params(), network.genesis_time_ms)
    return Founding(network, seed, FIRST_EPOCH, make_genesis_header(state, FIRST_EPOCH), state)


def choose_markets(genesis_time_ms: int) -> tuple[MarketParams, ...]:
    """What local networks list (`testnet.listing`), with strikes around the start prices."""
    indexes_e8 = tuple(compute_start_ticks(market) * market.tick_e8 for market in DEFAULT_MARKETS)
    return list_markets(Listing(), genesis_time_ms, indexes_e8)
