"""Every reason why an operator's joining would fail, found before anything is sent, all at once.

A check asks one question, of the folder, the chain, the own node or the network, and says what to do where the answer
is no. Checks do not stop each other: what one cannot find out is its own failure, with the reason.
"""

import socket
import sqlite3
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import httpx

from contracts.records import ChainError, Refused, ValidatorState
from net.feed.protocol import FEED_SOCKET
from net.feed.sockets import within_reach
from validator.candidate import Candidate, make_candidate
from validator.config import ConfigError, Home, NetworkConfig, NodeConfig, address_bytes, load_network, load_node
from validator.keys import Keys, load_keys
from validator.voting_key import find_voting_key

if TYPE_CHECKING:
    from contracts.registry import Registry
    from contracts.settlement import Settlement

# Approval, registration and advertisement, measured at 0.05, 0.43 and 0.08 million, and room for dearer blocks.
JOIN_GAS = 800_000
CLOCK_SKEW_S_MAX = 2.0
LAG_S_MAX = 30.0
# A checkpoint is on chain a second after its block; who executes that block a moment later follows all the same.
FOLLOW_S_MAX = 3.0
DIAL_TIMEOUT_S = 5.0
EPOCHS_AHEAD_MAX = 10_000
# What every libp2p listener says first, with its length before it.
GREETING = b"\x13/multistream/1.0.0\n"

Answer = tuple[bool, str]
S = TypeVar("S")
T = TypeVar("T")
E = TypeVar("E", bound=Exception)


@dataclass(frozen=True, slots=True)
class Check:
    """`words` say what was found, and where it is not well, what to do."""

    name: str
    is_ok: bool
    words: str


class Applicant:
    """Who wants to join, with which files, and the contracts as its endpoint shows them.

    Keys that cannot be read and a chain that does not answer stop only the checks that need them.
    """

    def __init__(self, home: Home, rpc_url: str | None = None, advertised: str | None = None) -> None:
        """Blocks. Raises `ConfigError` if genesis.toml or config.toml is missing or wrong."""
        self.home = home
        self.network: NetworkConfig = load_network(home.genesis)
        self.node: NodeConfig = load_node(home.config)
        self.advertised = advertised or f"{self.node.listen_host}:{self.node.listen_port}"
        has_voting_key = home.signer_socket(self.node) is None
        self._keys: Keys | ConfigError = _attempt(
            lambda: load_keys(home.keys, has_voting_key=has_voting_key), ConfigError
        )
        self._contracts: tuple[Settlement, Registry] | ChainError = _attempt(lambda: self._open(rpc_url), ChainError)

    def _open(self, rpc_url: str | None) -> "tuple[Settlement, Registry]":
        from contracts.registry import Registry
        from contracts.settlement import Settlement

        if rpc_url is None and not self.node.rpc_urls:
            raise ChainError("config.toml names no rpc_urls: add one, or pass --rpc")
        url = rpc_url or self.node.rpc_urls[0]
        secret = None if isinstance(self._keys, ConfigError) else self._keys.operator
        settlement = Settlement(url, self.network.contract, secret)
        return settlement, Registry(url, settlement.registry(), secret)

    @property
    def is_running(self) -> bool:
        """Whether a node has this folder: it tells its news on a socket there."""
        return is_listening(self.home.path / FEED_SOCKET)

    @property
    def candidate(self) -> Candidate:
        """Raises `ConfigError`."""
        keys = _require(self._keys)
        return make_candidate(keys, find_voting_key(self.home, self.network, self.node, keys))

    @property
    def settlement(self) -> "Settlement":
        """Raises `ChainError`."""
        return _require(self._contracts)[0]

    @property
    def registry(self) -> "Registry":
        """Raises `ChainError`."""
        return _require(self._contracts)[1]


def _attempt(action: Callable[[], T], failure: type[E]) -> T | E:
    try:
        return action()
    except failure as error:
        return error


def _require(found: T | Exception) -> T:
    if isinstance(found, Exception):
        raise found
    return found


def run_checks(applicant: Applicant) -> Iterator[Check]:
    """In the order in which an operator would set things up."""
    return ask_all(applicant, CHECKS)


def ask_all(subject: S, questions: Sequence[tuple[str, Callable[[S], Answer]]]) -> Iterator[Check]:
    """One check a question."""
    for name, ask in questions:
        try:
            is_ok, words = ask(subject)
        except ConfigError as error:
            is_ok, words = False, str(error)
        except (ChainError, Refused, OSError, ValueError, KeyError, httpx.HTTPError, sqlite3.Error) as error:
            is_ok, words = False, f"could not be found out: {error}"
        yield Check(name, is_ok, words)


def is_listening(path: Path) -> bool:
    """Whether somebody has a Unix socket there."""
    try:
        with socket.socket(socket.AF_UNIX) as link, within_reach(path) as reached:
            link.connect(str(reached))
    except OSError:
        return False
    return True


def check_chain(applicant: Applicant) -> Answer:
    found, wanted = applicant.settlement.chain_id, applicant.network.chain_id
    return found == wanted, f"chain {found}" + ("" if found == wanted else f", but genesis.toml names {wanted}")


def check_contracts(applicant: Applicant) -> Answer:
    """They name each other, and genesis.toml names them."""
    network, registry, settlement = applicant.network, applicant.registry, applicant.settlement
    pairs = {
        "the registry's settlement contract": (registry.settlement(), settlement.address_bytes),
        "the token": (settlement.token_address, address_bytes(network.token)),
    }
    if network.court:
        pairs["the court"] = (registry.court(), address_bytes(network.court))
    wrong = [name for name, (found, wanted) in pairs.items() if found != wanted]
    if wrong:
        return False, f"{', '.join(wrong)} on chain and in genesis.toml differ: get the network's own genesis.toml"
    return True, f"settlement {settlement.address}, registry {registry.address}"


def check_network_lives(applicant: Applicant) -> Answer:
    if applicant.settlement.is_frozen():
        return False, "the settlement contract is frozen: this network has ended"
    epoch = applicant.settlement.epoch()
    return True, f"epoch {epoch}" if epoch else "not active yet: its first committee is being founded"


def check_engine(applicant: Applicant) -> Answer:
    from engine.limits import ENGINE_VERSION

    active = applicant.settlement.engine_version()
    if active != ENGINE_VERSION:
        return False, f"the network runs engine {active}, this software is engine {ENGINE_VERSION}: install the former"
    return True, f"engine {active} here and there"


def check_gas(applicant: Applicant) -> Answer:
    balance_wei = applicant.registry.balance_wei(applicant.candidate.operator)
    price_wei = applicant.registry.gas_price_wei()
    needed_wei = JOIN_GAS * price_wei
    words = f"the operator has {balance_wei / 10**18:.6f} ether; joining may take {needed_wei / 10**18:.6f}"
    if balance_wei < needed_wei:
        return False, f"{words}: send ether to {applicant.candidate.operator_text}"
    return True, words


def check_stake(applicant: Applicant) -> Answer:
    registry, state = applicant.registry, _state(applicant)
    if state in (ValidatorState.WAITING, ValidatorState.SERVING, ValidatorState.LEAVING, ValidatorState.UNBONDING):
        return True, "the stake is in the registry"
    needed, held = registry.stake_amount(), applicant.settlement.token_balance(applicant.candidate.operator)
    words = f"the stake is {format_units(needed)}, the operator has {format_units(held)}"
    if held < needed:
        return False, f"{words}: send the rest to {applicant.candidate.operator_text}"
    if registry.stake_allowance(applicant.candidate.operator) < needed:
        return True, f"{words}; joining approves it first, in a transaction of its own"
    return True, f"{words} and has approved it"


def check_keys(applicant: Applicant) -> Answer:
    registry, candidate = applicant.registry, applicant.candidate
    number = registry.number_of(candidate.operator)
    if number is not None:
        known = registry.validator(number)
        if (known.bls_key, known.network_key) != (candidate.bls_key, candidate.network_key):
            return False, f"the operator is number {number} with other keys: restore those, or take another operator"
        if _state(applicant) == ValidatorState.JAILED:
            return False, f"number {number} was convicted and is jailed for ever: take another operator and new keys"
        return True, f"the operator is registered as number {number} with these keys"
    _, is_key, is_network_key = registry.is_taken(candidate.operator, candidate.bls_key, candidate.network_key)
    taken = [name for name, is_taken in (("keys/bls.key", is_key), ("keys/network.key", is_network_key)) if is_taken]
    if taken:
        return False, f"another operator has registered {' and '.join(taken)}: make new ones"
    return True, "operator, voting key and network key are new to the registry"


def check_possession(applicant: Applicant) -> Answer:
    from consensus import crypto

    registry, candidate = applicant.registry, applicant.candidate
    digest = candidate.possession_digest(registry)
    if digest != registry.possession_digest(candidate.operator, candidate.network_key, candidate.bls_key):
        return False, "the registry hashes the proof of possession differently: it is another version of the contract"
    if not crypto.verify_possession(candidate.bls_key, digest, candidate.prove_possession(registry)):
        return False, "the proof of possession does not verify: keys/bls.key is damaged"
    return True, "the voting key proves its possession to this registry"


def check_number(applicant: Applicant) -> Answer:
    """The exchange names the node by it, in batches and price reports, so it must know its own."""
    registry = applicant.registry
    count, limit, known = registry.registration_count(), registry.registrations_max(), _number(applicant)
    if limit > applicant.network.validators_max:
        room = applicant.network.validators_max
        return False, f"the registry gives {limit} numbers, genesis.toml has room for {room}: get the network's own"
    if known is None and count >= limit:
        return False, f"all {limit} numbers are given: nobody new can register here"
    number = count if known is None else known
    if applicant.node.index != number:
        what = "would be" if known is None else "is"
        return False, f"the registration's number {what} {number}: write index = {number} into config.toml and restart"
    return True, f"number {number}, as in config.toml"


def check_node(applicant: Applicant) -> Answer:
    """The own node follows the chain: a member that does not would be absent from its first view on."""
    on_chain = applicant.settlement.last().height
    give_up_at_s = time.monotonic() + FOLLOW_S_MAX
    while True:
        status = ask_node(applicant.node)
        if status["is_halted"]:
            return False, "the node has halted: see its log"
        if not status["is_syncing"] and status["height"] >= on_chain:
            return True, f"the node follows, at height {status['height']}"
        if time.monotonic() > give_up_at_s:
            return False, f"the node is at height {status['height']}, the contract at {on_chain}: let it catch up"
        time.sleep(0.25)


def check_clock(applicant: Applicant) -> Answer:
    """No block is from the future, neither the settlement chain's nor the exchange's; and the newest is young."""
    now_s = time.time()
    ahead_s = applicant.registry.block_time_s() - now_s
    final_s = ask_node(applicant.node)["time_ms"] / 1_000
    ahead_s = max(ahead_s, final_s - now_s)
    if ahead_s > CLOCK_SKEW_S_MAX:
        return False, f"this clock is at least {ahead_s:.1f} s behind: synchronise it (chrony, systemd-timesyncd)"
    words = f"the newest final block is {max(0.0, now_s - final_s):.1f} s old by this clock"
    if now_s - final_s > LAG_S_MAX:
        return False, f"{words}: the clock is ahead, or the node is cut off"
    return True, words


def check_reachable(applicant: Applicant) -> Answer:
    """From this machine; whether the world gets through, only the world can tell."""
    host, _, port = applicant.advertised.rpartition(":")
    if not host or not port.isdigit() or not 0 < int(port) < 1 << 16:
        return False, f"{applicant.advertised!r} is no address: --advertise host:port"
    if host in ("0.0.0.0", "[::]", "::"):
        return False, "0.0.0.0 is where the node listens, not where it is found: --advertise host:port"
    if not is_greeted(host.strip("[]"), int(port)):
        return False, f"something else than a validator answers at {applicant.advertised}"
    return True, f"a validator answers at {applicant.advertised}, as seen from here"


def is_greeted(host: str, port: int) -> bool:
    """Whether what answers there speaks as a validator does. Raises `OSError` if nothing does."""
    with socket.create_connection((host, port), DIAL_TIMEOUT_S) as link:
        link.settimeout(DIAL_TIMEOUT_S)
        link.sendall(GREETING)
        return link.recv(len(GREETING)) == GREETING


def check_queue(applicant: Applicant) -> Answer:
    registry, state, number = applicant.registry, _state(applicant), _number(applicant)
    epoch = registry.epoch()
    if state in (ValidatorState.SERVING, ValidatorState.LEAVING):
        return True, f"it serves in epoch {epoch}"
    queue = registry.entry_queue()
    ahead = queue.index(number) if number in queue else len(queue)
    start = predict_epoch(epoch, registry.committee_size(epoch), registry.seats_max(), ahead)
    place = f"{ahead} wait before it"
    if start is None:
        return True, f"{place}; all {registry.seats_max()} seats are taken until somebody leaves"
    return True, f"{place}; by the rule it serves from epoch {start} on (now: {epoch})"


def predict_epoch(epoch: int, member_count: int, seats_max: int, ahead: int) -> int | None:
    """When the validator with so many before it is let in, if nobody leaves; None: not without that."""
    for following in range(epoch + 1, epoch + EPOCHS_AHEAD_MAX):
        entering = min(seats_max - member_count, seats_max if member_count == 0 else max(2, (member_count + 1) // 2))
        if entering <= 0:
            return None
        if ahead < entering:
            return following
        ahead, member_count = ahead - entering, member_count + entering
    return None


CHECKS: tuple[tuple[str, Callable[[Applicant], Answer]], ...] = (
    ("chain", check_chain), ("contracts", check_contracts), ("network", check_network_lives),
    ("engine", check_engine), ("gas", check_gas), ("stake", check_stake), ("keys", check_keys),
    ("possession", check_possession), ("number", check_number), ("node", check_node), ("clock", check_clock),
    ("address", check_reachable), ("queue", check_queue),
)  # fmt: skip


def format_units(units: int) -> str:
    """Of a stake's token, which has six decimals as the collateral has."""
    return f"{units // 10**6:,}.{units % 10**6:06d}".rstrip("0").rstrip(".")


def _number(applicant: Applicant) -> int | None:
    return applicant.registry.number_of(applicant.candidate.operator)


def _state(applicant: Applicant) -> ValidatorState:
    number = _number(applicant)
    return ValidatorState.UNKNOWN if number is None else applicant.registry.standing(number).state


def ask_node(node: NodeConfig) -> dict[str, Any]:
    """`public/status` of the own node."""
    host = "127.0.0.1" if node.api_host == "0.0.0.0" else node.api_host
    url = f"http://{host}:{node.api_port}"
    try:
        answer = httpx.get(f"{url}/api/v2/public/status", timeout=DIAL_TIMEOUT_S).json()
    except httpx.HTTPError as error:
        raise OSError(
            f"no node answers at {url} ({error}): start it first, it follows without being a member"
        ) from None
    status: dict[str, Any] = answer["result"]
    return status
