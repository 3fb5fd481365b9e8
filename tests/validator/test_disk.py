"""Waiting for several files at once, without threads and with them."""

import os
from pathlib import Path

import pytest
import trio

from validator.disk import Disk, open_queue


class Notes:
    """A file that notes what it is told. Writes to it are real."""

    def __init__(self, descriptor: int) -> None:
        self.descriptor = descriptor
        self.is_synced = False

    def write(self, data: bytes) -> None:
        os.write(self.descriptor, data)
        self.is_synced = False

    def sync(self) -> None:
        try:
            os.fdatasync(self.descriptor)
        except OSError as error:
            self.on_synced(error)
        self.on_synced(None)

    def on_synced(self, error: OSError | None) -> None:
        if error is not None:
            raise RuntimeError("the disk is gone") from error
        self.is_synced = True


@pytest.fixture(params=["without threads", "with threads"])
def disk(request, tmp_path):
    queue = open_queue(tmp_path) if request.param == "without threads" else None
    if queue is None and request.param == "without threads":
        pytest.skip("this system has no asynchronous syncs: nodes use threads here")
    made = Disk(queue)
    yield made
    made.close()


@pytest.fixture
def files(tmp_path):
    made = [Notes(os.open(tmp_path / name, os.O_RDWR | os.O_CREAT)) for name in ("journal", "guard", "store")]
    yield made
    for file in made:
        os.close(file.descriptor)


async def test_files_are_durable_when_the_wait_is_over_and_not_before(disk, files):
    for count in (3, 1, 2, 3):
        for file in files[:count]:
            file.write(b"x" * 5_000)
        begun = disk.begin(files[:count])
        assert begun == (disk._queue is not None)
        assert not any(file.is_synced for file in files[:count])
        await disk.wait()
        assert all(file.is_synced for file in files[:count])


async def test_nothing_to_wait_for_is_no_wait(disk):
    assert not disk.begin([])
    with trio.fail_after(5):
        await disk.wait()


async def test_others_run_meanwhile(disk, files):
    """The loop is not held: another task gets its turn before the disk has answered for the last time."""
    turns = 0

    async def count() -> None:
        nonlocal turns
        while True:
            await trio.lowlevel.checkpoint()
            turns += 1

    async with trio.open_nursery() as nursery:
        nursery.start_soon(count)
        for _ in range(5):
            files[0].write(b"y")
            disk.begin(files[:1])
            await disk.wait()
        nursery.cancel_scope.cancel()
    assert turns


@pytest.mark.parametrize("place", [0, 1])
async def test_a_file_that_cannot_be_synced_raises_its_own_error(disk, files, place):
    reading, writing = os.pipe()  # of which no disk knows
    given = [*files[:1]]
    given.insert(place, Notes(writing))
    with pytest.raises((RuntimeError, ExceptionGroup)) as caught:
        disk.begin(given)
        await disk.wait()
    error = caught.value.exceptions[0] if isinstance(caught.value, ExceptionGroup) else caught.value
    assert str(error) == "the disk is gone" and isinstance(error.__cause__, OSError)
    os.close(reading), os.close(writing)


async def test_a_wait_that_is_cancelled_leaves_nothing_behind(files, tmp_path):
    """A node that ends in the middle of a round ends in order."""
    disk = Disk(open_queue(tmp_path))
    files[0].write(b"z")
    disk.begin(files[:1])
    with trio.CancelScope() as scope:
        scope.cancel()
        await disk.wait()
    disk.close()
    assert not files[0].is_synced


def test_where_no_file_can_be_synced_so_there_is_no_queue():
    assert open_queue(Path("/proc")) is None
