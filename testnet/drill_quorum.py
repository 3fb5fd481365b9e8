"""`python -m testnet.drill_quorum`: a quorum of the committee's voting keys is in the hands of a thief. What can he do?

A development chain, the real contracts, real keys. The thief signs with three keys of four whatever he likes: what the
contract sees and refuses; two blocks at one height, for which the court convicts and the registry slashes; a root that
is solvent and steals, which claim delay, pause and outflow cap hold up. Then he has operators' accounts as well.
Exit code 0 only if every guard held.
"""

import json
import sys
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path

from rich.console import Console
from rich.table import Table

from contracts import digests
from contracts.council import Kind
from contracts.records import Refused
from testnet.quorum.exchange import (
    CLAIM_DELAY_S,
    COOLDOWN_S,
    DEBT_MAX_QUOTE,
    FORCE_DEADLINE_S,
    MAX_SILENCE_S,
    OUTFLOW_CAP_QUOTE,
    PAUSE_S,
    QUORUM,
    STAKE_UNITS,
    USDC,
    Account,
    Books,
    Exchange,
    Withdrawal,
)

RESULTS = Path("build/results/drill-quorum.json")
VICTIMS = tuple(bytes([0xA0 + i]) * 20 for i in range(3))
THIEF = b"\xdd" * 20
DEPOSIT_UNITS = 300_000 * USDC
TOTAL_UNITS = DEPOSIT_UNITS * len(VICTIMS)
# What the thief withdraws: small pieces, to use the cap to the last, and large ones for the rest.
LOOT = tuple(Withdrawal(THIEF, thousands * 1_000 * USDC) for thousands in [4] * 40 + [72] * 10)
LOOT_UNITS = sum(piece.amount_units for piece in LOOT)
HOUR_S = 3_600
HONEST = Books(1, tuple(Account(victim, DEPOSIT_UNITS) for victim in VICTIMS))


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was tried. `is_held`: the guard did what it is for."""

    part: str
    attempt: str
    outcome: str
    is_held: bool


@dataclass(frozen=True, slots=True)
class Loot:
    """What the theft came to, in units of the token."""

    signed_away_units: int
    cap_units: int
    taken_units: int
    left_units: int
    hours: int


def refused(part: str, attempt: str, reason: str, action: Callable[[], object]) -> Finding:
    """It must fail, and for this reason."""
    try:
        action()
    except Refused as refusal:
        return Finding(part, attempt, f"refused: {refusal.reason}", reason in refusal.reason)
    return Finding(part, attempt, "ACCEPTED", False)


# ---------------------------------------------------------------- 1: what the contract sees


def try_lies(exchange: Exchange) -> Iterator[Finding]:
    """Roots and headers that are wrong by themselves, each signed by the quorum."""
    part = "signed, and wrong"
    block = exchange.chain.head.block_number
    rich = replace(HONEST, height=2, accounts=(*HONEST.accounts, Account(THIEF, 1)))
    owed = HONEST.accounts[0].claim_quote
    too_much = DEBT_MAX_QUOTE + 1
    lies: list[tuple[str, str, Books]] = [
        ("claims one unit above the deposits", "claims exceed deposits", rich),
        ("withdrawals above the deposits, balanced by debt", "withdrawals exceed deposits", Books(
            2, (Account(THIEF, 0, 1),), (Withdrawal(THIEF, TOTAL_UNITS + 1),)
        )),
        ("invented debtors balance invented claims", "too much debt", replace(
            HONEST, height=2, accounts=(*HONEST.accounts, Account(THIEF, too_much), Account(THIEF, 0, too_much))
        )),
        ("another history of the inbox", "inbox hash", replace(HONEST, height=2).forge(12, b"\x01" * 32)),
        ("deposits that nobody made", "cursor beyond the inbox", replace(HONEST, height=2).forge(11, 99)),
        ("deposits forgotten again", "cursor goes back", replace(HONEST, height=2).forge(11, 0).forge(12, bytes(32))),
        ("the same height again", "height does not advance", HONEST),
        ("another epoch", "epoch", replace(HONEST, height=2).forge(1, 2)),
        ("an engine that is not active", "engine not active", replace(HONEST, height=2).forge(19, 2)),
        ("claims that wrap around at 2^128", "claims exceed deposits", replace(HONEST, height=2).forge(
            16, digests.encode_sums(2**128 - 1, 0)
        )),
    ]  # fmt: skip
    for attempt, reason, books in lies:

        def post(books: Books = books) -> object:
            return exchange.post(books)

        yield refused(part, attempt, reason, post)
    yield refused(
        part, "two signers of four", "too few signers", lambda: exchange.post(replace(HONEST, height=2), (0, 1))
    )
    exchange.deposit(VICTIMS[0], owed)
    ignored = exchange.settlement.inbox_length() - 1
    forgetful = replace(HONEST, height=2).forge(11, ignored).forge(12, exchange.settlement.inbox_hash(ignored))
    exchange.pass_time(FORCE_DEADLINE_S + 60)
    yield refused(part, "an overdue deposit left out", "overdue", lambda: exchange.post(forgetful))
    exchange.settlement.freeze()
    yield Finding(part, "whereupon a victim freezes", "frozen by anyone", exchange.settlement.is_frozen())
    rewind(exchange, block)


# ---------------------------------------------------------------- 2: two blocks at one height


def equivocate(exchange: Exchange) -> Iterator[Finding]:
    """Both headers are honest by themselves; having signed both is the crime."""
    part = "two blocks at one height"
    block = exchange.chain.head.block_number
    first, second = (exchange.encode(replace(HONEST, height=2).forge(14, bytes([i]) * 32)) for i in (1, 2))
    yield refused(
        part, "one header shown twice to the court", "the same statement",
        lambda: exchange.court.submit(1, exchange.state(first, QUORUM), exchange.state(first, QUORUM)),
    )  # fmt: skip
    yield refused(
        part, "slashing before a verdict", "not convicted", lambda: exchange.registry(7).slash(1, 0)
    )  # fmt: skip
    exchange.court.submit(1, exchange.state(first, QUORUM), exchange.state(second, QUORUM))
    convicted = [member for member in range(4) if exchange.court.is_culprit(1, member)]
    yield Finding(part, "both headers shown to the court", f"convicted: members {convicted}", convicted == [0, 1, 2])
    reporter = exchange.registry(7)
    for member in convicted:
        reporter.slash(1, member)
    stakes = [reporter.standing(number).stake for number in range(4)]
    owed = reporter.insurance_owed()
    reward = exchange.settlement.token_balance(reporter.sender)
    yield Finding(
        part, "a stranger has them slashed",
        f"{(owed + reward) // USDC:,} of {3 * STAKE_UNITS // USDC:,} USDC taken, {reward // USDC:,} to the reporter",
        stakes == [0, 0, 0, STAKE_UNITS] and owed + reward == 3 * STAKE_UNITS,
    )  # fmt: skip
    yield refused(part, "slashed a second time", "done before", lambda: reporter.slash(1, 0))
    yield refused(part, "an innocent slashed", "not convicted", lambda: reporter.slash(1, 3))
    before = exchange.settlement.inbox_length()
    reporter.bring_to_insurance()
    is_there = exchange.settlement.inbox_length() == before + 1 and reporter.insurance_owed() == 0
    yield Finding(part, "what was taken goes to the insurance account", "a deposit in the inbox", is_there)
    rewind(exchange, block)


# ---------------------------------------------------------------- 3: a root that is solvent and steals


def steal(exchange: Exchange) -> Iterator[Finding | Loot]:
    """Every claim is moved to the thief, who withdraws."""
    part = "solvent, and stealing"
    books = Books(2, (Account(THIEF, TOTAL_UNITS - LOOT_UNITS), *(Account(victim, 0) for victim in VICTIMS)), LOOT)
    exchange.post(books)
    yield Finding(part, "the stolen root is posted", "accepted: nothing is wrong with its sums", True)
    yield refused(part, "claimed at once", "too early", lambda: exchange.claim(books, 0))
    exchange.council(3).pause(3)
    yield Finding(part, "one operator votes for a pause", "not paused: f are not enough", not is_paused(exchange))
    exchange.council(2).pause(2)
    yield Finding(part, "f+1 operators do", "paused", is_paused(exchange))
    exchange.pass_time(CLAIM_DELAY_S + 60)
    yield refused(part, "claimed after the delay", "paused", lambda: exchange.claim(books, 0))
    exchange.pass_time(PAUSE_S - CLAIM_DELAY_S)
    yield refused(
        part, "a second pause in the cool-down", "cooling down", lambda: exchange.council(2).pause(2)
    )  # fmt: skip
    taken = claim_every_hour(exchange, books, COOLDOWN_S // HOUR_S)
    yield Finding(
        part, "claimed every hour until the next pause", f"{taken // USDC:,} USDC: one cap at most",
        0 < taken <= OUTFLOW_CAP_QUOTE,
    )  # fmt: skip
    for seat in (2, 3):
        exchange.council(seat).pause(seat)
    yield refused(part, "claimed on the third day", "paused", lambda: exchange.claim(books, len(LOOT) - 1))
    got = exchange.settlement.token_balance(THIEF)
    left = exchange.settlement.token_balance(exchange.settlement.address_bytes)
    yield Finding(part, "what left the custody", f"{got // USDC:,} USDC", got == taken and got + left == TOTAL_UNITS)
    yield Loot(LOOT_UNITS, OUTFLOW_CAP_QUOTE, got, left, (PAUSE_S + COOLDOWN_S) // 3_600)


def claim_every_hour(exchange: Exchange, books: Books, hours: int) -> int:
    """What the thief gets out who claims piece after piece, as many as go, in each of these hours."""
    before = exchange.settlement.token_balance(THIEF)
    index = 0
    for _ in range(hours):
        while not is_refused(partial(exchange.claim, books, index)):
            index += exchange.settlement.is_claimed(index)
        exchange.pass_time(HOUR_S)
    return exchange.settlement.token_balance(THIEF) - before


def is_refused(action: Callable[[], object]) -> bool:
    try:
        action()
    except Refused:
        return True
    return False


def leave_while_paused(exchange: Exchange) -> Iterator[Finding]:
    """The committee is silent and claims are paused: everybody gets out by the escape all the same."""
    part = "paused, and leaving"
    block = exchange.chain.head.block_number
    for seat in (0, 1):
        exchange.council(seat).pause(seat)
    exchange.deposit(VICTIMS[0], 5 * USDC)
    yield Finding(part, "a deposit during a pause", "taken", True)
    exchange.pass_time(MAX_SILENCE_S + 60)
    exchange.settlement.freeze()
    yield Finding(part, "a freeze during a pause", "frozen", exchange.settlement.is_frozen() and is_paused(exchange))
    for position in range(len(VICTIMS)):
        exchange.escape(HONEST, position)
    paid = [exchange.settlement.token_balance(victim) for victim in VICTIMS]
    yield Finding(
        part, "three escapes during a pause", f"{sum(paid) // USDC:,} of {TOTAL_UNITS // USDC:,} USDC paid",
        paid == [DEPOSIT_UNITS] * 3,
    )  # fmt: skip
    (entry,) = exchange.settlement.inbox_entries(3, 1, exchange.settlement.latest_block())
    exchange.settlement.refund(entry)
    held = exchange.settlement.token_balance(exchange.settlement.address_bytes)
    yield Finding(part, "the waiting deposit's refund during a pause", f"{held} units stay", held == 0)
    rewind(exchange, block)


# ---------------------------------------------------------------- 4: operators' keys as well


def corrupt_council(exchange: Exchange) -> Iterator[Finding]:
    """Three operators of four vote for whatever the thief likes."""
    part = "operators bought, too"
    block = exchange.chain.head.block_number
    council, token = exchange.council(0), exchange.settlement.token_address
    yield refused(
        part, "no outflow cap any more", "cap out of bounds",
        lambda: council.propose(0, Kind.OUTFLOW_CAP, token, 2**62),
    )  # fmt: skip
    yield refused(
        part, "a hundredfold outflow cap", "cap changes too much",
        lambda: council.propose(0, Kind.OUTFLOW_CAP, token, 100 * OUTFLOW_CAP_QUOTE),
    )  # fmt: skip
    number = council.propose(0, Kind.OUTFLOW_CAP, token, 2 * OUTFLOW_CAP_QUOTE)
    for seat in (1, 2):
        exchange.council(seat).approve(seat, number)
    yield refused(part, "a doubled cap, at once", "exit window is open", lambda: council.execute(number))
    exchange.council(3).veto(3, number)
    exchange.council(2).veto(2, number)  # this one came to its senses
    yield refused(part, "a doubled cap, after f+1 vetoes", "proposal is closed", lambda: council.execute(number))
    rewind(exchange, block)


# ---------------------------------------------------------------- all of it


def is_paused(exchange: Exchange) -> bool:
    return exchange.council(0).is_paused()


def rewind(exchange: Exchange, block: int) -> None:
    """Back to before this part."""
    exchange.chain.rewind(block)
    exchange.chain.reset_clock()


def run_drill() -> tuple[list[Finding], Loot | None]:
    """All parts, each from the same state: three victims have deposited, and one honest header is posted."""
    exchange = Exchange()
    try:
        for victim in VICTIMS:
            exchange.deposit(victim, DEPOSIT_UNITS)
        exchange.post(HONEST)
        findings, loot = [], None
        for part in (try_lies, equivocate, leave_while_paused, corrupt_council, steal):
            for told in part(exchange):
                if isinstance(told, Finding):
                    findings.append(told)
                else:
                    loot = told
        return findings, loot
    finally:
        exchange.close()


def render(findings: list[Finding], console: Console) -> None:
    table = Table("what a quorum of stolen keys tries", "what comes of it", "held", title="corrupt quorum")
    part = ""
    for known in findings:
        if known.part != part:
            part = known.part
            table.add_section()
            table.add_row(f"[bold]{part}[/]", "", "")
        table.add_row(known.attempt, known.outcome, "[green]yes[/]" if known.is_held else "[red]NO[/]")
    console.print(table)


def main() -> int:
    findings, loot = run_drill()
    console = Console()
    render(findings, console)
    if loot is not None:
        console.print(
            f"of {loot.signed_away_units // USDC:,} USDC signed away the thief has {loot.taken_units // USDC:,} after "
            f"{loot.hours} hours (cap {loot.cap_units // USDC:,} a day); {loot.left_units // USDC:,} are still there",
            highlight=False,
        )
    is_held = all(known.is_held for known in findings) and loot is not None
    RESULTS.parent.mkdir(parents=True, exist_ok=True)
    plain = {"is_held": is_held, "findings": [asdict(known) for known in findings]}
    RESULTS.write_text(json.dumps(plain | {"loot": None if loot is None else asdict(loot)}, indent=1) + "\n")
    return 0 if is_held else 1


if __name__ == "__main__":
    sys.exit(main())
