"""What `hansa doctor` asks of a node's folder: modes, keys, store, guard, journal, snapshots."""

import os
import sqlite3
import stat
from contextlib import closing
from pathlib import Path

from consensus.guard import SLOT_BYTES, decode_slots
from consensus.journal import CORRUPT_MIDDLE, TORN_TAIL, scan
from validator.join_checks import Answer, Applicant
from validator.observing import has_mark
from validator.passphrase import FILE_VARIABLE
from validator.store import Store, StoreError
from validator.voting_key import open_proving

FOLLOWING_SNAPSHOTS = 2  # so many intervals may pass without a new one, while blocks come


def check_modes(applicant: Applicant) -> Answer:
    """Nobody but the owner may read a secret, or write what a node believes."""
    home, wrong = applicant.home, list[str]()
    secrets = [*home.keys.glob("*"), *([Path(named)] if (named := os.environ.get(FILE_VARIABLE)) else [])]
    for path in secrets:
        if path.is_file() and path.stat().st_mode & 0o077:
            wrong.append(f"{path} can be read by others: chmod 600 {path}")
    for path in (home.path, home.config, home.genesis, home.keys, home.data, home.data / "guard"):
        if path.exists() and path.stat().st_mode & stat.S_IWOTH:
            wrong.append(f"{path} can be written by everybody: chmod o-w {path}")
        if path.exists() and not os.access(path, os.R_OK):
            wrong.append(f"{path} cannot be read: run this as the node's user, or chown it")
    return not wrong, "; ".join(wrong) or f"{len(secrets)} files of secrets, readable by their owner alone"


def check_keys(applicant: Applicant) -> Answer:
    return True, f"all open; the operator's account is {applicant.candidate.operator_text}"


def check_store(applicant: Applicant) -> Answer:
    path = applicant.home.data / "blocks.sqlite"
    if not path.exists():
        return True, "empty: the node has not run yet"
    try:
        with closing(Store(path, is_read_only=True)) as store:
            return True, f"blocks {store.earliest_height()} to {store.height()}"
    except StoreError as error:
        return False, str(error)
    except sqlite3.DatabaseError as error:
        return False, f"{path} is damaged ({error}): move it and snapshots/ away, leave guard and journal; start again"


def check_guard(applicant: Applicant) -> Answer:
    """What the key has signed, as the node would read it; with a signer of its own, whether that is there."""
    data, signer = applicant.home.data, applicant.home.signer_socket(applicant.node)
    if signer is not None:
        with closing(open_proving(signer, applicant.network.digest())) as link:
            return True, f"with the signer at {signer}, epoch {link.welcome.epoch}, view {link.welcome.view}"
    path = data / "guard"
    has_run = (data / "blocks.sqlite").exists()
    if not path.exists():
        cure = "the node will follow without voting: see 'A lost disk' in docs/operate.md"
        return not has_run, f"{path} is gone: {cure}" if has_run else "none yet: the key has signed nothing"
    slots = path.read_bytes()[: 2 * SLOT_BYTES]
    decoded = decode_slots(slots)
    if decoded is None and any(slots[:SLOT_BYTES]):
        return False, f"{path} is damaged: stay an observer until the next epoch, never restore an old copy"
    epoch = 0 if decoded is None else decoded[0].epoch
    if has_mark(data, epoch) and not applicant.node.vote_above_view:
        return False, f"it was lost in epoch {epoch}: wait for the next, or set vote_above_view (docs/operate.md)"
    return True, f"readable, epoch {epoch}"


def check_journal(applicant: Applicant) -> Answer:
    found, record_count = list[str](), 0
    paths = sorted((applicant.home.data / "journal").glob("*.journal"))
    for path in paths:
        records, _, status = scan(path.read_bytes())
        record_count += len(records)
        if status == CORRUPT_MIDDLE or (status == TORN_TAIL and path != paths[-1]):
            found.append(f"{path} is damaged in the middle: keep it, start over as an observer")
    return not found, "; ".join(found) or f"{record_count} records in {len(paths)} files"


def check_snapshots(applicant: Applicant) -> Answer:
    """Without a young one the next start replays long, and nobody can begin here."""
    data, interval_blocks = applicant.home.data, applicant.node.snapshot_interval_blocks
    heights = sorted(int(path.stem) for path in (data / "snapshots").glob("*.snapshot"))
    store = data / "blocks.sqlite"
    if not store.exists():
        return True, "none yet"
    with closing(Store(store, is_read_only=True)) as found:
        height = found.height()
    behind = height - (heights[-1] if heights else 0)
    if behind > (1 + FOLLOWING_SNAPSHOTS) * interval_blocks:
        return False, f"the newest is {behind} blocks old: is {data / 'snapshots'} writable, the disk full?"
    return True, f"heights {', '.join(map(str, heights)) or 'none yet'}; the node is at {height}"


FOLDER_QUESTIONS = (
    ("modes", check_modes), ("keys", check_keys), ("store", check_store), ("guard", check_guard),
    ("journal", check_journal), ("snapshots", check_snapshots),
)  # fmt: skip
