"""What `hansa doctor` asks of the world: the settlement chain, its endpoints, money for gas, clock, prices, peers."""

import json
import time
from contextlib import closing
from email.utils import parsedate_to_datetime

import httpx

from consensus.messages import compute_domain, quorum
from contracts.chain_reader import ChainReader, ask_over_http
from contracts.records import ChainError
from validator.config import ConfigError, address_bytes
from validator.endpoints import count_needed
from validator.join_checks import (
    CLOCK_SKEW_S_MAX,
    LAG_S_MAX,
    Answer,
    Applicant,
    ask_node,
    check_chain,
    check_contracts,
    check_engine,
    check_network_lives,
    is_greeted,
)
from validator.pricefeed import QuotedFeed, parse_price_source
from validator.pricefile import AGE_S_MAX
from validator.store import Store

# What a member pays for about a day of its turns, at 0.3 million gas a checkpoint.
GAS_MIN = 10_000_000
FINAL_BLOCKS_APART_MAX = 16
ASK_TIMEOUT_S = 5.0


def check_registration(applicant: Applicant) -> Answer:
    """The number under which the exchange knows this node is that of config.toml."""
    registry, candidate, own = applicant.registry, applicant.candidate, applicant.node.index
    number = registry.number_of(candidate.operator)
    if number is None and own < registry.registration_count() and registry.validator(own).bls_key == candidate.bls_key:
        number = own  # by another account: this one only pays gas
    if number is None:
        return True, "not registered: `hansa join --dry-run` tells what is missing"
    known = registry.validator(number)
    if (known.bls_key, known.network_key) != (candidate.bls_key, candidate.network_key):
        return False, f"number {number} is registered with other keys: restore those of your backup into keys/"
    if number != applicant.node.index:
        return False, f"config.toml says index = {applicant.node.index}, the registry {number}: write that, restart"
    words = f"number {number}, {registry.standing(number).state.name.lower()}"
    is_payer = known.operator != candidate.operator
    return True, words + (f", by 0x{known.operator.hex()}; keys/operator only pays gas" if is_payer else "")


def check_endpoints(applicant: Applicant) -> Answer:
    """They show the same chain; as many as the node needs to believe anything."""
    network, urls = applicant.network, applicant.node.rpc_urls
    domain = compute_domain(network.chain_id, address_bytes(network.contract))
    finals, wrong = list[int](), list[str]()
    for url in urls:
        reader = ChainReader(ask_over_http(url, ASK_TIMEOUT_S), network.contract)
        try:
            reader.check(network.chain_id, domain)
            finals.append(reader.finalized_block())
        except ChainError as error:
            wrong.append(f"{url}: {error}")
    if finals and max(finals) - min(finals) > FINAL_BLOCKS_APART_MAX:
        wrong.append(f"their last final blocks are {sorted(finals)}: one lags, replace it")
    words = f"{len(finals)} of {len(urls)} answer, final block {max(finals, default=0)}"
    if wrong or len(finals) < count_needed(len(urls)):
        return False, f"{words}; {'; '.join(wrong)}: replace what is wrong in rpc_urls"
    if len(urls) < 3:
        words += "; three of different providers are better: then one may lie or be away"
    return True, words


def check_checkpoint(applicant: Applicant) -> Answer:
    """The chain that this disk has is the one that the contract knows."""
    last, path = applicant.settlement.last_checkpoint(), applicant.home.data / "blocks.sqlite"
    if last is None or not path.exists():
        return True, f"the contract's last is of height {0 if last is None else last.height}; nothing to compare here"
    with closing(Store(path, is_read_only=True)) as store:
        final, height = store.final(last.height), store.height()
        seals = [seal for epoch in store.sealed_epochs() if (seal := store.seal(epoch)) is not None]
    own = {block.hash() for seal in seals for block in seal.trailing}
    own |= set() if final is None else {final.block.hash()}
    if final is not None and last.header_hash not in own:
        return False, f"the contract has another block {last.height} than this disk: is genesis.toml the network's?"
    return True, f"height {last.height} is on the chain, {height} here"


def check_gas(applicant: Applicant) -> Answer:
    candidate, registry = applicant.candidate, applicant.registry
    balance_wei, needed_wei = registry.balance_wei(candidate.operator), GAS_MIN * registry.gas_price_wei()
    words = f"{candidate.operator_text} has {balance_wei / 10**18:.6f} ether"
    if balance_wei < needed_wei:
        return False, f"{words}, about a day's checkpoints take {needed_wei / 10**18:.6f}: send some there"
    return True, words


def check_clock(applicant: Applicant) -> Answer:
    """Against the endpoints' own clocks and blocks, and the node's newest block, which a quorum found timely."""
    ahead_s = {"the chain's newest block": max(0.0, applicant.registry.block_time_s() - time.time())}
    for url in applicant.node.rpc_urls:
        began_s = time.time()
        answer = httpx.post(url, json={"jsonrpc": "2.0", "id": 1, "method": "eth_chainId"}, timeout=ASK_TIMEOUT_S)
        stated = answer.headers.get("date")
        if stated is not None:
            ahead_s[url] = compute_ahead_s(parsedate_to_datetime(stated).timestamp(), began_s, time.time())
    if applicant.is_running:
        final_s = ask_node(applicant.node)["time_ms"] / 1_000
        ahead_s["the newest final block"] = max(0.0, final_s - time.time())
        if time.time() - final_s > LAG_S_MAX:
            return (
                False,
                f"the newest final block is {time.time() - final_s:.0f} s old: the clock is ahead, or no quorum",
            )
    worst = max(ahead_s, key=lambda name: abs(ahead_s[name]))
    words = f"at most {abs(ahead_s[worst]):.1f} s from others ({worst})"
    if abs(ahead_s[worst]) > CLOCK_SKEW_S_MAX:
        return False, f"{words}: synchronise it (chrony, systemd-timesyncd)"
    return True, words


def compute_ahead_s(stated_s: float, began_s: float, ended_s: float) -> float:
    """How far a clock is ahead of ours at least, that said a whole second between these two moments; below 0: behind;
    0 where it may be right.
    """
    if stated_s > ended_s:
        return stated_s - ended_s
    return min(0.0, stated_s + 1 - began_s)


def check_prices(applicant: Applicant) -> Answer:
    source = applicant.node.price_source
    try:
        feed = parse_price_source(source, applicant.network.markets)
    except ConfigError as error:
        return False, str(error)
    if not isinstance(feed, QuotedFeed):
        return True, f"{source}: for test networks"
    path = feed.file.path
    try:
        age_s, found = time.time() - path.stat().st_mtime, json.loads(path.read_text())
    except (OSError, ValueError) as error:
        return False, f"{path} cannot be read ({error}): your price program writes it, see price_source"
    wanted = dict.fromkeys(market.underlying_name for market in applicant.network.markets)
    missing = [name for name in wanted if not isinstance(found, dict) or not isinstance(found.get(name), str)]
    if age_s > AGE_S_MAX:
        return False, f"{path} is {age_s:.0f} s old: your price program must replace it every {AGE_S_MAX} s"
    if missing:
        return False, f"{path} has no price for {', '.join(missing)}: decimal text in quotes, by underlying"
    return True, f"{path}, {age_s:.1f} s old, {len(wanted)} underlyings"


def check_peers(applicant: Applicant) -> Answer:
    """Where the members of the committee listen, a validator answers."""
    registry, own = applicant.registry, applicant.node.index
    members = [member.number for member in registry.committee(registry.epoch())]
    peers, reached, away = applicant.node.peers, list[int](), list[str]()
    for number in (number for number in members if number != own):
        text = f"{peers[number].host}:{peers[number].port}" if number < len(peers) else ""
        host, _, port = (text or registry.advertised_address(number)).rpartition(":")
        if not port.isdigit():
            away.append(f"{number}, who advertises no address")
            continue
        try:
            if is_greeted(host.strip("[]"), int(port)):
                reached.append(number)
            else:
                away.append(f"{number} at {host}:{port} is no validator")
        except OSError as error:
            away.append(f"{number} at {host}:{port} ({error})")
    words = f"{len(reached)} of {len(reached) + len(away)} other members answer"
    if len(reached) + (own in members) < quorum(len(members)):
        return False, f"{words}; {'; '.join(away)}: firewall, [[peers]] in config.toml, `hansa committee status`"
    return True, words + (f"; away: {'; '.join(away)}" if away else "")


def check_node(applicant: Applicant) -> Answer:
    if not applicant.is_running:
        return True, f"it does not run: hansa start --home {applicant.home.path}"
    if applicant.node.api_process == "none":
        return True, "it runs; api_process is none, so it tells no more"
    status = ask_node(applicant.node)
    words = f"height {status['height']}, {status['peer_count']} links"
    if status["is_halted"]:
        return False, f"{words}; it has halted: see its log"
    if status["is_syncing"]:
        return False, f"{words}; it is catching up or waits to vote: its height must rise"
    return True, words


NETWORK_QUESTIONS = (
    ("chain", check_chain), ("contracts", check_contracts), ("network", check_network_lives),
    ("engine", check_engine), ("registered", check_registration), ("endpoints", check_endpoints),
    ("checkpoint", check_checkpoint), ("gas", check_gas), ("clock", check_clock), ("prices", check_prices),
    ("peers", check_peers), ("node", check_node),
)  # fmt: skip
