"""The page `docs/worked-session.md`: the session told for traders, every number taken from the engine's own tables."""

from engine.params import ExchangeParams
from engine.tables import FEE_ACCOUNT, INSURANCE_ACCOUNT, NOTICE_MULTIPLIER, NOTICE_PROTECTION, NOTICE_SETTLEMENT
from engine.views import totals
from testnet.worked_session.certificate import attach_bytes, describe_case, describe_deleveraging
from testnet.worked_session.desk import (
    BASIS_DESK,
    E8,
    EXPIRIES_MS,
    FUND,
    HEDGER,
    MAKER,
    NAMES,
    NEAR_MS,
    SELLER,
    Sealed,
    format_time,
)
from testnet.worked_session.pictures import draw_margins, draw_scenarios
from testnet.worked_session.story import (
    DELTA_MAX_USD,
    DEPOSITS_USD,
    FALL,
    INSURANCE_USD,
    OPENING,
    QUOTES,
    VEGA_MAX_USD,
    WHAT_IFS,
    Session,
    Step,
)
from testnet.worked_session.tables import (
    GREEK_HEAD,
    Figures,
    base_size,
    dollars,
    exact,
    exact_e8,
    greeks_row,
    percent,
    read_figures,
    scenario_name,
    table,
)

USERS = (MAKER, SELLER, HEDGER, FUND, BASIS_DESK)
ROLES = {
    MAKER: "market maker, **portfolio margin**", SELLER: "sells puts for their premium, cross margin",
    HEDGER: "buys puts, cross margin", FUND: "sells wings, buys calls, cross margin",
    BASIS_DESK: "other side of perpetual and future, cross margin",
}  # fmt: skip
CRASH_STEPS = ("calm", *(f"fall {number}" for number in range(1, len(FALL) + 1)))
PICTURE_STEPS = (*CRASH_STEPS, "rebalance", "expiry", "end")


def _index_e8(sealed: Sealed) -> int:
    return int(sealed.state.tables.underlyings[0]["index_e8"])


def write_opening(session: Session) -> str:
    """What is traded, by whom, and who says what the prices are."""
    params: ExchangeParams = session.exchange.params
    markets = table(
        ("market", "kind", "strike (USD)", "lot (BTC)", "expiry (UTC)"),
        (
            (
                item.symbol, item.kind, item.strike if item.strike != "0" else "",
                f"0.{item.lot_e8 // 10**5:03d}", format_time(item.expiry_ms) if item.expiry_ms else "",
            )
            for item in params.markets
        ),
    )  # fmt: skip
    exchange = session.exchange
    validators = table(
        ("validator", "network key", "voting key"),
        (
            (number, f"`{signer.network_key.hex()}`", f"`{key.hex()}`")
            for number, (signer, key) in enumerate(zip(exchange.signers, exchange.keys))
        ),
    )
    cast = [(NAMES[account], ROLES[account], f"{DEPOSITS_USD[account]:,}") for account in USERS]
    cast.append(("insurance", "the exchange's fund, small on purpose", f"{INSURANCE_USD:,}"))
    return f"""## The exchange

{markets}
Four validators report index, forwards and volatility surfaces in every block; three of four reports are a quorum, and
three of four voting keys make a certificate.

{validators}
## Who trades

{table(("account", "what it does", "deposit (USD)"), cast)}"""


def write_trades(session: Session) -> str:
    """The opening trades and the hedge."""
    step = session.step("trades")
    fills = [fill for sealed in step.blocks for fill in sealed.result.fills]
    rows = []
    for fill, (buyer, seller, _, _) in zip(fills, (*OPENING, (0, 0, 0, 0))):
        params = session.exchange.params.markets[int(fill["market"])]
        if not buyer:
            ends = [int(fill["taker_account"]), int(fill["maker_account"])]
            buyer, seller = ends if int(fill["taker_side"]) == 0 else ends[::-1]
        price_text = exact_e8(int(fill["price_ticks"]) * params.tick_e8)[:-7]
        rows.append((params.symbol, NAMES[buyer], NAMES[seller], base_size(int(fill["size_lots"]), params), price_text))
    return f"""## Trades

Each at the mark. The maker sells strangles of both expiries, owns the wings, is long the future, and brings its delta
to nothing with the perpetual. Then it quotes {QUOTES} more offers of the 95,000 put under protection: when its flagged
orders trade more than {DELTA_MAX_USD:,} USD of delta or {VEGA_MAX_USD:,} USD of vega within 5 seconds, all of them go.

{table(("market", "buyer", "seller", "BTC", "at (USD)"), rows)}"""


def write_statement(session: Session, name: str, heading: str) -> str:
    """Positions, margins, Greeks and scenarios of the maker at a step, to be recomputed from what is printed."""
    sealed = session.step(name).last
    figures, tables = read_figures(sealed.state, MAKER), sealed.state.tables
    summary, worst = figures.summary, figures.worst
    positions, greeks = [], []
    for item in summary.positions:
        params, row, market = session.exchange.params.markets[item.market], tables.scenarios[item.market], item.market
        static = int(row[41]) if params.kind in ("call", "put") else ""
        units = [int(tables.markets[market][f"{greek}_unit"]) for greek in ("delta", "gamma", "vega", "theta", "rho")]
        positions.append(
            (
                params.symbol, item.size_lots, exact_e8(item.mark_e8),
                base_size(item.size_lots, params), exact(int(tables.markets[market]["funding_quote"])),
                dollars(item.size_lots * int(tables.markets[market]["value_unit"])), exact(int(row[worst])), static,
            )
        )  # fmt: skip
        greeks.append((params.symbol, *greeks_row([item.size_lots * unit for unit in units])))
    greeks.append(("**all**", *greeks_row(figures.greeks)))
    underlying = tables.underlyings[0]
    named = (
        ("balance", exact(int(tables.accounts[MAKER]["balance_quote"]))),
        ("equity", exact(summary.equity_quote)),
        ("initial margin of the positions", exact(figures.initial_quote)),
        ("initial margin with open orders", exact(summary.initial_margin_quote)),
        ("maintenance margin", exact(summary.maintenance_margin_quote)),
        ("worst scenario", worst),
        ("index", exact_e8(int(underlying["index_e8"]))),
        ("multiplier (bps)", int(underlying["multiplier_bps"])),
    )
    head = (
        "market",
        "lots",
        "mark (USD)",
        "BTC",
        "F",
        "value (USD)",
        f"a lot in scenario {worst}",
        "static discount × 2³¹",
    )
    return f"""## {heading}

Block {sealed.state.height}, {format_time(sealed.state.time_ms)}. Worst of 34: scenario {worst}, {scenario_name(worst)}.

{table(head, positions)}
{table(("of the maker", "USD"), named)}
<details><summary>PnL in all scenarios (USD)</summary>

{table(("number", "scenario", "PnL (USD)"), _list_vector(figures))}
</details>

Greeks:

{table(("market", *GREEK_HEAD), greeks)}
Forwards and surfaces of the options, from the reports:

{table(("expiry", "forward (USD)", "a", "b", "rho", "m", "sigma"), _list_surfaces(sealed))}"""


def _list_surfaces(sealed: Sealed) -> list[tuple[str, ...]]:
    rows = []
    for number, expiry_ms in enumerate(EXPIRIES_MS):
        dated = sealed.state.tables.expiries[number]
        names = ("forward", "a", "b", "rho", "m", "sigma")
        rows.append((format_time(expiry_ms), *(exact_e8(int(dated[f"{name}_e8"])) for name in names)))
    return rows


def _list_vector(figures: Figures) -> list[tuple[str, str, str]]:
    rows = []
    for number, pnl_quote in enumerate(figures.vector):
        mark = "**" if number == figures.worst else ""
        rows.append((f"{mark}{number}{mark}", scenario_name(number), f"{mark}{exact(pnl_quote)}{mark}"))
    return rows


def write_what_ifs(session: Session) -> str:
    """Answers given before the fall, beside what came."""
    rows = []
    for (price_ppm, vol_ppm), answer, name in zip(WHAT_IFS, session.what_ifs, ("fall 1", f"fall {len(FALL)}")):
        figures = read_figures(session.step(name).last.state, MAKER)
        summary = figures.summary
        pairs = (
            ("equity", answer.equity_quote, summary.equity_quote),
            ("maintenance margin", answer.maintenance_quote, summary.maintenance_margin_quote),
            ("delta", answer.greeks[0].delta_quote, figures.greeks[0]),
            ("vega per point", answer.greeks[0].vega_quote // 100, figures.greeks[2] // 100),
        )
        what = f"{price_ppm // 10_000} %, vol +{vol_ppm // 10_000} %"
        for label, said_quote, was_quote in pairs:
            rows.append((f"{what}: {label}", dollars(said_quote), dollars(was_quote), dollars(was_quote - said_quote)))
    below_e8, above_e8 = session.what_ifs[0].liquidations[0]
    nothing = "no price below and none above liquidates" if not below_e8 and not above_e8 else ""
    reach = nothing or f"liquidation is at {below_e8 // E8:,} below and {above_e8 // E8:,} above (0: nowhere)"
    return f"""## What if

Before the fall the maker asks `engine.simulate` twice. The first answer differs from what came by what a minute of time
changes. Between that and the second the maker was hit on stale offers, the two expiries' volatilities rose by different
factors, and deleveraging took a long position away. After the first move, with volatility as it then is,
{reach}.

{table(("asked in the calm", "answer (USD)", "what came (USD)", "difference"), rows)}"""


def write_fall(session: Session) -> str:
    """Prices and accounts, round by round."""
    prices, accounts = [], []
    for name, (reported_usd, _) in zip(CRASH_STEPS, ((100_000, None), *FALL)):
        sealed = session.step(name).last
        tables, index_e8 = sealed.state.tables, _index_e8(sealed)
        vols = [_at_the_money_bps(sealed, number) for number in range(2)]
        prices.append(
            (
                f"{name}, {format_time(sealed.state.time_ms)[7:]}", f"{reported_usd:,}", exact_e8(index_e8)[:-6],
                percent(index_e8 * 10_000 // (100_000 * E8) - 10_000), *map(percent, vols),
                int(tables.underlyings[0]["multiplier_bps"]),
            )
        )  # fmt: skip
        for account in USERS:
            figures = read_figures(sealed.state, account)
            own = figures.summary
            sums = (own.equity_quote, own.initial_margin_quote, own.maintenance_margin_quote)
            accounts.append(
                (f"{name}: {NAMES[account]}", figures.health, *map(dollars, sums), *greeks_row(figures.greeks))
            )
    head = ("step", "reported index", "index (USD)", "since the calm", "near vol", "far vol", "multiplier (bps)")
    own_head = ("step and account", "state", "equity", "initial", "maintenance", *GREEK_HEAD)
    multiplier = next(
        note for name in CRASH_STEPS[1:] for note in session.step(name).last.result.notices
        if int(note["kind"]) == NOTICE_MULTIPLIER
    )  # fmt: skip
    return f"""## The fall

Five rounds, a minute apart. The index moves by at most 5 % a round: the second round's report of 90,000 takes it to
90,250 first. Forwards and surfaces have no cap. The realised moves raise the multiplier on initial margins from
{int(multiplier["value_b"])} to {int(multiplier["value_a"])} bps. Volatilities are those at the money.

{table(head, prices)}
The maker stays healthy at every step: its wings gain what its shorts lose. Equity, margins and Greeks in USD, after
the block's liquidations:

{table(own_head, accounts)}
![Equity and margins of the maker](img/session-maker.svg)

![Equity and margins of the seller](img/session-seller.svg)
"""


def _at_the_money_bps(sealed: Sealed, number: int) -> int:
    """Volatility at the forward in bps, floor: the root of total variance by years left, in whole numbers."""
    row = sealed.state.tables.expiries[number]
    rho, sigma = int(row["rho_e8"]), int(row["sigma_e8"])
    middle = -int(row["m_e8"])
    root = _root(middle * middle + sigma * sigma)
    variance_e8 = int(row["a_e8"]) + int(row["b_e8"]) * (rho * middle // E8 + root) // E8
    left_ms = EXPIRIES_MS[number] - sealed.state.time_ms
    return _root(variance_e8 * 365 * 86_400_000 // left_ms)


def _root(number: int) -> int:
    """Floor of the square root."""
    guess = 1 << (number.bit_length() + 1) // 2
    while guess * guess > number:
        guess = (guess + number // guess) // 2
    return guess


def write_protection(session: Session) -> str:
    """Stale offers are hit, and protection ends it."""
    (sealed,) = session.step("protection").blocks
    params = session.exchange.params.markets
    rows = []
    for fill in sealed.result.fills:
        item = params[int(fill["market"])]
        price_text = exact_e8(int(fill["price_ticks"]) * item.tick_e8)[:-9]
        mark = exact_e8(int(sealed.state.tables.markets[int(fill["market"])]["mark_e8"]))[:-9]
        rows.append((item.symbol, base_size(int(fill["size_lots"]), item), price_text, mark))
    gone = len(sealed.result.cancellations)
    taken = f"After {len(rows)} of {QUOTES} the delta sold passes {DELTA_MAX_USD:,} USD"
    (note,) = [note for note in sealed.result.notices if int(note["kind"]) == NOTICE_PROTECTION]
    until = format_time(int(note["value_a"]))[7:]
    return f"""## Protection trips

One second after the first round the hedger takes the maker's offers, which are still those of the calm.
{taken}; the other {gone} are cancelled in the same block, and flagged orders are refused
until {until}. So the book of this put is empty when the seller needs it.

{table(("market", "BTC", "sold at (USD)", "mark (USD)"), rows)}"""


def write_liquidations(session: Session) -> str:
    """Both cases, with the bytes of the second."""
    first, second = session.step("fall 3").last, session.step(f"fall {len(FALL)}").last
    (fill,) = [fill for fill in first.result.fills if int(fill["is_liquidation"])]
    params = session.exchange.params.markets[int(fill["market"])]
    before = session.step(f"fall {len(FALL) - 1}").last
    offered = f"{base_size(int(fill['size_lots']), params)} BTC at {int(fill['price_ticks']):,} USD"
    return f"""## The seller is liquidated

In the second round the seller's equity falls below its maintenance margin. Nobody offers its puts, so nothing can be
done and no row is written. In the third round the book can give back one offer, {offered}
by the {NAMES[int(fill["maker_account"])]}; the fee on it goes to insurance. The certificate's numbers, with the
holdings of the leaf in the state before:

{describe_case(session.exchange, first, SELLER)}
## The rest is deleveraged

In the fourth round nobody offers anything again. In the fifth the seller is worth less than nothing. Insurance pays
all it has; the puts are closed at the mark against all who are long the same puts; what insurance lacks is taken from
them in proportion to the value each gave.

{describe_case(session.exchange, second, SELLER)}
{describe_deleveraging(session.exchange, second)}
What the reader of this certificate does (`testnet/worked_session/reader.py`): checks the aggregate signature over the
header; the leaf and its path to the account root of the block before; the reports' hash against the oracle root, their
signatures, and that the index is their lower median; the hashes of rows and notices up to the state root; then
equity, maintenance and shares from the numbers above.

{attach_bytes(session.exchange, second, before, SELLER)}"""


def write_end(session: Session) -> str:
    """Settlement and the sums."""
    dated, last = session.step("expiry"), session.step("end").last
    samples = [_index_e8(sealed) for sealed in dated.blocks[:-1]]
    settled = []
    for note in dated.last.result.notices:
        if int(note["kind"]) == NOTICE_SETTLEMENT:
            params = session.exchange.params.markets[int(note["subject"])]
            open_text = base_size(int(note["value_d"]), params)
            settled.append((params.symbol, exact_e8(int(note["value_a"])), exact(int(note["value_b"])), open_text))
    figures = read_figures(last.state, MAKER)
    own = figures.summary
    first, final = (exact_e8(number_e8)[:-9] for number_e8 in (samples[0], samples[-1]))
    mean, now = exact_e8(sum(samples) // len(samples)), exact_e8(_index_e8(dated.last))[:-9]
    margins = f"initial margin {dollars(own.initial_margin_quote)}, maintenance {dollars(own.maintenance_margin_quote)}"
    return f"""## Expiry

On {format_time(NEAR_MS)} the near expiry settles at the mean of the index's samples of the last half hour, here one
a minute: {len(samples)} samples from {first} to {final}, mean {mean} USD. The index is at {now} by
then, which decides nothing. Quiet days are left out.

{table(("market", "settles at (USD)", "for a lot", "open interest (BTC)"), settled)}
The maker hedges what is left: equity {dollars(own.equity_quote)}, {margins} USD.

{table(GREEK_HEAD, [greeks_row(figures.greeks)])}
{_write_money(session, last)}"""


def _write_money(session: Session, last: Sealed) -> str:
    rows, names = (
        [],
        {FEE_ACCOUNT: "fees", INSURANCE_ACCOUNT: "insurance", **{number: NAMES[number] for number in USERS}},
    )
    for account, name in names.items():
        start_usd = INSURANCE_USD if account == INSURANCE_ACCOUNT else DEPOSITS_USD.get(account, 0)
        end_quote = read_figures(last.state, account).summary.equity_quote
        rows.append((name, exact(start_usd * 10**6), exact(end_quote), exact(end_quote - start_usd * 10**6)))
    sums = totals(last.state)
    named = (
        ("deposits", sums.deposits_quote), ("withdrawals", sums.withdrawals_quote),
        ("claims", sums.claims_quote), ("debts", sums.debts_quote),
    )  # fmt: skip
    return f"""## The sums

{table(("account", "deposited", "equity at the end", "gain"), rows)}
{table(("of the exchange", "USD"), [(label, exact(number)) for label, number in named])}
State root of the last block: `{last.state.state_root.hex()}`.
"""


def write_page(session: Session) -> str:
    """The whole page."""
    rebalance = session.step("rebalance")
    return "\n".join(
        (
            _HEAD,
            write_opening(session),
            write_trades(session),
            write_statement(session, "calm", "The maker in the calm"),
            "![PnL of the maker by scenario in the calm](img/session-scenarios-calm.svg)\n",
            write_what_ifs(session),
            write_fall(session),
            write_protection(session),
            write_liquidations(session),
            write_statement(session, f"fall {len(FALL)}", "The maker at the bottom"),
            "![PnL of the maker by scenario at the bottom](img/session-scenarios-bottom.svg)\n",
            _write_rebalance(session, rebalance),
            write_statement(session, "rebalance", "The maker rebalanced"),
            write_end(session),
        )
    )


def _write_rebalance(session: Session, step: Step) -> str:
    rows = []
    for sealed in step.blocks:
        for fill in sealed.result.fills:
            params = session.exchange.params.markets[int(fill["market"])]
            is_buy = (int(fill["taker_account"]) == MAKER) == (int(fill["taker_side"]) == 0)
            size_lots = int(fill["size_lots"]) if is_buy else -int(fill["size_lots"])
            price_text = exact_e8(int(fill["price_ticks"]) * params.tick_e8)[:-7]
            rows.append((params.symbol, base_size(size_lots, params), price_text))
    return f"""## Rebalancing

The maker buys back the 90,000 puts that deleveraging closed, covers part of its short 95,000 puts, and hedges the
delta with the perpetual.

{table(("market", "BTC", "at (USD)"), rows)}"""


def draw_pictures(session: Session) -> dict[str, str]:
    """Name of the file and SVG of each picture of the page."""
    pictures = {}
    for name, file in (("calm", "calm"), (f"fall {len(FALL)}", "bottom")):
        figures = read_figures(session.step(name).last.state, MAKER)
        title = f"The maker's PnL by scenario, {'in the calm' if name == 'calm' else 'at the bottom'}"
        pictures[f"session-scenarios-{file}.svg"] = draw_scenarios(title, figures.vector, figures.worst)
    for account in (MAKER, SELLER):
        names = PICTURE_STEPS if account == MAKER else CRASH_STEPS
        own = [read_figures(session.step(name).last.state, account).summary for name in names]
        lines = (
            ("e", "equity (USD)", [item.equity_quote for item in own]),
            ("i", "initial margin", [item.initial_margin_quote for item in own]),
            ("m", "maintenance margin", [item.maintenance_margin_quote for item in own]),
        )
        file = f"session-{NAMES[account]}.svg"
        pictures[file] = draw_margins(f"Equity and margins of the {NAMES[account]}", names, lines)
    return pictures


_HEAD = """# A worked session: an options market maker through a 20 % crash

This page is written by `python -m testnet.worked_session`, which runs the exchange's engine block by block and checks
statements, certificates and sums from the printed numbers alone before it prints them. The rules are in
[spec.md](spec.md), the portfolio model in [portfolio.md](portfolio.md); ids such as PMR-7 are theirs. Money has six
decimals where it is meant to be recomputed, and is in whole USD elsewhere. Options are quoted in USD for one BTC. Times
are UTC, in September 2026.

Equity is the balance plus `lots × (value of a lot − F)`; the value of a lot is the mark times the lot, rounded down,
and `F` is the funding a lot has paid so far. `static discount` and `a lot in scenario` are the numbers of PMR-6 and
PMR-5.
"""
