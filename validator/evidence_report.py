"""What a piece of evidence says, checked from scratch: for the API, and for people who must decide what to do."""

from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from consensus import crypto
from consensus.evidence import (
    CERTIFICATE_PAIR,
    DOUBLE_FINALIZE,
    DOUBLE_NOTARIZE,
    DOUBLE_PROPOSAL,
    NOTARIZE_FINALIZE,
    NULLIFY_FINALIZE,
    Nothing,
    compute_key,
    judge,
)
from consensus.messages import (
    FINALIZE,
    NOTARIZE,
    NULLIFY,
    Certificate,
    Evidence,
    compute_domain,
    quorum,
    vote_digest,
)
from net.gateway.backend import EvidenceView
from validator.config import NetworkConfig, address_bytes
from validator.prosecutor import read_evidence
from validator.store import CaseRow

if TYPE_CHECKING:  # a node reports, too, and prints nothing
    from rich.console import RenderableType
    from rich.table import Table

KIND_NAMES = {NOTARIZE: "notarize", NULLIFY: "nullify", FINALIZE: "finalize"}
OFFENCE_TEXTS = {
    DOUBLE_NOTARIZE: "notarized two blocks in one view",
    DOUBLE_FINALIZE: "finalized two blocks in one view",
    NULLIFY_FINALIZE: "nullified and finalized one view",
    NOTARIZE_FINALIZE: "notarized one block and finalized another in one view",
    DOUBLE_PROPOSAL: "proposed two blocks in one view",
    CERTIFICATE_PAIR: "signed two certificates that contradict each other: the committee has forked",
}


@dataclass(frozen=True, slots=True)
class CulpritReport:
    """A member and the keys it is known by."""

    index: int
    operator: str
    bls_key: str


@dataclass(frozen=True, slots=True)
class StatementReport:
    """One half of the evidence."""

    kind: str
    header_hash: str
    signers: list[int]
    is_certificate: bool
    is_genuine: bool
    signature: str


@dataclass(frozen=True, slots=True)
class CourtReport:
    """What the court knows; `transaction` is one that convicted a culprit of this offence, if it was found."""

    is_decided: bool
    guilty: list[int]
    transaction: str | None = None


@dataclass(frozen=True, slots=True)
class CaseReport:
    """`fault` says why the evidence proves nothing; empty if it proves its case."""

    key: str
    type: str
    text: str
    epoch: int
    view: int
    fault: str
    culprits: list[CulpritReport]
    statements: list[StatementReport]
    headers: list[str]
    evidence: str
    court: CourtReport | None = None


def show_evidence(row: CaseRow, count_members: Callable[[int], int]) -> EvidenceView:
    """A stored case for the API; what is stored was judged before. `count_members` of an epoch."""
    key, data, transaction_hash = row
    evidence = read_evidence(data)
    verdict = judge(evidence, count_members(evidence.first.epoch))
    if isinstance(verdict, Nothing):
        raise ValueError(f"the store holds evidence that proves nothing: {verdict.reason}")
    return EvidenceView(
        key, data, verdict.offence, verdict.epoch, verdict.view, verdict.culprits, transaction_hash is not None,
        transaction_hash or b"",
    )  # fmt: skip


def make_report(data: bytes, network: NetworkConfig) -> CaseReport:
    """Judge evidence in its wire form against a network's committee. Raises `DecodeError`."""
    evidence = read_evidence(data)
    members = len(network.validators)
    statements = [make_statement_report(known, network) for known in (evidence.first, evidence.second)]
    verdict = judge(evidence, members)
    common: dict[str, Any] = {
        "epoch": evidence.first.epoch, "view": evidence.first.view, "statements": statements,
        "headers": [header.encode().hex() for header in evidence.headers], "evidence": data.hex(),
    }  # fmt: skip
    if isinstance(verdict, Nothing):
        return CaseReport(key="", type="none", text="", fault=verdict.reason, culprits=[], **common)
    fault = "" if all(known.is_genuine for known in statements) else "a signature is wrong"
    entries = [(member, network.validators[member]) for member in verdict.culprits]
    return CaseReport(
        key=compute_key(verdict).hex(), type=f"E{verdict.offence}", text=OFFENCE_TEXTS[verdict.offence], fault=fault,
        culprits=[CulpritReport(index, entry.operator, entry.bls_key) for index, entry in entries], **common,
    )  # fmt: skip


def make_statement_report(statement: Certificate, network: NetworkConfig) -> StatementReport:
    signers = statement.signers()
    return StatementReport(
        kind=KIND_NAMES[statement.kind], header_hash=statement.header_hash.hex(), signers=signers,
        is_certificate=len(signers) >= quorum(len(network.validators)),
        is_genuine=is_genuine(statement, network), signature=statement.signature.hex(),
    )  # fmt: skip


def is_genuine(statement: Certificate, network: NetworkConfig) -> bool:
    """Whether the aggregate is that of the members the bitmap names, for this network's contract."""
    signers = statement.signers()
    if not signers or signers[-1] >= len(network.validators):
        return False
    domain = compute_domain(network.chain_id, address_bytes(network.contract))
    digest = vote_digest(domain, statement.kind, statement.epoch, statement.view, statement.header_hash)
    keys = [bytes.fromhex(network.validators[signer].bls_key) for signer in signers]
    return crypto.verify_aggregate(keys, digest, statement.signature)


def report_to_json(report: CaseReport) -> dict[str, Any]:
    return asdict(report)


def render_list(reports: Iterable[CaseReport]) -> "Table":
    """One row a case."""
    from rich.table import Table

    table = Table("case", "type", "epoch", "view", "culprits", "what they did", "signatures", "court")
    for report in reports:
        culprits = ", ".join(str(culprit.index) for culprit in report.culprits)
        table.add_row(
            report.key[:12] or "-", report.type, str(report.epoch), str(report.view), culprits or "-",
            report.fault or report.text, verdict_text(report), court_text(report),
        )  # fmt: skip
    return table


def render_case(report: CaseReport) -> "RenderableType":
    """Everything about one case."""
    from rich.console import Group
    from rich.table import Table
    from rich.text import Text

    head = Text(f"{report.type}: {report.text or report.fault}", style="bold")
    lines = [f"case {report.key or '-'}", f"epoch {report.epoch}, view {report.view}"]
    lines += [f"signatures: {verdict_text(report)}", f"court: {court_text(report)}"]
    culprits = Table("member", "operator", "BLS key", title="culprits", title_justify="left")
    for culprit in report.culprits:
        culprits.add_row(str(culprit.index), culprit.operator, culprit.bls_key)
    statements = Table("statement", "block", "signers", "signature", title="statements", title_justify="left")
    for known in report.statements:
        form = "certificate" if known.is_certificate else "vote"
        block = "-" if known.kind == "nullify" else known.header_hash
        signature = "right" if known.is_genuine else "WRONG"
        statements.add_row(f"{known.kind} ({form})", block, ", ".join(map(str, known.signers)), signature)
    parts: list[RenderableType] = [head, *lines, culprits, statements]
    if report.headers:
        parts.append("both headers are part of the evidence: --json prints them")
    return Group(*parts)


def verdict_text(report: CaseReport) -> str:
    return "both right" if all(known.is_genuine for known in report.statements) else "WRONG: this proves nothing"


def court_text(report: CaseReport) -> str:
    court = report.court
    if court is None:
        return "not asked"
    if not court.is_decided:
        return "does not know it"
    return "convicted" + (f" by transaction {court.transaction}" if court.transaction else "")


def pair_of(report: CaseReport) -> Evidence:
    """The evidence itself."""
    return read_evidence(bytes.fromhex(report.evidence))
