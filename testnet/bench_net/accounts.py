"""Who sends the load: a few owners, each with a key of its own and several subaccounts, funded by deposits."""

from coincurve import PrivateKey

from contracts.settlement import Settlement
from engine.commands import address_of, keccak
from testnet.bench_net.traffic import MAKER_SLOTS, TAKER_SLOTS, Trader
from testnet.funding import DEPLOYER, USDC_QUOTE, derive_account

CLIENTS = 2
TRADERS_PER_CLIENT = 60
OWNERS_PER_CLIENT = 5
DEPOSIT_QUOTE = 2_000_000 * USDC_QUOTE


def derive_traders(client: int, nodes: list[int]) -> list[Trader]:
    """The accounts of one client process: 51 makers and 9 takers, who send to its nodes in turn."""
    traders = []
    for number in range(TRADERS_PER_CLIENT):
        subaccount, owner_number = divmod(number, OWNERS_PER_CLIENT)
        key = PrivateKey(keccak(f"hansa bench {client} {owner_number}".encode()))
        is_maker = number % (MAKER_SLOTS + TAKER_SLOTS) < MAKER_SLOTS
        owner, node = address_of(key.public_key), nodes[number % len(nodes)]
        traders.append(Trader(number, owner, subaccount, key.secret, is_maker, node))
    return traders


def fund_all(rpc_url: str, contract: str) -> None:
    """One deposit for each account of every client. Blocking."""
    sender = derive_account(DEPLOYER)
    settlement = Settlement(rpc_url, contract, sender.key)
    traders = [trader for client in range(CLIENTS) for trader in derive_traders(client, [0])]
    settlement.mint_test_usdc(sender.address, DEPOSIT_QUOTE * len(traders))
    for trader in traders:
        settlement.deposit(trader.owner, trader.subaccount, DEPOSIT_QUOTE)
