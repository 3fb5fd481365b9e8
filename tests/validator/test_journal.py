"""The journal gives back what was synced, cuts a torn tail, refuses a torn middle."""

import pytest

from validator import journal as journal_module
from validator.journal import Journal, JournalError

RECORDS = [b"first", b"second" * 100, b"third"]


def write(folder, records):
    journal = Journal(folder)
    for record in records:
        journal.append(record)
    journal.close()


def test_records_come_back_in_order_across_runs(tmp_path):
    write(tmp_path, RECORDS[:2])
    write(tmp_path, RECORDS[2:])
    assert Journal(tmp_path).records == RECORDS


def test_a_torn_tail_is_cut_and_written_over(tmp_path):
    write(tmp_path, RECORDS)
    (path,) = tmp_path.glob("*.journal")
    path.write_bytes(path.read_bytes()[:-2])
    write(tmp_path, [b"fourth"])
    assert Journal(tmp_path).records == [*RECORDS[:2], b"fourth"]


def test_a_damaged_middle_is_refused(tmp_path):
    write(tmp_path, RECORDS)
    (path,) = tmp_path.glob("*.journal")
    data = bytearray(path.read_bytes())
    data[20] ^= 1
    path.write_bytes(data)
    with pytest.raises(JournalError, match="damaged in the middle"):
        Journal(tmp_path)


def test_old_segments_go_when_their_views_are_long_final(tmp_path, monkeypatch):
    monkeypatch.setattr(journal_module, "SEGMENT_BYTES_MAX", 100)
    journal = Journal(tmp_path)
    for view in range(1, 20):
        journal.append(b"x" * 200)
        journal.sync()
        journal.rotate(1, view, final_view=0, retain_views=3)
    assert len(list(tmp_path.glob("*.journal"))) == 20
    journal.rotate(1, 20, final_view=10, retain_views=3)
    kept = len(list(tmp_path.glob("*.journal")))
    journal.close()
    assert kept == 20 - 6
    assert len(Journal(tmp_path).records) == 19 - 6
