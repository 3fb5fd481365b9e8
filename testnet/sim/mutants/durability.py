"""Bugs of what is remembered: journal, guard, the order of disk and network."""

import sqlite3
from collections.abc import Callable
from contextlib import suppress

from consensus import guard as guard_rules
from consensus import journal as framing
from consensus import recovery, votes
from consensus.effects import CancelTimer
from consensus.guard import Allowed, GuardState
from consensus.journal import CLEAN, CORRUPT_MIDDLE, TORN_TAIL, Record
from testnet.sim.mutants.patches import Mutant, Patches
from validator import journal, signer
from validator.agreement import Agreement
from validator.disk import Durable
from validator.journal import Journal
from validator.signer import Signer


def own_votes_not_persisted(patches: Patches) -> None:
    patches.put(votes, "Persist", lambda record: CancelTimer(("nothing", 0)))


def votes_forgotten_at_restart(patches: Patches) -> None:
    patches.put(recovery, "restore_vote", lambda *_: None)


def sends_before_it_syncs(patches: Patches) -> None:
    honest = Agreement.write_out

    def write_out(driver: Agreement) -> list[Durable]:
        honest(driver)
        return []

    patches.put(Agreement, "write_out", write_out)


def failed_writes_ignored(patches: Patches) -> None:
    def write_out(driver: Agreement) -> list[Durable]:
        driver._must_flush = False
        with suppress(sqlite3.Error):
            driver._store.commit()
        for part in (driver._journal, driver._signer.guard, driver._store):
            if part is not None:
                ignore_failure(part.sync)
        return []

    patches.put(Agreement, "write_out", write_out)


def ignore_failure(sync: Callable[[], None]) -> None:
    with suppress(journal.JournalError, signer.SignerError, OSError):
        sync()


def short_write_ignored(patches: Patches) -> None:
    """A full disk takes half a record, and the next one is written behind it."""

    def append(log: Journal, record: bytes) -> None:
        log._sequence += 1
        data = framing.encode_record(log._sequence, journal.RECORD_TYPE_CONSENSUS, record)
        log._files.append(log._descriptor, data)
        log._is_dirty = True

    failed_writes_ignored(patches)
    patches.put(Journal, "append", append)


def torn_tail_kept(patches: Patches) -> None:
    """What a crash tore stays in the file, and new records follow it."""

    def scan(data: bytes) -> tuple[list[Record], int, str]:
        records, length, status = framing.scan(data)
        return (records, len(data), CLEAN) if status == TORN_TAIL else (records, length, status)

    patches.put(journal, "scan", scan)


def damaged_middle_accepted(patches: Patches) -> None:
    """Records after a flipped bit are cut off as if nobody had ever heard of them."""

    def scan(data: bytes) -> tuple[list[Record], int, str]:
        records, length, status = framing.scan(data)
        return records, length, TORN_TAIL if status == CORRUPT_MIDDLE else status

    patches.put(journal, "scan", scan)


def checksum_unchecked(patches: Patches) -> None:
    def read_at(data: bytes, offset: int) -> Record | None:
        if len(data) - offset < framing._FRAME.size:
            return None
        length, _, sequence, record_type = framing._FRAME.unpack_from(data, offset)
        start = offset + framing._FRAME.size
        return Record(sequence, record_type, data[start : start + length]) if start + length <= len(data) else None

    patches.put(framing, "_read_at", read_at)


def guard_allows_everything(patches: Patches) -> None:
    patches.put(signer, "check", lambda state, *_: Allowed(state))


def guard_never_written(patches: Patches) -> None:
    patches.put(Signer, "_write", lambda keeper, _: setattr(keeper, "_is_synced", True))


def guard_trusts_the_older_slot(patches: Patches) -> None:
    def decode_slots(data: bytes) -> tuple[GuardState, int] | None:
        half = guard_rules.SLOT_BYTES
        slots = [guard_rules._decode_slot(data[at : at + half]) for at in (0, half)]
        return min((slot for slot in slots if slot is not None), key=lambda slot: slot[1], default=None)

    patches.put(signer, "decode_slots", decode_slots)


MUTANTS = (
    Mutant(own_votes_not_persisted, "D1"),
    Mutant(votes_forgotten_at_restart, "D2", "crashes unguarded"),
    Mutant(sends_before_it_syncs, "D1"),
    Mutant(failed_writes_ignored, "D3", "disk errors"),
    Mutant(short_write_ignored, "D3", "full disks"),
    Mutant(torn_tail_kept, "D3", "crashes"),
    Mutant(damaged_middle_accepted, "D3", "rotten disks"),
    Mutant(checksum_unchecked, "D3", "rotten disks"),
    Mutant(guard_allows_everything, "D2", "forgetful"),
    Mutant(guard_never_written, "D2", "forgetful"),
    Mutant(guard_trusts_the_older_slot, "D2", "forgetful"),
)
