"""`python -m contracts.escape_tool`: take an account's money out of the exchange when its committee is gone.

Needs an account proof that was saved while a node still answered, an RPC endpoint of the settlement chain and a key
that pays the gas. Posts the proof's header as the last checkpoint if it is newer, freezes the contract as soon as the
rules allow it, and has the account's share paid to the account's owner, whoever runs it. Running it again continues.

stdout: the paid amount. stderr: what happens. Exit status 1: not paid; the message says what to do.
"""

import argparse
import sys
from pathlib import Path

from eth_account import Account
from eth_utils import ValidationError, is_address

from contracts.records import ChainError, Refused
from contracts.saved_proof import ProofError, SavedProof, parse_proof
from contracts.settlement import SYSTEM_ACCOUNTS, Settlement


class NotPaid(Exception):
    """The account cannot be paid now; the message says why and what to do."""


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m contracts.escape_tool",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--rpc", required=True, help="URL of an RPC endpoint of the settlement chain")
    parser.add_argument("--contract", required=True, help="address of the settlement contract")
    parser.add_argument("--proof", type=Path, required=True, help="JSON file: the result of `public/x_get_proof`")
    parser.add_argument("--key", type=Path, required=True, help="file with the hex private key that pays the gas")
    options = parser.parse_args(arguments)
    try:
        proof = parse_proof(options.proof.read_text())
        if not is_address(options.contract):
            raise NotPaid(f"{options.contract} is no address: give the settlement contract's")
        settlement = Settlement(options.rpc, options.contract, _read_key(options.key))
        paid_quote = run(settlement, proof)
    except (NotPaid, ProofError, ChainError, OSError, UnicodeDecodeError) as error:
        print(f"not paid: {error}", file=sys.stderr)
        return 1
    except Refused as refusal:
        print(f"not paid: the contract refuses: {refusal.reason}", file=sys.stderr)
        return 1
    print(f"paid {_money(paid_quote)} to 0x{proof.owner.hex()}")
    return 0


def run(settlement: Settlement, proof: SavedProof) -> int:
    """Do whatever is still to be done; returns what the account's owner has been paid, in quote units."""
    _check_payable(settlement, proof)
    if not settlement.is_frozen():
        _post_header(settlement, proof)
        _check_height(settlement, proof)
        _freeze(settlement)
    _check_height(settlement, proof)
    entitlement_quote = settlement.entitlement(proof.claim_quote)
    _say(f"the pool of {_money(settlement.pool())} gives this account {_money(entitlement_quote)}")
    if entitlement_quote == 0:
        raise NotPaid("the pool is empty, or the account's share is below the smallest unit")
    settlement.escape(
        proof.index, proof.owner, proof.subaccount, proof.claim_quote, proof.debt_quote, proof.digest,
        proof.sibling_hashes, proof.sibling_sums,
    )  # fmt: skip
    return entitlement_quote


def _check_payable(settlement: Settlement, proof: SavedProof) -> None:
    _say(
        f"account {proof.index} of 0x{proof.owner.hex()}, subaccount {proof.subaccount}, height {proof.height}:"
        f" claim {_money(proof.claim_quote)}, debt {_money(proof.debt_quote)}"
    )
    if proof.index < SYSTEM_ACCOUNTS:
        raise NotPaid("it is an account of the exchange itself, which nobody can claim")
    if proof.claim_quote == 0:
        raise NotPaid("its equity was not above zero, so it has no share")
    if settlement.is_escaped(proof.index):
        raise NotPaid("its owner has been paid before; there is nothing left to do")


def _post_header(settlement: Settlement, proof: SavedProof) -> None:
    """Make the proof's header the last checkpoint, unless the contract has it or a later one."""
    if proof.height <= settlement.last().height:
        return
    _say(f"posting the header of height {proof.height}; the contract knows height {settlement.last().height}")
    absent = proof.absent(len(settlement.committee()))
    try:
        settlement.checkpoint(proof.header, absent, proof.signature)
    except ValueError as error:
        raise ProofError(f"the certificate's signature is damaged: {error}") from None
    except Refused as refusal:
        # Somebody else may have been faster, with this header or a freeze.
        last = settlement.last()
        if last.height < proof.height and not last.is_frozen:
            raise NotPaid(
                f"the contract refuses the proof's header ({refusal.reason}) and stays at height {last.height}:"
                " get a proof of that height from any former validator"
            ) from None


def _check_height(settlement: Settlement, proof: SavedProof) -> None:
    """Only the last checkpoint pays."""
    last = settlement.last_checkpoint()
    if last is None:
        raise NotPaid("the contract was frozen before its first checkpoint: there are only deposits to refund")
    if last.height != proof.height or last.header_hash != proof.header_hash:
        raise NotPaid(
            f"the last checkpoint has height {last.height} and header 0x{last.header_hash.hex()}, the proof has height"
            f" {proof.height} and header 0x{proof.header_hash.hex()}: get a proof of that checkpoint from any former"
            " validator"
        )


def _freeze(settlement: Settlement) -> None:
    try:
        settlement.freeze()
        _say("the contract is frozen: no deposits and no checkpoints any more")
    except Refused as refusal:
        if settlement.is_frozen():
            return
        outlook = settlement.can_freeze()
        raise NotPaid(
            f"the contract refuses to freeze ({refusal.reason}): possible in {_duration(outlook.wait_s or 0)}, because"
            f" then {outlook.cause}, unless the committee works again before; run this again then"
        ) from None


def _read_key(path: Path) -> bytes:
    try:
        key = bytes.fromhex(path.read_text().strip().removeprefix("0x"))
        Account.from_key(key)
    except (ValueError, ValidationError):
        raise NotPaid(f"{path} holds no private key: it must be 64 hex digits") from None
    return key


def _say(line: str) -> None:
    print(line, file=sys.stderr)


def _money(amount_quote: int) -> str:
    return f"{amount_quote // 10**6}.{amount_quote % 10**6:06} USDC"


def _duration(duration_s: int) -> str:
    if duration_s < 60:
        return f"{duration_s} s"
    minutes = -(-duration_s // 60)
    return f"{minutes // 60} h {minutes % 60} min" if minutes >= 60 else f"{minutes} min"


if __name__ == "__main__":
    sys.exit(main())
