"""Proofs that lie on the trader's own disk, shown and checked without any validator."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from net.client.keeping import read_kept
from net.client.proof import ProofError, verify_account
from net.client.protocol import Call
from net.client.verifying import UNCHECKED, Certainty
from validator.cli.terms import Terms, UsageError, print_json


def show_kept(terms: Terms, folder: Path, genesis: Path | None) -> None:
    """Raises `HansaError` without a kept proof, `ProofError` for one that does not hold."""
    from rich.console import Console

    from engine.units import format_quote
    from validator.cli import shown

    owner = terms.owner
    if owner is None:
        with terms.client() as client:
            owner = str(client.owner)
    path, raw = read_kept(folder, owner, terms.subaccount)
    claims_quote, debt_quote, header = verify_account(raw, bytes.fromhex(owner[2:]), terms.subaccount)
    certificate = UNCHECKED if genesis is None else judge(genesis, folder.parent, raw["certificate"], None)
    facts = {
        "file": str(path), "height": header.height, "header_hash": "0x" + header.hash().hex(),
        "claims": format_quote(claims_quote), "debt": format_quote(debt_quote), "certificate": certificate,
        "withdrawals": sorted(str(item) for item in folder.glob(f"{owner.lower()}-withdrawal-*.json")
                              if not item.name.endswith(".previous.json")),
    }  # fmt: skip
    if terms.as_json:
        print_json(facts)
    else:
        Console().print(shown.facts([(name.replace("_", " "), value) for name, value in facts.items()]))


def judge(genesis: Path, folder: Path, certificate: dict[str, Any], ask: Callable[[Call], Any] | None) -> str:
    """By the committees that are kept in `folder` and, if somebody can be asked, those that he proves."""
    try:
        from validator.verifier import open_verifier
    except ImportError as error:
        raise UsageError(f"--genesis: {error}") from None
    asking = Certainty(open_verifier(genesis, folder)).judge(certificate)
    try:
        call = next(asking)
        while ask is not None:
            call = asking.send(ask(call))
    except StopIteration as done:
        return str(done.value)
    raise ProofError(f"the committee of the proof's epoch is not among those that are kept in {folder}")
