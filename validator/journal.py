"""The node's journal: consensus records appended, synced before anything that depends on them leaves, replayed at the
start.

Segments keep the file short: a new one begins after `SEGMENT_BYTES_MAX`, and an old one is deleted once every view it
can speak of lies far below the last final one. Errors of the disk are fatal: after a failed fsync the page cache may
lie.
"""

from pathlib import Path

from consensus.journal import CORRUPT_MIDDLE, encode_record, scan
from validator.files import Files

SEGMENT_BYTES_MAX = 4 * 1024 * 1024
RECORD_TYPE_CONSENSUS = 1


class JournalError(Exception):
    """The journal cannot be trusted or written: the node must stop before it signs."""


class Journal:
    """See the module's text. What is remembered of a segment: epoch and view that the core was in when it ended."""

    def __init__(self, folder: Path, files: Files | None = None) -> None:
        self._files = files or Files()
        self._files.make_folder(folder)
        self._folder = folder
        self._ended: list[tuple[Path, tuple[int, int] | None]] = []
        self.records: list[bytes] = []
        self._sequence = 0
        self._is_dirty = False
        self._replay()

    def _replay(self) -> None:
        paths = self._files.list_files(self._folder, ".journal")
        for at, path in enumerate(paths):
            data = self._files.read(path)
            records, valid_length, status = scan(data)
            if status == CORRUPT_MIDDLE or (valid_length < len(data) and at < len(paths) - 1):
                raise JournalError(
                    f"{path} is damaged in the middle: keep it for analysis and start over as an observer, "
                    "never delete it and vote again in this epoch"
                )
            if valid_length < len(data):
                self._files.truncate(path, valid_length)  # its outputs were never sent
            for record in records:
                self._sequence = record.sequence
                self.records.append(record.body)
            self._ended.append((path, None))
        self._open_segment(paths[-1] if paths else None)

    def _open_segment(self, path: Path | None) -> None:
        self._path = path or self._folder / f"{self._sequence + 1:016d}.journal"
        if path is not None:
            self._ended = [entry for entry in self._ended if entry[0] != path]
        self._descriptor = self._files.open_append(self._path)
        self._length = self._files.size(self._path)
        self._files.sync_folder(self._folder)

    def append(self, record: bytes) -> None:
        """Write; durable only after `sync`. Raises `JournalError`."""
        self._sequence += 1
        data = encode_record(self._sequence, RECORD_TYPE_CONSENSUS, record)
        try:
            if self._files.append(self._descriptor, data) != len(data):
                raise JournalError("the journal's disk is full")
        except OSError as error:
            raise JournalError(f"the journal cannot be written: {error}") from error
        self._length += len(data)
        self._is_dirty = True

    @property
    def is_synced(self) -> bool:
        """Whether everything appended is durable."""
        return not self._is_dirty

    @property
    def descriptor(self) -> int:
        """Of the file that is appended to."""
        return self._descriptor

    def sync(self) -> None:
        """Everything appended so far survives a crash when this returns. Raises `JournalError`."""
        if not self._is_dirty:
            return
        try:
            self._files.sync(self._descriptor)
        except OSError as error:
            self.on_synced(error)
        self.on_synced(None)

    def on_synced(self, error: OSError | None) -> None:
        """The disk has answered to a sync of all that was appended. Raises `JournalError`."""
        if error is not None:
            raise JournalError(f"the journal cannot be synced: {error}") from error
        self._is_dirty = False

    def rotate(self, epoch: int, view: int, final_view: int, retain_views: int) -> None:
        """Begin a new segment when this one is long; delete those that only speak of views long final, or of epochs
        that are over: views begin anew in each.
        """
        if self._length > SEGMENT_BYTES_MAX:
            self.sync()
            self._files.close(self._descriptor)
            self._ended.append((self._path, (epoch, view)))
            self._open_segment(None)
        kept: list[tuple[Path, tuple[int, int] | None]] = []
        for path, known in self._ended:
            ended = known or (epoch, view)  # left by an earlier run: nothing in it is newer than now
            if (ended[0], ended[1] + retain_views) < (epoch, final_view):
                self._files.unlink(path)
            else:
                kept.append((path, ended))
        self._ended = kept

    def close(self) -> None:
        self.sync()
        self._files.close(self._descriptor)
