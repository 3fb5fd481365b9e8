"""What a devnet says when it stands: in the manner of anvil, because everybody's eyes know where to look."""

from typing import Any

from testnet.devnet.devnet import Devnet
from testnet.devnet.fork import is_forked
from testnet.devnet.founding import GOVERNOR_NUMBER, TRADER_QUOTE, USDC_QUOTE
from testnet.devnet.plan import TRADER_COUNT, Plan
from testnet.devnet.wallet import MNEMONIC, derive_wallets

SYMBOLS_SHOWN_MAX = 4


def describe(devnet: Devnet, plan: Plan, url: str) -> dict[str, Any]:
    """For programs: `--config-out` and `--json`."""
    network = devnet.chain.founding.network
    governor = derive_wallets(GOVERNOR_NUMBER, 1)[0]
    return {
        "url": url, "websocket": url.replace("http", "ws", 1) + "/ws/api/v2", "terminal": url + "/",
        "mnemonic": MNEMONIC, "balance_usdc": TRADER_QUOTE // USDC_QUOTE,
        "accounts": [
            {"address": wallet.address_text, "key": wallet.key_text} for wallet in derive_wallets(0, TRADER_COUNT)
        ],
        "governor": {"address": governor.address_text, "key": governor.key_text},
        "chain_id": network.chain_id, "contract": network.contract, "token": network.token, "seed": plan.seed,
        "height": devnet.chain.head.height, "time_ms": devnet.clock.now_ms(),
        "block_interval_ms": plan.block_interval_ms,
        "markets": [market.symbol for market in devnet.chain.service.market_data.markets()],
    }  # fmt: skip


def show(facts: dict[str, Any], devnet: Devnet, plan: Plan) -> str:
    """For people."""
    accounts, markets = facts["accounts"], facts["markets"]
    lines = ["", "Accounts, each with", f"==================  {facts['balance_usdc']:,} USDC"]
    lines += [f"({at}) {account['address']}" for at, account in enumerate(accounts)]
    lines += ["", "Private keys", "=================="]
    lines += [f"({at}) {account['key']}" for at, account in enumerate(accounts)]
    lines += ["", "Wallet", "==================", f"Mnemonic:   {facts['mnemonic']}", "Path:       m/44'/60'/0'/0/"]
    if not is_forked(devnet.chain.founding):
        lines.append(f"Governor:   {facts['governor']['key']}  (account {GOVERNOR_NUMBER}: lists markets)")
    more = f" and {len(markets) - SYMBOLS_SHOWN_MAX} more" if len(markets) > SYMBOLS_SHOWN_MAX else ""
    lines += ["", "Exchange", "=================="]
    lines += [f"Markets:    {', '.join(markets[:SYMBOLS_SHOWN_MAX])}{more}", f"Blocks:     {_tell_blocks(plan)}"]
    lines += [f"Prices:     {_tell_prices(devnet)}", f"Chain id:   {facts['chain_id']}, no settlement chain"]
    if is_forked(devnet.chain.founding):
        lines.append(
            f"Forked:     at height {devnet.chain.founding.head.height}. What you sign here is valid on that network!"
        )
    lines += ["", f"API:        {facts['url']}/api/v2", f"WebSocket:  {facts['websocket']}"]
    lines += [f"Terminal:   {facts['terminal']}", ""]
    return "\n".join(lines)


def _tell_blocks(plan: Plan) -> str:
    if plan.block_interval_ms:
        return f"for every command, and every {plan.block_interval_ms / 1000:g} s"
    return "for every command; time stands still until dev_increaseTime"


def _tell_prices(devnet: Devnet) -> str:
    return "a seeded path" if devnet.prices.is_moving else "stand still until dev_setOracle"
