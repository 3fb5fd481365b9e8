"""A1: whoever breaks agreement can be named. What two signed statements prove, judged without any code of the nodes.

Two statements of one view contradict each other if no honest member ever makes both: two blocks notarised or finalised
(E1, E2), nullify and finalize (E3), notarize one block and finalize another (E4). Whoever signed both is a culprit;
of two aggregates these are the members in both bitmaps (E6).
"""

import itertools
from collections.abc import Iterable, Sequence

from consensus.messages import FINALIZE, NOTARIZE, NULLIFY, Certificate, Vote
from testnet.sim.checkers.violation import require
from testnet.sim.keys import KeyRing

Statement = Vote | Certificate


def name_conflict(first: Statement, second: Statement) -> str:
    """Which rule of evidence applies; empty if an honest member may say both."""
    if (first.epoch, first.view) != (second.epoch, second.view):
        return ""
    kinds = {first.kind, second.kind}
    if kinds == {NULLIFY, FINALIZE}:
        return "E3"
    if NULLIFY in kinds or first.header_hash == second.header_hash:
        return ""
    if kinds == {NOTARIZE}:
        return "E1"
    return "E2" if kinds == {FINALIZE} else "E4"


def get_signers(statement: Statement) -> Sequence[int]:
    return (statement.signer,) if isinstance(statement, Vote) else statement.signers()


def find_culprits(first: Statement, second: Statement) -> tuple[int, ...]:
    """Who signed both halves of a contradiction."""
    if not name_conflict(first, second):
        return ()
    others = get_signers(second)
    return tuple(signer for signer in get_signers(first) if signer in others)


def is_genuine(keys: KeyRing, statement: Statement) -> bool:
    if isinstance(statement, Vote):
        return keys.is_genuine_vote(statement)
    return keys.is_genuine(statement)


def check_accusation(keys: KeyRing, byzantine: Sequence[int], first: Statement, second: Statement) -> tuple[int, ...]:
    """S9 for votes and certificates alike: the pair proves something, and only against liars."""
    require(bool(name_conflict(first, second)), "S9 evidence proves nothing")
    require(is_genuine(keys, first) and is_genuine(keys, second), "S9 evidence with a wrong signature")
    culprits = find_culprits(first, second)
    require(bool(culprits), "S9 evidence names nobody")
    for culprit in culprits:
        require(culprit in byzantine, f"S9 node {culprit} accused")
    return culprits


def expose(certificates: Iterable[Certificate]) -> tuple[dict[int, None], dict[str, int]]:
    """Everybody whom any two of these certificates name, and how often each rule applied."""
    by_view: dict[tuple[int, int], list[Certificate]] = {}
    for certificate in certificates:
        by_view.setdefault((certificate.epoch, certificate.view), []).append(certificate)
    culprits: dict[int, None] = {}
    rules: dict[str, int] = {}
    for group in by_view.values():
        for first, second in itertools.combinations(group, 2):
            rule = name_conflict(first, second)
            if rule:
                rules[rule] = rules.get(rule, 0) + 1
                culprits.update(dict.fromkeys(find_culprits(first, second)))
    return culprits, rules
