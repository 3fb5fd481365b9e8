"""The second half of a drill: no validator lives, and everybody gets what is theirs from the chain alone. Blocking."""

import contextlib
import io
import json
import random
import re
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import httpx

from contracts import escape_tool
from contracts.claims_file import ClaimsFile, read_claims
from contracts.digests import KIND_DEPOSIT, KIND_WITHDRAW
from contracts.records import InboxRecord, Refused
from contracts.saved_proof import parse_proof
from contracts.settlement import INBOX_PAGE_MAX, Settlement
from engine.units import parse_quote
from testnet.escape.books import Books, Claim, read_markets
from testnet.escape.cast import Person
from testnet.escape.chain import ChainControl
from testnet.escape.life import Remains
from testnet.funding import DEPLOYER, derive_account

TOOL_S = 120
LATE_S = 30
_PAID = re.compile(r"^(?:paid|returned) ([0-9.]+) USDC to", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Check:
    """One thing the drill must show."""

    text: str
    is_met: bool
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Due:
    """What one trader must get: the share of the claim, open withdrawals, and deposits that no checkpoint consumed."""

    person: Person
    claim: Claim | None
    share_quote: int
    withdrawn_quote: int
    returned_quote: int

    @property
    def quote(self) -> int:
        return self.share_quote + self.withdrawn_quote + self.returned_quote


@dataclass(frozen=True, slots=True)
class Payment:
    """One row of the table. `told_quote`: what the tool said it paid."""

    due: Due
    paid_quote: int
    told_quote: int


@dataclass(slots=True)
class Outcome:
    """All that the second half found."""

    books: Books
    checks: list[Check] = field(default_factory=list)
    payments: list[Payment] = field(default_factory=list)
    figures: dict[str, int] = field(default_factory=dict)

    def check(self, text: str, is_met: bool, detail: str = "") -> None:
        self.checks.append(Check(text, is_met, detail))


class Leaving:
    """Freeze, escapes, refunds and open withdrawals of one dead network."""

    def __init__(self, remains: Remains, seed: int, is_in_process: bool = False) -> None:
        """`is_in_process`: the escape tool runs here instead of as a command of its own."""
        self._remains = remains
        self._tool = self._run_tool_here if is_in_process else self._run_tool
        self._draw = random.Random(f"leave/{seed}")
        network = remains.network
        self._contract = network.config.contract
        self._rpc_url = network.rpc_url
        self._chain = ChainControl(network.rpc_url)
        # Anyone at all: an account that never traded.
        self._stranger = Settlement(network.rpc_url, self._contract, derive_account(DEPLOYER).key)
        self._needy: list[Person] = []
        self._claims: ClaimsFile | None = None
        self._claims_path: Path | None = None

    def run(self) -> Outcome:
        outcome = Outcome(Books(1, 0, 0))
        self._check_silence(outcome)
        self._freeze(outcome)
        self._fetch_claims(outcome)
        outcome.books = self._read_books()
        self._check_story(outcome)
        escrow_quote = self._balance()
        unread = self._list_unread()
        self._check_forced(outcome, unread)
        dues = self._list_dues(outcome.books, unread)
        self._check_escrow(outcome, escrow_quote, unread, dues)
        self._escape_twice(outcome, dues)
        self._check_pool(outcome)
        self._check_again(outcome, dues)
        self._check_rest(outcome, escrow_quote)
        return outcome

    # -------------------------------------------------------- the freeze

    def _check_silence(self, outcome: Outcome) -> None:
        answering = []
        for url in self._remains.network.api_urls:
            with contextlib.suppress(httpx.HTTPError):
                httpx.get(f"{url}/health", timeout=2)
                answering.append(url)
        outcome.check("no validator answers", not answering, " ".join(answering))
        missing, is_sudden = self._remains.without_proof, self._remains.plan.is_sudden
        outcome.figures["without_proof"] = len(missing)
        outcome.check(
            "who could still ask a validator has a proof of the last checkpoint on disk", is_sudden or not missing,
            f"without one: {' '.join(missing) or 'nobody'}",
        )  # fmt: skip

    def _post_old_header(self, outcome: Outcome) -> None:
        """The contract takes any certified header that is newer than its last one, from anybody, until it is frozen."""
        node = self._remains.plan.death_order[0]
        heights = self._remains.disks.certified_heights(node, self._remains.checkpoint_height)
        if len(heights) < 2:
            outcome.check("a dishonest validator has an old header to post", False, str(heights))
            return
        height = self._draw.choice(heights[:-1])
        final = self._remains.disks.certified(node, height)
        signers = set(final.certificate.signers())
        absent = [index for index in range(len(self._remains.network.nodes)) if index not in signers]
        self._stranger.checkpoint(final.block.header.encode(), absent, final.certificate.signature)
        outcome.check(
            "a dishonest validator posted an old certified header just before the freeze",
            self._stranger.last().height == height, f"height {height}, newest {heights[-1]}",
        )  # fmt: skip
        outcome.figures["late_height"] = height

    def _fetch_claims(self, outcome: Outcome) -> None:
        """Whose proof is not of the last checkpoint takes part in a claims file from a dead validator's disk."""
        people = self._remains.cast.everybody
        self._needy = people if self._remains.plan.has_late_poster else [
            person for person in people if person.name in self._remains.without_proof
        ]  # fmt: skip
        if not self._needy:
            return
        paid = [person.name for person in self._needy if self._try_proof(person)]
        outcome.check("their own proofs are of no use now", not paid, " ".join(paid))
        last = self._stranger.last()
        path = self._remains.cast.late.folder.with_name(f"claims-{last.height}")
        said = self._remains.disks.write_claims(last.height, path)
        outcome.check("a dead validator's disk gives everybody's proofs", bool(said), said)
        if not said:
            return
        self._claims, self._claims_path = read_claims(path.read_bytes()), path
        for person in self._needy:
            for proof in self._remains.disks.prove_withdrawals(self._claims, person.account.address):
                (person.folder / f"withdrawal-{proof['index']}.json").write_text(json.dumps(proof))

    def _freeze(self, outcome: Outcome) -> None:
        """Too early first, then when the forced entry is overdue."""
        reason = refusal_of(self._stranger.freeze)
        outcome.check("before the deadline nobody can freeze", reason == "freeze: too early", reason)
        wait_s = self._stranger.can_freeze().wait_s or 0
        deadline_s = self._stranger.force_deadline_s()
        is_soon = 0 < wait_s <= deadline_s + 1
        outcome.check("an entry that nobody consumes allows a freeze in time", is_soon, f"{wait_s} s")
        outcome.figures["waited_s"] = wait_s
        if self._remains.plan.has_late_poster:
            self._chain.pass_time(wait_s - LATE_S)
            self._post_old_header(outcome)
            wait_s = LATE_S
        self._chain.pass_time(wait_s + 1)
        outlook = self._stranger.can_freeze()
        outcome.check("the entry is overdue", outlook.is_possible and "overdue" in outlook.cause, outlook.cause)
        self._stranger.freeze()
        outcome.check("a stranger froze the contract", self._stranger.is_frozen())
        reason = refusal_of(
            lambda: self._as(self._remains.cast.late).deposit(self._remains.cast.late.account.address, 0, 1)
        )
        outcome.check("no deposit goes in any more", bool(reason), reason)
        if self._remains.plan.has_late_poster:  # withdrawals under a header are paid when it has stood for the delay
            self._chain.pass_time(self._stranger.claim_delay_s())

    # -------------------------------------------------------- what there is

    def _read_books(self) -> Books:
        checkpoint = self._stranger.last_checkpoint()
        assert checkpoint is not None
        sums = int.from_bytes(checkpoint.account_sums, "big")
        claims = [self._read_claim(person) for person in self._remains.cast.everybody]
        return Books(sums >> 128, sums % 2**128, self._stranger.pool(), claims)

    def _read_claim(self, person: Person) -> Claim:
        if person in self._needy and self._claims is not None:
            (index,) = self._claims.accounts_of(person.account.address)
            text = json.dumps(self._claims.proof(index))
        else:
            text = person.proof_path.read_text()
        proof = parse_proof(text)
        holdings = bytes.fromhex(json.loads(text)["holdings"].removeprefix("0x"))
        return Claim(person.name, proof.index, proof.claim_quote, proof.debt_quote, read_markets(holdings))

    def _check_story(self, outcome: Outcome) -> None:
        """The bad day that the drill is about has happened, by the last certified state."""
        books, markets = outcome.books, self._remains.network.config.markets
        options = {number for number, market in enumerate(markets) if market.kind in ("call", "put")}
        both = [
            claim.name for claim in books.claims
            if options & set(claim.markets) and not set(claim.markets) <= options
        ]  # fmt: skip
        outcome.check("traders hold perpetuals and options", len(both) >= 2, ", ".join(both))
        debt_quote = sum(claim.debt_quote for claim in books.claims)
        outcome.check("there is bad debt", 0 < debt_quote == books.debt_quote, money(debt_quote))
        outcome.check(
            "claims exceed the pool by the debt", books.claims_quote == books.pool_quote + books.debt_quote,
            f"claims {money(books.claims_quote)}, pool {money(books.pool_quote)}",
        )  # fmt: skip

    def _check_forced(self, outcome: Outcome, unread: list[InboxRecord]) -> None:
        owner = self._remains.cast.forcing.account.address
        forced = [entry for entry in unread if entry.kind == KIND_WITHDRAW and entry.sender == owner]
        outcome.check("the forced withdrawal was ignored", len(forced) == 1, f"{len(unread)} entries unread")

    def _list_unread(self) -> list[InboxRecord]:
        """Entries that no checkpoint consumed."""
        cursor, block = self._stranger.last().inbox_cursor, self._stranger.latest_block()
        return self._stranger.inbox_entries(cursor, INBOX_PAGE_MAX, to_block=block)

    def _list_dues(self, books: Books, unread: list[InboxRecord]) -> list[Due]:
        claims = {claim.name: claim for claim in books.claims}
        cast = self._remains.cast
        return [
            self._find_due(books, person, claims.get(person.name), unread) for person in [*cast.everybody, cast.late]
        ]

    def _find_due(self, books: Books, person: Person, claim: Claim | None, unread: list[InboxRecord]) -> Due:
        proofs = [json.loads(path.read_text()) for path in person.withdrawal_paths()]
        withdrawn = [parse_quote(proof["amount"]) for proof in proofs if not self._stranger.is_claimed(proof["index"])]
        returned = [
            entry.amount for entry in unread if entry.kind == KIND_DEPOSIT and entry.sender == person.account.address
        ]
        share_quote = 0 if claim is None else books.share(claim.claim_quote)
        return Due(person, claim, share_quote, sum(withdrawn), sum(returned))

    def _check_escrow(self, outcome: Outcome, escrow_quote: int, unread: list[InboxRecord], dues: list[Due]) -> None:
        unread_quote = sum(entry.amount for entry in unread if entry.kind == KIND_DEPOSIT)
        open_quote = sum(due.withdrawn_quote for due in dues)
        explained_quote = outcome.books.pool_quote + unread_quote + open_quote
        outcome.figures |= {
            "escrow_quote": escrow_quote, "unread_deposits_quote": unread_quote, "open_withdrawals_quote": open_quote,
        }  # fmt: skip
        outcome.check("a deposit is unread and a withdrawal is open", unread_quote > 0 and open_quote > 0,
                      f"{money(unread_quote)} and {money(open_quote)}")  # fmt: skip
        outcome.check(
            "the contract holds the pool, unread deposits and open withdrawals, to the unit",
            escrow_quote == explained_quote, f"{money(escrow_quote)}, explained {money(explained_quote)}",
        )  # fmt: skip

    # -------------------------------------------------------- the escapes

    def _escape_twice(self, outcome: Outcome, dues: list[Due]) -> None:
        """Everybody leaves in one order; the chain goes back; everybody leaves in another. The amounts are the same."""
        dues = list(dues)
        self._draw.shuffle(dues)
        before = self._chain.snapshot()
        first = {due.person.name: self._escape(due.person, self._run_tool_here)[0] for due in dues}
        self._chain.restore(before)
        self._draw.shuffle(dues)
        for due in dues:
            paid_quote, told_quote = self._escape(due.person, self._tool)
            outcome.payments.append(Payment(due, paid_quote, told_quote))
        second = {payment.due.person.name: payment.paid_quote for payment in outcome.payments}
        outcome.check("the order of leaving makes no difference", first == second, str(first) * (first != second))
        wrong = [payment.due.person.name for payment in outcome.payments if payment.paid_quote != payment.due.quote]
        outcome.check(
            "everybody got floor(claim x min(pool, claims) / claims), open withdrawals and unread deposits", not wrong,
            " ".join(wrong),
        )  # fmt: skip
        untold = [payment.due.person.name for payment in outcome.payments if payment.told_quote != payment.paid_quote]
        outcome.check("the tool told everybody what the chain paid", not untold, " ".join(untold))

    def _check_pool(self, outcome: Outcome) -> None:
        """The pool is paid out but for what no trader can claim."""
        books = outcome.books
        paid_quote = sum(payment.paid_quote - payment.due.returned_quote - payment.due.withdrawn_quote
                         for payment in outcome.payments)  # fmt: skip
        rest_quote = min(books.pool_quote, books.claims_quote) - paid_quote
        outcome.check(
            "payments and the exchange's own part are the pool", 0 <= books.residue_quote < len(books.claims) + 1
            and rest_quote == books.locked_quote + books.residue_quote,
            f"paid {money(paid_quote)}, own part {money(books.locked_quote)}, rounding {books.residue_quote} units",
        )  # fmt: skip
        outcome.figures |= {
            "paid_quote": paid_quote, "locked_quote": books.locked_quote, "residue_quote": books.residue_quote
        }  # fmt: skip

    def _escape(self, person: Person, tool: Callable[[list[str]], str]) -> tuple[int, int]:
        """What arrived, and what the tool said."""
        before_quote = self._stranger.token_balance(person.account.address)
        told_quote = read_told(tool(self._tool_arguments(person)))
        return self._stranger.token_balance(person.account.address) - before_quote, told_quote

    def _try_proof(self, person: Person) -> int:
        """What the trader's own account proof brings."""
        if not person.proof_path.exists():
            return 0
        options = ["--rpc", self._rpc_url, "--contract", self._contract, "--key", str(person.key_path)]
        return read_told(self._run_tool_here([str(person.proof_path), *options]))

    def _tool_arguments(self, person: Person) -> list[str]:
        """All that the trader has: account proof, withdrawal proofs, and the wish to have deposits back."""
        files = [str(path) for path in (person.proof_path, *person.withdrawal_paths()) if path.exists()]
        if self._claims_path is not None and person in self._needy:
            files = ["--snapshot", str(self._claims_path), *map(str, person.withdrawal_paths())]
        return [
            *files, "--rpc", self._rpc_url, "--contract", self._contract, "--key", str(person.key_path), "--refund",
            "--owner", person.account.address_text,
        ]  # fmt: skip

    @staticmethod
    def _run_tool_here(arguments: list[str]) -> str:
        out = io.StringIO()
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(io.StringIO()):
            escape_tool.main(arguments)
        return out.getvalue()

    @staticmethod
    def _run_tool(arguments: list[str]) -> str:
        """The command `hansa escape`, as a trader types it."""
        argv = [sys.executable, "-m", "validator", "escape", *arguments]
        return subprocess.run(argv, capture_output=True, text=True, timeout=TOOL_S).stdout

    # -------------------------------------------------------- what must not work, and the rest

    def _check_again(self, outcome: Outcome, dues: list[Due]) -> None:
        again = [due.person.name for due in dues if self._escape(due.person, self._run_tool_here)[0]]
        outcome.check("nobody is paid twice", not again, " ".join(again))

    def _check_rest(self, outcome: Outcome, escrow_quote: int) -> None:
        balance_quote = self._balance()
        expected_quote = outcome.books.pool_quote - outcome.figures["paid_quote"]
        outcome.figures["left_quote"] = balance_quote
        outcome.check(
            "what is left is the exchange's own part and the rounding, to the unit", balance_quote == expected_quote,
            f"{money(balance_quote)} of {money(escrow_quote)}",
        )  # fmt: skip

    def _as(self, person: Person) -> Settlement:
        return Settlement(self._rpc_url, self._contract, person.account.key)

    def _balance(self) -> int:
        return self._stranger.token_balance(self._stranger.address_bytes)


def refusal_of(action: Callable[[], object]) -> str:
    """Why the contract refuses; empty when it does not."""
    try:
        action()
    except Refused as refusal:
        return refusal.reason
    return ""


def read_told(stdout: str) -> int:
    """The sum of the payments that `hansa escape` printed."""
    return sum(parse_quote(text) for text in _PAID.findall(stdout))


def money(amount_quote: int) -> str:
    return f"{amount_quote // 10**6:,}.{amount_quote % 10**6:06}"
