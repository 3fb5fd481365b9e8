"""Who sends the load: a few owners, each with a key of its own and several subaccounts.

Each owner's money comes through the settlement chain in one deposit and goes to the subaccounts by one signed message.
"""

import time
from itertools import groupby

import httpx
from coincurve import PrivateKey

from contracts.settlement import Settlement
from engine.commands import TRANSFER, Action, Command, address_of, keccak
from testnet.bench_net.traffic import MAKER_SLOTS, TAKER_SLOTS, Trader
from testnet.funding import DEPLOYER, USDC_QUOTE, derive_account

CLIENTS = 2
TRADERS_PER_CLIENT = 60
OWNERS_PER_CLIENT = 5
DEPOSIT_QUOTE = 2_000_000 * USDC_QUOTE
SPREAD_S_MAX = 60
NONCE_FIRST = 100  # those below bring the money


class LoadError(Exception):
    """The load cannot be made; the message says why."""


def derive_traders(client: int, nodes: list[int]) -> list[Trader]:
    """The accounts of one client process: 51 makers and 9 takers, who send to its nodes in turn."""
    traders = []
    for number in range(TRADERS_PER_CLIENT):
        subaccount, owner_number = divmod(number, OWNERS_PER_CLIENT)
        key = PrivateKey(keccak(f"hansa bench {client} {owner_number}".encode()))
        is_maker = number % (MAKER_SLOTS + TAKER_SLOTS) < MAKER_SLOTS
        owner, node = address_of(key.public_key), nodes[number % len(nodes)]
        traders.append(Trader(number, owner, subaccount, key.secret, is_maker, node, NONCE_FIRST))
    return traders


def deposit_all(rpc_url: str, contract: str) -> None:
    """One deposit for each owner of every client. Blocking."""
    sender = derive_account(DEPLOYER)
    settlement = Settlement(rpc_url, contract, sender.key)
    owners = [owned for client in range(CLIENTS) for owned in _list_owners(client)]
    settlement.mint_test_usdc(sender.address, DEPOSIT_QUOTE * sum(map(len, owners)))
    for owned in owners:
        settlement.deposit(owned[0].owner, 0, DEPOSIT_QUOTE * len(owned))


def spread_all(url: str, domain_separator: bytes) -> None:
    """From each owner's first subaccount to the others; waits until all that is final. Blocking. Raises `LoadError`."""
    give_up_at_s = time.monotonic() + SPREAD_S_MAX
    for client in range(CLIENTS):
        for owned in _list_owners(client):
            transfers = tuple(Action(TRANSFER, size_lots=DEPOSIT_QUOTE, link=trader.subaccount) for trader in owned[1:])
            expiry_ms = time.time_ns() // 1_000_000 + 600_000
            command = Command(owned[0].owner, 1, expiry_ms, transfers).signed(
                PrivateKey(owned[0].key), domain_separator
            )
            while not _is_done(url, command):
                if time.monotonic() > give_up_at_s:
                    raise LoadError(f"the traders have no money after {SPREAD_S_MAX} s: see the log of {url}")
                time.sleep(0.3)


def _is_done(url: str, command: Command) -> bool:
    """False while the deposit has not arrived. A message that is sent again executes once."""
    answer = httpx.get(
        f"{url}/api/v2/public/x_submit", params={"command": "0x" + command.encode().hex()}, timeout=30
    ).json()
    actions = answer.get("result", {}).get("x_actions", [])
    return bool(actions) and all("error" not in action and action["x_is_final"] for action in actions)


def _list_owners(client: int) -> list[list[Trader]]:
    """The accounts of each owner, its first subaccount first."""
    traders = sorted(derive_traders(client, [0]), key=lambda trader: (trader.owner, trader.subaccount))
    return [list(owned) for _, owned in groupby(traders, key=lambda trader: trader.owner)]
