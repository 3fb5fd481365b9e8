"""Gathers the facts of a run from its certified headers, its settlement chain and its traders."""

from decimal import Decimal

from contracts.settlement import Settlement
from engine.params import MarketParams
from engine.units import parse_quote
from net.client import AsyncClient
from testnet.launch import Network, in_thread
from testnet.report import Report
from testnet.summary import Facts
from testnet.watch import Watch, read_commitment, read_sums

# The first block after an expiry settles it.
SETTLEMENT_MS_MAX = 10_000


async def collect_facts(
    watch: Watch, report: Report, settlement: Settlement, network: Network, duration_s: int
) -> Facts:
    """Read once, at the end of a run, while the nodes still answer."""
    statuses = [view.status for view in watch.views]
    facts = Facts(
        validator_count=len(watch.views),
        heights=[view.height for view in watch.views],
        heights_compared=watch.roots.compared_count,
        root_disagreements=watch.roots.disagreements,
        certified_height=watch.roots.compared_height,
        certified_state_root=watch.roots.newest_root,
        accounts_credited=report.accounts_credited,
        withdrawals_claimed=report.withdrawals_claimed,
        trades_seen=report.trades_seen,
        cross_node_trades=report.cross_node_trades,
        liquidations=report.liquidations,
        option_trades=report.option_trades,
        commands_sent=report.commands_sent,
        commands_per_s=report.commands_sent // max(1, duration_s),
        finality_p50_ms=max((status.get("finality_p50_ms", 0) for status in statuses), default=0),
        finality_p99_ms=max((status.get("finality_p99_ms", 0) for status in statuses), default=0),
        refusals=report.refusals,
        nodes_lost=sum(not status for status in statuses),
        duration_s=duration_s,
    )
    url = next((view.url for view in watch.views if view.status), watch.views[0].url)
    async with AsyncClient(url) as client:
        await _read_books(facts, client, settlement)
        await _read_chain(facts, client, settlement, network)
        await _read_dated(facts, client, (await client.network()).markets)
    return facts


async def _read_books(facts: Facts, client: AsyncClient, settlement: Settlement) -> None:
    """The exchange's side of the books, from the newest header that all nodes agree on."""
    if not facts.certified_height:
        return
    commitment = read_commitment(await client.certificate(facts.certified_height))
    facts.claims_quote, facts.debt_quote = read_sums(commitment)
    facts.withdrawals_total_quote = commitment.withdrawals_total_quote
    facts.inbox_cursor = commitment.inbox_cursor
    facts.deposits_consumed_quote = await in_thread(settlement.deposited_total, commitment.inbox_cursor)


async def _read_chain(facts: Facts, client: AsyncClient, settlement: Settlement, network: Network) -> None:
    """The contract's side of the books, after the traders have stopped."""
    checkpoint = await in_thread(settlement.last_checkpoint)
    if checkpoint is not None:
        certificate = await client.certificate(checkpoint.height)
        facts.onchain_height = checkpoint.height
        facts.onchain_root_matches = certificate["header_hash"] == "0x" + checkpoint.header_hash.hex()
    facts.deposits_quote = await in_thread(lambda: settlement.deposited_total(settlement.inbox_length()))
    facts.escrow_quote = await in_thread(settlement.token_balance, settlement.address_bytes)
    for _, account in network.cast:
        listed = await client.call("public/x_get_withdrawals", owner=account.address_text)
        for entry in listed:
            if await in_thread(settlement.is_claimed, entry["index"]):
                facts.claimed_quote += parse_quote(entry["amount"])


async def _read_dated(facts: Facts, client: AsyncClient, markets: tuple[MarketParams, ...]) -> None:
    """Which options have prices, and what became of expiries whose time has come."""
    now_ms: int = (await client.status())["time_ms"]
    due = {market.expiry_ms for market in markets if 0 < market.expiry_ms <= now_ms - SETTLEMENT_MS_MAX}
    unsettled = set()
    for market in markets:
        if not market.expiry_ms:
            continue
        ticker = (await client.ticker(market.symbol)).raw
        is_open = ticker["state"] == "open"
        if is_open or Decimal(ticker["open_interest"]) != 0:
            unsettled.add(market.expiry_ms)
        if is_open and market.kind in ("call", "put"):
            facts.options_open += 1
            facts.options_priced += ticker["x_is_fresh"] and "greeks" in ticker
    facts.expiries_due, facts.expiries_settled = len(due), len(due - unsettled)
