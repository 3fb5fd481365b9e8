"""`hansa escape`, also `python -m contracts.escape_tool`: take money out of the exchange when its committee is gone.

Needs an RPC endpoint of the settlement chain and what was saved while a node still answered: account proofs
(`public/x_get_proof`), or a claims file of the last checkpoint with everybody's. Without --key it only reads and tells
what would be paid. With a key, which only pays the gas, it posts the proofs' header as the last checkpoint if that is
newer, freezes the contract as soon as the rules allow it, and has each account's share paid to the account's owner,
whoever runs this. Open withdrawals are claimed from their proofs, frozen or not; --refund returns deposits that
no checkpoint consumed. What is done is on the chain, so a run that was interrupted goes on when it is started again.

stdout: a line for each payment. stderr: what happens. Exit status 1: something is not paid; the message says what to
do.
"""

import argparse
import sys
from dataclasses import dataclass, field
from pathlib import Path

from eth_account import Account
from eth_utils import ValidationError, is_address, to_canonical_address

from contracts.escape_plan import Due, NotPaid, Wishes, compute_pool_quote, find_due, find_refunds, read_wishes
from contracts.records import ChainError, Refused
from contracts.saved_proof import CertifiedHeader, ProofError, SavedWithdrawal
from contracts.settlement import Settlement

BAR_CELLS = 30


def main(arguments: list[str] | None = None) -> int:
    options = _parse(arguments)
    try:
        owners = [_read_address(text, "owner") for text in options.owner]
        wishes = read_wishes(
            [*options.proof, *options.files], options.snapshot, owners, options.all, options.withdrawals
        )
        _read_address(options.contract, "settlement contract")
        key = None if options.key is None else _read_key(options.key)
        settlement = Settlement(options.rpc, options.contract, key)
        wishes.withdrawals += [filed for filed in wishes.filed if not settlement.is_claimed(filed.index)]
        if key is None or options.dry_run:
            return show(settlement, wishes)
        problems = Escape(settlement, wishes, options.refund).run()
    except (NotPaid, ProofError, ChainError, OSError) as error:
        return _fail(str(error))
    except Refused as refusal:
        return _fail(f"the contract refuses: {refusal.reason}")
    return max([0, *map(_fail, problems)])


def _parse(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="hansa escape", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("files", type=Path, nargs="*", help="saved proofs of accounts and withdrawals, JSON")
    parser.add_argument("--rpc", required=True, help="URL of an RPC endpoint of the settlement chain")
    parser.add_argument("--contract", required=True, help="address of the settlement contract")
    parser.add_argument("--proof", type=Path, action="append", default=[], help="the same as FILES")
    parser.add_argument("--snapshot", type=Path, help="a claims file: its accounts of the owners, or all")
    parser.add_argument("--withdrawals", type=Path, help="a withdrawals file: what is open of the owners', or all")
    parser.add_argument("--owner", action="append", default=[], help="address whose accounts and deposits are meant")
    parser.add_argument("--all", action="store_true", help="everybody in the claims file; anyone may pay the gas")
    parser.add_argument("--refund", action="store_true", help="also return the owners' unconsumed deposits")
    parser.add_argument(
        "--key", type=Path, help="file with the hex private key that pays the gas; without it: look only"
    )
    parser.add_argument("--dry-run", action="store_true", help="look only, even with a key")
    return parser.parse_args(arguments)


# -------------------------------------------------------- looking


def show(settlement: Settlement, wishes: Wishes) -> int:
    """Tell what would be paid; 1 if nothing would."""
    header, last = wishes.header(), settlement.last()
    total_quote, cursor = 0, last.inbox_cursor
    if header is not None:
        _check_height(settlement, header, may_post=True)
        if header.height > last.height:
            _say(f"would post the header of height {header.height}; the contract knows height {last.height}")
            cursor = header.inbox_cursor
        for due in _list_due(settlement, wishes, header):
            owner = f"0x{due.proof.owner.hex()}"
            if due.amount:
                print(f"would pay {_money(due.amount)} to {owner} for account {due.proof.index}")
            else:
                _say(f"account {due.proof.index} of {owner}: {due.obstacle}")
            total_quote += due.amount
    for withdrawal in wishes.withdrawals:
        if settlement.is_claimed(withdrawal.index):
            _say(f"withdrawal {withdrawal.index}: {_PAID_BEFORE}")
            continue
        rest = withdrawal.amount - settlement.payouts().paid_part(withdrawal.index)
        text = _amount(settlement, withdrawal.token, rest)
        print(f"would pay {text} to 0x{withdrawal.owner.hex()} for withdrawal {withdrawal.index}")
        total_quote += rest if withdrawal.token == settlement.token_address else 0
    for entry in find_refunds(settlement, wishes, cursor):
        print(f"would return {_money(entry.amount)} to 0x{entry.sender.hex()} for deposit {entry.index} (--refund)")
        total_quote += entry.amount
    print(f"in all {_money(total_quote)}")
    if not last.is_frozen:
        outlook = settlement.can_freeze()
        wait = "now" if outlook.is_possible else f"in {_duration(outlook.wait_s or 0)} unless the committee works again"
        _say(f"not frozen yet: shares and refunds need a freeze, possible {wait}: {outlook.cause} then")
    _say("nothing was sent; run it with --key KEYFILE to act")
    return 0 if total_quote else 1


_PAID_BEFORE = "it has been paid before; there is nothing left to do"


def _list_due(settlement: Settlement, wishes: Wishes, header: CertifiedHeader) -> list[Due]:
    pool_quote = compute_pool_quote(settlement, header)
    return [find_due(settlement, proof, pool_quote) for proof in wishes.accounts()]


# -------------------------------------------------------- acting


@dataclass
class Escape:
    """One run. `problems` collects what could not be paid while everything else goes on."""

    settlement: Settlement
    wishes: Wishes
    is_refunding: bool
    problems: list[str] = field(default_factory=list)

    def run(self) -> list[str]:
        """Do whatever is still to be done. Raises `NotPaid` if nothing can be."""
        for withdrawal in self.wishes.withdrawals:
            self._claim(withdrawal)
        header = self.wishes.header()
        due = [] if header is None else self._choose(header)
        if not due and not self.is_refunding:
            return self.problems
        if not self.settlement.is_frozen():
            if header is not None and due:
                self._post(header)
                _check_height(self.settlement, header)
            self._freeze()
        if header is not None and due:
            _check_height(self.settlement, header)
            self._pay(due)
        if self.is_refunding:
            self._refund()
        return self.problems

    def _choose(self, header: CertifiedHeader) -> list[Due]:
        """The accounts that there is something to pay to. Who was named one by one is told why there is nothing."""
        _check_height(self.settlement, header, may_post=True)
        due = _list_due(self.settlement, self.wishes, header)
        named = {proof.index for proof in self.wishes.proofs}
        self.problems += [f"account {item.proof.index}: {item.obstacle}" for item in due
                          if item.obstacle and item.proof.index in named]  # fmt: skip
        payable = [item for item in due if item.amount]
        _say(f"height {header.height}: {len(payable)} of {len(due)} accounts are to be paid")
        return payable

    def _post(self, header: CertifiedHeader) -> None:
        """Make the header the last checkpoint, unless the contract has it or a later one."""
        last = self.settlement.last()
        if header.height <= last.height:
            return
        _say(f"posting the header of height {header.height}; the contract knows height {last.height}")
        absent = header.absent(self.settlement.committee_size())
        try:
            self.settlement.checkpoint(header.header, absent, header.signature)
        except ValueError as error:
            raise ProofError(f"the certificate's signature is damaged: {error}") from None
        except Refused as refusal:
            # Somebody else may have been faster, with this header or a freeze.
            last = self.settlement.last()
            if last.height < header.height and not last.is_frozen:
                raise NotPaid(
                    f"the contract refuses the proof's header ({refusal.reason}) and stays at height {last.height}:"
                    " get a proof of that height from any former validator"
                ) from None

    def _freeze(self) -> None:
        try:
            self.settlement.freeze()
            _say("the contract is frozen: no deposits and no checkpoints any more")
        except Refused as refusal:
            if self.settlement.is_frozen():
                return
            outlook = self.settlement.can_freeze()
            raise NotPaid(
                f"the contract refuses to freeze ({refusal.reason}): possible in {_duration(outlook.wait_s or 0)},"
                f" because then {outlook.cause}, unless the committee works again before; run this again then"
            ) from None

    def _pay(self, due: list[Due]) -> None:
        bar = Bar(len(due))
        for item in due:
            proof = item.proof
            try:
                self.settlement.escape(
                    proof.index, proof.owner, proof.subaccount, proof.claim_quote, proof.debt_quote, proof.digest,
                    proof.sibling_hashes, proof.sibling_sums,
                )  # fmt: skip
            except Refused as refusal:
                # Paid by somebody else meanwhile, or the token refuses this owner: nobody else has to wait for that.
                self.problems.append(f"account {proof.index} of 0x{proof.owner.hex()}: {refusal.reason}")
                continue
            bar.step(item.amount)
            print(f"paid {_money(item.amount)} to 0x{proof.owner.hex()}", flush=True)
        bar.close()

    def _refund(self) -> None:
        for entry in find_refunds(self.settlement, self.wishes, self.settlement.last().inbox_cursor):
            try:
                self.settlement.refund(entry)
            except Refused as refusal:
                self.problems.append(f"deposit {entry.index} of 0x{entry.sender.hex()}: {refusal.reason}")
                continue
            print(f"returned {_money(entry.amount)} to 0x{entry.sender.hex()}", flush=True)

    def _claim(self, withdrawal: SavedWithdrawal) -> None:
        """A withdrawal needs no freeze, only a checkpoint of its proof's header and that checkpoint's age."""
        name, header = f"withdrawal {withdrawal.index}", withdrawal.certified
        if self.settlement.is_claimed(withdrawal.index):
            self.problems.append(f"{name}: {_PAID_BEFORE}")
            return
        record = self.settlement.checkpoint_at(header.height)
        if record is None and not self.settlement.is_frozen():
            accounts = self.wishes.header()
            if accounts is not None and accounts.hash != header.hash:
                self.problems.append(
                    f"{name}: its proof is of height {header.height}, which is no checkpoint, and to make it the last"
                    f" one would spoil the accounts' proofs of height {accounts.height}: save one of that height"
                )
                return
            self._post(header)
            record = self.settlement.checkpoint_at(header.height)
        if record is None or record.header_hash != header.hash:
            self.problems.append(
                f"{name}: its proof is of height {header.height}, which is no checkpoint: save another"
            )
            return
        payouts = self.settlement.payouts()
        before = payouts.paid_part(withdrawal.index)
        try:
            self.settlement.claim_withdrawal(
                header.height, withdrawal.index, withdrawal.owner, withdrawal.amount, withdrawal.siblings,
                withdrawal.token,
            )  # fmt: skip
        except Refused as refusal:
            minutes = -(-self.settlement.claim_delay_s() // 60)
            self.problems.append(f"{name}: {refusal.reason}; a checkpoint pays {minutes} min after it was posted")
            return
        is_whole = self.settlement.is_claimed(withdrawal.index)
        paid = withdrawal.amount if is_whole else payouts.paid_part(withdrawal.index)
        text = _amount(self.settlement, withdrawal.token, paid - before)
        print(f"paid {text} to 0x{withdrawal.owner.hex()}", flush=True)
        if not is_whole:
            self.problems.append(f"{name}: the day's outflow cap admits no more; run this again later for the rest")


def _check_height(settlement: Settlement, header: CertifiedHeader, may_post: bool = False) -> None:
    """Only the last checkpoint pays. `may_post`: a newer header can still become it."""
    last = settlement.last_checkpoint()
    if may_post and not settlement.is_frozen() and (last is None or last.height < header.height):
        return
    if last is None:
        raise NotPaid("the contract was frozen before its first checkpoint: there are only deposits to refund")
    if last.height != header.height or last.header_hash != header.hash:
        raise NotPaid(
            f"the last checkpoint has height {last.height} and header 0x{last.header_hash.hex()}, the proof has height"
            f" {header.height} and header 0x{header.hash.hex()}: get a proof of that checkpoint from any former"
            " validator"
        )


class Bar:
    """How many of many payments are made, in one line of a terminal; elsewhere nothing."""

    def __init__(self, count: int) -> None:
        self._count, self._done, self._paid_quote = count, 0, 0
        self._is_shown = count > 1 and sys.stderr.isatty() and not sys.stdout.isatty()

    def step(self, paid_quote: int) -> None:
        self._done += 1
        self._paid_quote += paid_quote
        if self._is_shown:
            cells = BAR_CELLS * self._done // self._count
            bar = "#" * cells + "." * (BAR_CELLS - cells)
            print(
                f"\r[{bar}] {self._done}/{self._count}  {_money(self._paid_quote)}", end="", file=sys.stderr, flush=True
            )

    def close(self) -> None:
        if self._is_shown:
            print(file=sys.stderr)
        elif self._count > 1:
            _say(f"{self._done} of {self._count} accounts paid, {_money(self._paid_quote)}")


def _read_address(text: str, what: str) -> bytes:
    if not is_address(text):
        raise NotPaid(f"{text} is no address: give the {what}'s")
    return to_canonical_address(text)


def _read_key(path: Path) -> bytes:
    try:
        key = bytes.fromhex(path.read_text().strip().removeprefix("0x"))
        Account.from_key(key)
    except (ValueError, ValidationError):
        raise NotPaid(f"{path} holds no private key: it must be 64 hex digits") from None
    return key


def _fail(reason: str) -> int:
    _say(f"not paid: {reason}")
    return 1


def _say(line: str) -> None:
    print(line, file=sys.stderr)


def _money(amount_quote: int) -> str:
    return f"{amount_quote // 10**6}.{amount_quote % 10**6:06} USDC"


def _amount(settlement: Settlement, token: bytes, amount: int) -> str:
    return _money(amount) if token == settlement.token_address else f"{amount} units of token 0x{token.hex()}"


def _duration(duration_s: int) -> str:
    if duration_s < 60:
        return f"{duration_s} s"
    minutes = -(-duration_s // 60)
    return f"{minutes // 60} h {minutes % 60} min" if minutes >= 60 else f"{minutes} min"


if __name__ == "__main__":
    sys.exit(main())
