"""Searching the records of several nodes for contradictions that none of them may hold alone.

After a fork each side has its own certificates, and a node that stopped early may have met neither half of a pair. What
is read: finalisation certificates of stored blocks, nullifications (kept for this purpose), and whatever the journals
still hold, votes included. Nothing read is believed: whoever uses the result checks the signatures.
"""

from collections.abc import Iterator
from pathlib import Path

from consensus.evidence import find_evidence
from consensus.journal import scan
from consensus.messages import Certificate, DecodeError, Evidence, Proposal, Vote, decode_message
from consensus.votes import as_certificate
from validator.config import Home
from validator.store import Store


def search(homes: list[Path], member_count: int, last: int) -> list[Evidence]:
    """Every conflicting pair in the newest `last` certificates of each kind, and in all of the journals.

    Raises `sqlite3.OperationalError` for a folder without a store.
    """
    statements: dict[Certificate, None] = {}
    for path in homes:
        statements.update(dict.fromkeys(read_statements(Home(path), member_count, last)))
    return find_evidence(statements)


def read_statements(home: Home, member_count: int, last: int) -> Iterator[Certificate]:
    """What one node's folder says was signed, by whom."""
    store = Store(home.data / "blocks.sqlite", is_read_only=True)
    yield from (certificate for _, certificate in store.direct_certificates(last))
    yield from store.nullifications(last)
    store.close()
    for path in sorted((home.data / "journal").glob("*.journal")):
        for record in scan(path.read_bytes())[0]:
            try:
                message = decode_message(record.body)
            except DecodeError:
                continue  # a record of another kind
            match message:
                case Certificate():
                    yield message
                case Vote():
                    yield as_certificate(message, member_count)
                case Proposal():
                    yield as_certificate(message.vote, member_count)
                    yield from message.nullifications
                case _:
                    pass
