"""A reader of the page who believes nothing: every number of a statement or certificate is computed again.

All that is read is the text of the page. What is used beside it are hash and signature functions and the rules of
docs/spec.md and docs/portfolio.md, written down here once more. The first claim that does not hold raises `ValueError`.
"""

import re

import cbor2

from consensus.crypto import verify_aggregate
from consensus.messages import FINALIZE, Commitment, Header, compute_domain, vote_digest
from engine.payload import PriceReport, keccak
from engine.tables import DELEVERAGE, LIQUIDATION
from engine.tree import AccountProof, verify_account_proof
from net.identity import verify_price_report
from testnet.worked_session.desk import CHAIN_ID, CONTRACT, QUORUM, owner_of
from testnet.worked_session.tables import parse_number

DAMPS_E5 = (21_000, 42_000, 27_720, 13_860, 6_930, 4_620, 3_465, 2_772)
Rows = list[list[str]]


def require(holds: bool, claim: str) -> None:
    """Raise unless a claim of the page holds."""
    if not holds:
        raise ValueError(f"the page does not hold: {claim}")


def read_section(page: str, heading: str) -> str:
    """The text below a heading, up to the next one."""
    found = re.search(rf"^#+ {re.escape(heading)}\n(.*?)(?=^#+ |\Z)", page, re.MULTILINE | re.DOTALL)
    if not found:
        raise ValueError(f"no section {heading!r}")
    return found.group(1)


def read_tables(text: str) -> list[Rows]:
    """The tables of a text, heads left out."""
    tables = []
    for block in re.findall(r"(?:^\|.*\n)+", text, re.MULTILINE):
        rows = [[cell.strip() for cell in line.strip()[1:-1].split("|")] for line in block.splitlines()]
        tables.append(rows[2:])
    return tables


def read_bytes(text: str, label: str) -> bytes:
    """Labelled hexadecimal text as bytes."""
    found = re.search(rf"\*\*{re.escape(label)}\*\*\n\n```\n(.*?)```", text, re.DOTALL)
    if not found:
        raise ValueError(f"no bytes {label!r}")
    return bytes.fromhex(found.group(1).replace("\n", ""))


def ceil_div(number: int, divisor: int) -> int:
    return -(-number // divisor)


class Reader:
    """The instruments and keys that the page names, and its claims."""

    def __init__(self, page: str) -> None:
        self.page = page
        markets, validators = read_tables(read_section(page, "The exchange"))
        self.lot_e8 = {row[0]: parse_number(row[3], 3) * 10**5 for row in markets}
        self.kinds = {row[0]: row[1] for row in markets}
        self.strikes_e8 = {row[0]: int(row[2].replace(",", "") or 0) * 10**8 for row in markets}
        self.symbols = [row[0] for row in markets]
        self.network_keys = [bytes.fromhex(row[1].strip("`")) for row in validators]
        self.keys = [bytes.fromhex(row[2].strip("`")) for row in validators]

    def unit(self, number_e8: int, symbol: str) -> int:
        """What a lot is worth at a price, quote (NUM-3)."""
        return number_e8 * self.lot_e8[symbol] // 10**10

    # --- statements of the maker: equity, the named scenario, both margins ---------------------------------------

    def check_statement(self, heading: str) -> None:
        """MAR-3, PMR-7, PMR-9 and PMR-10 from the tables of a statement."""
        positions, figures, vector = read_tables(read_section(self.page, heading))[:3]
        named = {row[0]: row[1] for row in figures}
        equity_quote = parse_number(named["balance"], 6)
        for symbol, lots, mark, _, funding, _, _, _ in positions:
            worth_unit = self.unit(parse_number(mark, 8), symbol)
            equity_quote += int(lots) * (worth_unit - parse_number(funding, 6))
        require(equity_quote == parse_number(named["equity"], 6), f"{heading}: equity")
        pnl = {int(row[0].strip("*")): parse_number(row[2], 6) for row in vector}
        worst = int(named["worst scenario"])
        require(pnl[worst] == min(pnl.values()), f"{heading}: nothing is worse than scenario {worst}")
        require(self._value_scenario(positions, worst) == pnl[worst], f"{heading}: PnL of scenario {worst}")
        maintenance_quote, initial_quote = self._demand(positions, named, pnl[worst])
        require(maintenance_quote == parse_number(named["maintenance margin"], 6), f"{heading}: maintenance")
        require(
            initial_quote == parse_number(named["initial margin of the positions"], 6), f"{heading}: initial margin"
        )

    def _value_scenario(self, positions: Rows, worst: int) -> int:
        """PnL of one of the scenarios 0 to 32 from its lanes."""
        total_quote, mtm_quote = 0, 0
        groups: dict[str, list[int]] = {}
        for symbol, lots, mark, _, _, _, lane, static in positions:
            size_lots = int(lots)
            lane_quote = size_lots * parse_number(lane, 6) + min(size_lots, 0)
            if self.kinds[symbol] in ("call", "put"):
                sums = groups.setdefault(static, [0, 0, 0])
                sums[0] += lane_quote
                sums[1] += size_lots * self.unit(parse_number(mark, 8), symbol)
                sums[2] += abs(size_lots)
            elif worst <= 30:  # a skew leaves the spot alone
                total_quote += lane_quote
        for static, (value_quote, own_quote, gross_lots) in groups.items():
            low_quote = self._discount(value_quote, int(static))
            if worst > 30:
                high_quote = self._discount(value_quote + gross_lots, int(static)) + 1
                total_quote -= max(own_quote - low_quote, high_quote - own_quote)
                continue
            total_quote += low_quote
            mtm_quote += own_quote
        damp_e5 = DAMPS_E5[worst - 23] if worst >= 23 else 10**5
        return total_quote - ceil_div(mtm_quote * damp_e5, 10**5)

    @staticmethod
    def _discount(value_quote: int, static_q31: int) -> int:
        return value_quote * static_q31 >> 31 if value_quote > 0 else value_quote

    def _demand(self, positions: Rows, named: dict[str, str], worst_quote: int) -> tuple[int, int]:
        """Maintenance and initial margin of a portfolio without collateral, the quote currency at par."""
        index_e8, multiplier_bps = parse_number(named["index"], 8), int(named["multiplier (bps)"])
        charge_quote, extra_quote = 0, 0
        naked: dict[tuple[str, int], list[int]] = {}
        for symbol, lots, _, _, _, _, _, static in positions:
            size_lots, lot_e8 = int(lots), self.lot_e8[symbol]
            if self.kinds[symbol] in ("call", "put"):
                pair = naked.setdefault((static, self.strikes_e8[symbol]), [0, 0])
                pair[self.kinds[symbol] == "put"] += size_lots * ceil_div(index_e8 * lot_e8, 10**10)
            else:
                charge_quote += abs(size_lots) * ceil_div(index_e8 * lot_e8 * 300, 10**14)
                extra_quote += abs(size_lots) * ceil_div(index_e8 * lot_e8 * 100, 10**14)
        naked_quote = sum(max(0, -c - max(p, 0)) + max(0, -p - max(c, 0)) for c, p in naked.values())
        charge_quote += ceil_div(naked_quote * 30, 10**4)
        extra_quote += ceil_div(naked_quote * 20, 10**4)
        maintenance_quote = ceil_div(-worst_quote * 8, 10) + charge_quote
        return maintenance_quote, ceil_div(-worst_quote * multiplier_bps, 10**4) + charge_quote + extra_quote

    # --- certificates of the seller: equity, maintenance, the sums, the bytes ------------------------------------

    def check_case(self, heading: str) -> None:
        """MAR-1, MAR-3 and LIQ-2 from the tables of a liquidation."""
        text = read_section(self.page, heading)
        figures, holdings = read_tables(text)[:2]
        named = {row[0]: parse_number(row[1], 6) for row in figures}
        found = re.search(r"index ([\d,.]+) USD", text)
        index_e8 = parse_number(found.group(1), 8) if found else 0
        equity_quote, maintenance_quote = named["balance"], 0
        for symbol, lots, mark, _, funding, _, _, _ in holdings:
            worth_unit = self.unit(parse_number(mark, 8), symbol)
            equity_quote += int(lots) * (worth_unit - parse_number(funding, 6))
            demand_unit = ceil_div(self.unit(index_e8, symbol) * 900, 10**4)
            maintenance_quote += abs(int(lots)) * max(demand_unit, ceil_div(worth_unit * 900, 10**4))
            require(self.kinds[symbol] == "put" and int(lots) < 0, f"{heading}: all holdings are short puts")
        require(equity_quote == named["equity"], f"{heading}: equity")
        require(maintenance_quote == named["maintenance"], f"{heading}: maintenance")
        require(equity_quote < maintenance_quote, f"{heading}: equity is below maintenance")

    def check_bankruptcy(self, heading: str) -> None:
        """ADL-1: the shortfall is insurance's part and haircuts, in proportion to what each gave, to the last unit."""
        figures, _, rows = read_tables(read_section(self.page, heading))[:3]
        named = {row[0]: parse_number(row[1], 6) for row in figures}
        haircuts = [parse_number(row[5], 6) for row in rows]
        require(named["shortfall"] == -named["equity"], f"{heading}: the shortfall is what equity lacks")
        require(named["shortfall"] == named["paid by insurance"] + named["haircuts"], f"{heading}: who pays")
        require(sum(haircuts) == named["haircuts"], f"{heading}: haircuts")
        given = [int(row[2]) * self.unit(parse_number(row[4], 8), row[1]) for row in rows]
        parts = [named["haircuts"] * value_quote // sum(given) for value_quote in given]
        for at in range(named["haircuts"] - sum(parts)):
            parts[at] += 1
        require(parts == haircuts, f"{heading}: each bears its part")

    def check_bytes(self, heading: str, account: int) -> None:
        """From a quorum's signature down to the row, the leaf, and the prices."""
        text = read_section(self.page, heading)
        header_bytes = read_bytes(text, "header of the block")
        header, before = Header.decode(header_bytes), Header.decode(read_bytes(text, "header of the block before"))
        domain, signers = compute_domain(CHAIN_ID, CONTRACT), list(read_bytes(text, "signers"))
        digest = vote_digest(domain, FINALIZE, header.epoch, header.view, keccak(header_bytes))
        signature = read_bytes(text, "aggregate signature of the signers over the header")
        require(len(signers) == len({*signers}) >= QUORUM, "a quorum signed")
        require(verify_aggregate([self.keys[signer] for signer in signers], digest, signature), "the signature")
        require(header.parent_hash == before.hash(), "the block before is the parent")
        commitment, earlier = Commitment.decode(header.commitment), Commitment.decode(before.commitment)
        words = read_bytes(text, "20 words of the state root")
        require(keccak(words) == commitment.state_root, "the words are the state's")
        hashes = read_bytes(text, "8 hashes of the events digest")
        require(keccak(hashes) == words[-32:], "the events are the state's")
        for at, label in ((3, "liquidation rows"), (4, "deleveraging rows"), (5, "notices")):
            digest = hash_chunks(read_bytes(text, label))
            require(digest == hashes[32 * at : 32 * at + 32], f"{label} are the block's")
        self._check_rows(text, heading)
        self._check_leaf(text, account, earlier)
        self._check_reports(text, commitment, domain)

    def _check_rows(self, text: str, heading: str) -> None:
        """The rows say what the tables say."""
        figures, _, rows = read_tables(text)[:3]
        record = read_record(read_bytes(text, "liquidation rows"), LIQUIDATION.names or ())
        printed = [parse_number(row[1], 6) for row in figures]
        names = ("balance", "equity", "maintenance", "shortfall", "insurance", "haircut", "equity_after")
        require(printed == [record[f"{name}_quote"] for name in names], f"{heading}: the row")
        data = read_bytes(text, "deleveraging rows")
        for at, row in enumerate(rows):
            part = read_record(data[at * DELEVERAGE.itemsize :], DELEVERAGE.names or ())
            said = [self.symbols.index(row[1]), int(row[2]), parse_number(row[4], 8), parse_number(row[5], 6)]
            fields = ("market", "size_lots", "price_e8", "haircut_quote")
            require(said == [part[name] for name in fields], f"{heading}: row {at} of deleveraging")

    def _check_leaf(self, text: str, account: int, earlier: Commitment) -> None:
        """The holdings were the account's in the state before."""
        holdings, rest = read_bytes(text, "holdings in the leaf"), read_bytes(text, "rest of the leaf")
        sums, path = read_bytes(text, "claim and debt"), read_bytes(text, "siblings with sums")
        proof = AccountProof(
            account, owner_of(account), 0, int.from_bytes(sums[:16], "big"), int.from_bytes(sums[16:], "big"),
            keccak(holdings + rest), holdings, rest,
            tuple(path[at : at + 32] for at in range(0, len(path), 64)),
            tuple(path[at + 32 : at + 64] for at in range(0, len(path), 64)),
        )  # fmt: skip
        require(verify_account_proof(proof, earlier.account_root, earlier.account_sums), "the leaf is the account's")
        figures, rows = read_tables(text)[:2]
        said = parse_number(figures[0][1], 6).to_bytes(8, "big", signed=True)
        for row in rows:
            lots = int(row[1]).to_bytes(8, "big", signed=True)
            said += self.symbols.index(row[0]).to_bytes(4, "big") + lots
        require(said == holdings, "the holdings are those of the leaf")

    def _check_reports(self, text: str, commitment: Commitment, domain: bytes) -> None:
        """The index is the lower median of signed reports, and every mark's notice names it."""
        data = read_bytes(text, "reports")
        require(keccak(data) == commitment.oracle_root, "the reports are the block's")
        reports = [PriceReport.from_cbor(item) for item in cbor2.loads(data)]
        for report in reports:
            key = self.network_keys[report.validator]
            require(verify_price_report(report, key, domain), f"validator {report.validator} signed its report")
        median_e8 = sorted(report.feeds_e8[0] for report in reports)[(len(reports) - 1) // 2]
        require(f"index {median_e8 // 10**8:,}.{median_e8 % 10**8:08d} USD" in text, "the index is the lower median")
        notices = read_bytes(text, "notices")
        marks = {}
        for at in range(0, len(notices), 48):
            kind, market, mark_e8, index_e8, _, _ = read_longs(notices[at : at + 48])
            if kind == 1:
                marks[self.symbols[market]] = mark_e8
                require(index_e8 == median_e8, "marks are made with the index")
        for row in read_tables(text)[1]:
            require(marks[row[0]] == parse_number(row[2], 8), f"the mark of {row[0]}")

    # --- the end ---------------------------------------------------------------------------------------------------

    def check_settlement(self, heading: str) -> None:
        """EXP-2: calls and puts settle at what the printed mean makes of their strikes."""
        text = read_section(self.page, heading)
        found = re.search(r"mean ([\d,.]+) USD", text)
        mean_e8 = parse_number(found.group(1), 8) if found else 0
        for symbol, settled, unit, _ in read_tables(text)[0]:
            above_e8 = mean_e8 - self.strikes_e8[symbol]
            settle_e8 = max(above_e8 if self.kinds[symbol] == "call" else -above_e8, 0)
            require(settle_e8 == parse_number(settled, 8), f"{heading}: {symbol}")
            require(self.unit(settle_e8, symbol) == parse_number(unit, 6), f"{heading}: a lot of {symbol}")

    def check_money(self, heading: str) -> None:
        """What was deposited is what is claimed, and gains are losses."""
        accounts, totals = read_tables(read_section(self.page, heading))
        columns = [[parse_number(row[at], 6) for row in accounts] for at in (1, 2, 3)]
        require(all(end - start == gain for start, end, gain in zip(*columns)), f"{heading}: gains")
        require(sum(columns[2]) == 0, f"{heading}: gains and losses cancel")
        named = {row[0]: parse_number(row[1], 6) for row in totals}
        require(sum(columns[0]) == named["deposits"], f"{heading}: deposits")
        require(named["claims"] - named["debts"] == named["deposits"] - named["withdrawals"], f"{heading}: claims")


def read_longs(data: bytes) -> list[int]:
    """Little-endian int64s."""
    return [int.from_bytes(data[at : at + 8], "little", signed=True) for at in range(0, len(data), 8)]


def read_record(data: bytes, names: tuple[str, ...]) -> dict[str, int]:
    """The first row of a table of int64s."""
    return dict(zip(names, read_longs(data[: 8 * len(names)])))


def hash_chunks(data: bytes) -> bytes:
    """`H` of docs/spec.md, section 13."""
    return keccak(b"".join(keccak(data[at : at + 1024]) for at in range(0, max(len(data), 1), 1024)))
