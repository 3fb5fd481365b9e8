"""What a frozen settlement contract owes to whom: reads proofs, claims files and the chain, and sends nothing.

Only the last checkpoint pays (docs/protocol.md, "The way out without the committee"), so all proofs that are to be paid
are of one header: the last checkpoint's, or a newer one that can still be posted. Money is in quote units.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from contracts.claims_file import ClaimsFile, ClaimsFileError, read_claims
from contracts.digests import KIND_DEPOSIT
from contracts.records import InboxRecord
from contracts.saved_proof import CertifiedHeader, ProofError, SavedProof, SavedWithdrawal, parse_saved, prove
from contracts.settlement import INBOX_PAGE_MAX, SYSTEM_ACCOUNTS, Settlement
from contracts.withdrawals_file import WithdrawalsFile, WithdrawalsFileError, read_withdrawals


class NotPaid(Exception):
    """Nothing can be paid now; the message says why and what to do."""


@dataclass(slots=True)
class Wishes:
    """Who is to be paid: single proofs, accounts of a claims file, withdrawals, and the owners of deposits."""

    proofs: list[SavedProof] = field(default_factory=list)
    withdrawals: list[SavedWithdrawal] = field(default_factory=list)
    filed: list[SavedWithdrawal] = field(default_factory=list)  # of a withdrawals file, where most were paid long ago
    snapshot: ClaimsFile | None = None
    owners: frozenset[bytes] = frozenset()
    is_everybody: bool = False

    def accounts(self) -> Iterator[SavedProof]:
        """Every account that is asked for, once."""
        seen = set()
        for proof in self.proofs:
            seen.add(proof.index)
            yield proof
        if self.snapshot is not None:
            for index in range(SYSTEM_ACCOUNTS, self.snapshot.account_count):
                if index in seen or not self.snapshot.has_account(index):
                    continue
                if self.is_everybody or self.snapshot.account(index).owner in self.owners:
                    yield prove(self.snapshot, index)

    def header(self) -> CertifiedHeader | None:
        """The one that all accounts are proven by; None without accounts. Raises `NotPaid` if there are several."""
        headers = {proof.certified.hash: proof.certified for proof in self.proofs}
        if self.snapshot is not None:
            certified = CertifiedHeader(self.snapshot.header, self.snapshot.bitmap, self.snapshot.signature)
            headers[certified.hash] = certified
        if len(headers) > 1:
            heights = ", ".join(str(height) for height in sorted(header.height for header in headers.values()))
            raise NotPaid(
                f"the files are of several headers (heights {heights}), and only one can pay: give one at a time"
            )
        return next(iter(headers.values()), None)

    def is_owner(self, address: bytes) -> bool:
        return self.is_everybody or address in self.owners


def read_wishes(
    paths: Iterable[Path], snapshot: Path | None, owners: Iterable[bytes], is_everybody: bool,
    withdrawals: Path | None = None,
) -> Wishes:  # fmt: skip
    """`withdrawals`: a withdrawals file, proven by the snapshot's header. Raises `ProofError` or `NotPaid`, naming the
    file, and `OSError`.
    """
    wishes = Wishes(owners=frozenset(owners), is_everybody=is_everybody)
    for path in paths:
        try:
            saved = parse_saved(path.read_text())
        except (ProofError, UnicodeDecodeError) as error:
            raise ProofError(f"{path}: {error}") from None
        if isinstance(saved, SavedProof):
            wishes.proofs.append(saved)
        else:
            wishes.withdrawals.append(saved)
        wishes.owners |= {saved.owner}
    if snapshot is not None:
        try:
            wishes.snapshot = read_claims(snapshot.read_bytes())
        except ClaimsFileError as error:
            raise ProofError(f"{snapshot}: {error}") from None
        if not (wishes.owners or is_everybody):
            raise NotPaid("say for whom: --owner ADDRESS, a proof file, or --all for everybody in the claims file")
    if withdrawals is not None:
        if wishes.snapshot is None:
            raise NotPaid("--withdrawals needs --snapshot, too: the header in the claims file proves them")
        try:
            filed = read_withdrawals(withdrawals.read_bytes(), wishes.snapshot.header)
        except WithdrawalsFileError as error:
            raise ProofError(f"{withdrawals}: {error}") from None
        wishes.filed = list(_list_withdrawals(filed, wishes, wishes.snapshot))
    return wishes


def _list_withdrawals(filed: WithdrawalsFile, wishes: Wishes, snapshot: ClaimsFile) -> Iterator[SavedWithdrawal]:
    """Those of the owners, paid out or not, but for those that have a proof of their own."""
    saved = {withdrawal.index for withdrawal in wishes.withdrawals}
    certified = CertifiedHeader(snapshot.header, snapshot.bitmap, snapshot.signature)
    for row in filed.rows:
        if wishes.is_owner(row.owner) and row.index not in saved:
            yield SavedWithdrawal(row.index, row.owner, row.token, row.amount, filed.proof(row.index), certified)


@dataclass(frozen=True, slots=True)
class Due:
    """One account: what it is owed (0: nothing), or in words why there is nothing."""

    proof: SavedProof
    amount: int
    obstacle: str = ""


def compute_pool_quote(settlement: Settlement, header: CertifiedHeader) -> int:
    """What the accounts share when this header is the last checkpoint."""
    return settlement.deposited_total(header.inbox_cursor) - header.withdrawals_total_quote


def find_due(settlement: Settlement, proof: SavedProof, pool_quote: int) -> Due:
    """What the account would be paid from such a pool, by the contract's own formula."""
    claims_quote = proof.certified.claims_quote
    if proof.index < SYSTEM_ACCOUNTS:
        return Due(proof, 0, "it is an account of the exchange itself, which nobody can claim")
    if proof.claim_quote == 0:
        return Due(proof, 0, "its equity was not above zero, so it has no share")
    share_quote = proof.claim_quote * min(pool_quote, claims_quote) // claims_quote
    if share_quote == 0:
        return Due(proof, 0, "the pool is empty, or the account's share is below the smallest unit")
    if settlement.is_escaped(proof.index):
        return Due(proof, 0, "its owner has been paid before; there is nothing left to do")
    return Due(proof, share_quote)


def find_refunds(settlement: Settlement, wishes: Wishes, cursor: int) -> Iterator[InboxRecord]:
    """Deposits from entry `cursor` on that have not gone back, of the owners asked for."""
    index, last_block = cursor, settlement.latest_block()
    while index < settlement.inbox_length():
        entries = settlement.inbox_entries(index, INBOX_PAGE_MAX, to_block=last_block)
        for entry in entries:
            is_wanted = wishes.is_owner(entry.sender) or wishes.is_owner(entry.beneficiary)
            if entry.kind == KIND_DEPOSIT and is_wanted and not settlement.is_refunded(entry.index):
                yield entry
        if not entries:
            return
        index = entries[-1].index + 1
