"""What a liquidated account is given, as a section of the page: numbers to recompute, and the bytes that prove them."""

import cbor2

from engine.events import hash_events
from engine.feeds import select_reports
from engine.root import root_words
from engine.tables import NOTICE_MARK
from engine.tree import AccountProof, account_proof, verify_account_proof
from testnet.worked_session.desk import NAMES, Exchange, Sealed, format_time
from testnet.worked_session.tables import base_size, exact, exact_e8, hex_block, table

ROW_FIELDS = (
    ("balance_quote", "balance"), ("equity_quote", "equity"), ("maintenance_quote", "maintenance"),
    ("shortfall_quote", "shortfall"), ("insurance_quote", "paid by insurance"), ("haircut_quote", "haircuts"),
    ("equity_after_quote", "equity after"),
)  # fmt: skip
HOLDINGS_HEAD = ("market", "lots", "mark (USD)", "value of a lot", "F", "value", "maintenance of a lot", "maintenance")


def decode_holdings(holdings: bytes) -> tuple[int, dict[int, int]]:
    """Balance in quote and lots by market, as a leaf commits to them (ROOT-1)."""
    lots = {}
    for at in range(8, len(holdings), 12):
        market = int.from_bytes(holdings[at : at + 4], "big")
        lots[market] = int.from_bytes(holdings[at + 4 : at + 12], "big", signed=True)
    return int.from_bytes(holdings[:8], "big", signed=True), lots


def describe_case(exchange: Exchange, sealed: Sealed, account: int) -> str:
    """The row of the block's only liquidation, the holdings it was judged by, and where they went."""
    (row,) = sealed.result.liquidations
    if int(row["account"]) != account:
        raise ValueError(f"the block liquidates account {row['account']}")
    proof = account_proof(sealed.parent, account)
    if not verify_account_proof(proof, sealed.parent.account_root, sealed.parent.account_sums):
        raise ValueError("the proof does not lead to the account root")
    marks = {int(note["subject"]): note for note in sealed.result.notices if int(note["kind"]) == NOTICE_MARK}
    _, held = decode_holdings(proof.holdings)
    index_e8 = int(marks[next(iter(held))]["value_b"])
    lines, markets = [], sealed.state.tables.markets
    for market, lots in held.items():
        params, note = exchange.params.markets[market], marks[market]
        worth_unit = int(note["value_a"]) * params.lot_e8 // 10**10
        demand_unit = int(markets[market]["mm_short_unit" if lots < 0 else "mm_long_unit"])
        lines.append(
            (
                params.symbol, lots, exact_e8(int(note["value_a"])), exact(worth_unit), exact(int(note["value_c"])),
                exact(lots * (worth_unit - int(note["value_c"]))), exact(demand_unit), exact(abs(lots) * demand_unit),
            )
        )  # fmt: skip
    figures = table(("of the certificate", "USD"), [(label, exact(int(row[name]))) for name, label in ROW_FIELDS])
    counts = f"Lots closed on the book: {int(row['closed_lots'])}. Lots deleveraged: {int(row['deleveraged_lots'])}.\n"
    return (
        f"Block {sealed.state.height}, {format_time(sealed.state.time_ms)}, index {exact_e8(index_e8)} USD.\n\n"
        f"{figures}\n{counts}\n{table(HOLDINGS_HEAD, lines)}"
    )


def describe_deleveraging(exchange: Exchange, sealed: Sealed) -> str:
    """Who took over what at the mark, and what each bears of the shortfall."""
    rows = []
    for row in sealed.result.deleverages:
        params = exchange.params.markets[int(row["market"])]
        size_text = base_size(int(row["size_lots"]), params)
        name = NAMES[int(row["account"])]
        price_text, haircut_text = exact_e8(int(row["price_e8"])), exact(int(row["haircut_quote"]))
        rows.append((name, params.symbol, int(row["size_lots"]), size_text, price_text, haircut_text))
    return table(("account", "market", "lots", "BTC", "at (USD)", "haircut"), rows)


def _encode_proof(proof: AccountProof) -> bytes:
    return b"".join(part for pair in zip(proof.sibling_hashes, proof.sibling_sums) for part in pair)


def _labelled(label: str, data: bytes) -> str:
    return f"**{label}**\n\n{hex_block(data)}"


def attach_bytes(exchange: Exchange, sealed: Sealed, before: Sealed, account: int) -> str:
    """Everything hashed and signed that the numbers of a case hang on, as labelled hexadecimal text."""
    result = sealed.result
    proof = account_proof(sealed.parent, account)
    event_tables = (
        result.receipts, result.fills, result.cancellations, result.liquidations, result.deleverages, result.notices,
    )  # fmt: skip
    hashes = hash_events(event_tables, result.credits, result.withdrawals)
    used = select_reports(sealed.parent, sealed.reports, sealed.state.time_ms)
    parts = (
        ("header of the block before", before.header.encode()),
        ("header of the block", sealed.header.encode()),
        ("signers", bytes(sealed.certificate.signers())),
        ("aggregate signature of the signers over the header", sealed.certificate.signature),
        ("20 words of the state root", b"".join(word for _, word in root_words(sealed.state))),
        ("8 hashes of the events digest", b"".join(hashes)),
        ("liquidation rows", result.liquidations.tobytes()),
        ("deleveraging rows", result.deleverages.tobytes()),
        ("notices", result.notices.tobytes()),
        ("reports", cbor2.dumps([report.to_cbor() for report in used], canonical=True)),
        ("holdings in the leaf", proof.holdings),
        ("rest of the leaf", proof.aux_digest),
        ("claim and debt", _sums(proof.claim_quote, proof.debt_quote)),
        ("siblings with sums", _encode_proof(proof)),
    )
    body = "\n".join(_labelled(label, data) for label, data in parts)
    return f"<details><summary>All bytes of this certificate</summary>\n\n{body}\n</details>\n"


def _sums(claim_quote: int, debt_quote: int) -> bytes:
    return claim_quote.to_bytes(16, "big") + debt_quote.to_bytes(16, "big")
