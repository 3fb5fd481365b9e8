"""Waiting for the disk: several files at once, and without a thread where the system can.

Before anything leaves this node, up to three files are synced (journal, guard, store), several times for each block. A
thread for each costs more than the sync itself: it must be woken, take the interpreter's lock twice and wake the loop
again, each time behind whoever is running. Linux takes a list of syncs in one call and tells by a descriptor that they
are done (`io_submit` with IOCB_CMD_FDSYNC, 4.18 and later), which the loop waits for like for a socket. The kernel's
calls have no wrapper in the C library, so they are made by number. Where there are none, or where the
file system refuses them, a thread for each file it is.
"""

import ctypes
import errno
import os
import platform
import select
import struct
import sys
import tempfile
import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Protocol

import trio

from validator.histogram import Histogram

FILES_MAX = 8

# <asm/unistd.h>: io_setup, io_destroy, io_getevents, io_submit.
_CALLS = {"x86_64": (206, 207, 208, 209), "aarch64": (0, 1, 4, 2)}
# <linux/aio_abi.h>: struct iocb and struct io_event, for machines that store the low byte first.
_REQUEST = struct.Struct("<QIIHhIQQqQII")
_EVENT = struct.Struct("<QQqq")
_FDSYNC = 3
_TELL_DESCRIPTOR = 1  # IOCB_FLAG_RESFD


class Durable(Protocol):
    """A file with writes that must survive a crash before what depends on them is said."""

    @property
    def is_synced(self) -> bool: ...

    @property
    def descriptor(self) -> int:
        """What is to be synced."""

    def sync(self) -> None:
        """Wait for the disk here and now."""

    def on_synced(self, error: OSError | None) -> None:
        """The disk has answered. Raises the file's own error when it could not."""


class SyncQueue:
    """The kernel's asynchronous syncs, one list at a time. Raises `OSError` where there are none."""

    def __init__(self) -> None:
        if sys.platform != "linux" or platform.machine() not in _CALLS:
            raise OSError(errno.ENOSYS, "asynchronous syncs are known for Linux on x86-64 and arm64 only")
        self._setup, self._destroy, self._getevents, self._submit = _CALLS[platform.machine()]
        self._syscall = ctypes.CDLL(None, use_errno=True).syscall
        self._syscall.restype = ctypes.c_long
        context = ctypes.c_ulong(0)
        self._call(self._setup, FILES_MAX, ctypes.byref(context))
        self._context = context.value
        self._told = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self._requests = [ctypes.create_string_buffer(_REQUEST.size) for _ in range(FILES_MAX)]
        self._pointers = (ctypes.c_void_p * FILES_MAX)(*map(ctypes.addressof, self._requests))
        self._events = ctypes.create_string_buffer(FILES_MAX * _EVENT.size)
        self._waiting_count = 0

    def _call(self, number: int, *arguments: object) -> int:
        result: int = self._syscall(
            ctypes.c_long(number), *(ctypes.c_long(it) if isinstance(it, int) else it for it in arguments)
        )
        if result < 0:
            code = ctypes.get_errno()
            raise OSError(code, os.strerror(code))
        return result

    def submit(self, descriptors: Sequence[int]) -> None:
        """Let the kernel begin. Raises `OSError` for what it does not take."""
        for index, descriptor in enumerate(descriptors):
            _REQUEST.pack_into(
                self._requests[index], 0, index, 0, 0, _FDSYNC, 0, descriptor, 0, 0, 0, 0, _TELL_DESCRIPTOR, self._told
            )
        begun = 0
        while begun < len(descriptors):
            pointers = ctypes.byref(self._pointers, begun * ctypes.sizeof(ctypes.c_void_p))
            taken = self._call(self._submit, self._context, len(descriptors) - begun, pointers)
            begun += taken
            self._waiting_count += taken

    async def wait(self) -> list[OSError | None]:
        """The answers to all that was submitted, in its order."""
        count, told = self._waiting_count, 0
        while told < count:
            await trio.lowlevel.wait_readable(self._told)
            told += os.eventfd_read(self._told)
        return self._read_answers(count)

    def wait_blocking(self) -> list[OSError | None]:
        """As `wait`, for before there is a loop."""
        count, told = self._waiting_count, 0
        while told < count:
            select.select([self._told], [], [])
            told += os.eventfd_read(self._told)
        return self._read_answers(count)

    def _read_answers(self, count: int) -> list[OSError | None]:
        self._call(self._getevents, self._context, count, count, self._events, None)
        self._waiting_count = 0
        answers: list[OSError | None] = [None] * count
        for index, _, result, _ in _EVENT.iter_unpack(self._events.raw[: count * _EVENT.size]):
            if result < 0:
                answers[index] = OSError(-result, os.strerror(-result))
        return answers

    def close(self) -> None:
        """Waits for what is under way."""
        self._call(self._destroy, self._context)
        os.close(self._told)


def open_queue(folder: Path) -> SyncQueue | None:
    """None where the system has none or does not let us, or where the file system of `folder` refuses them."""
    try:
        queue = SyncQueue()
    except OSError:
        return None
    try:
        with tempfile.TemporaryFile(dir=folder) as scratch:
            queue.submit([scratch.fileno()])
            refused = queue.wait_blocking()[0]
    except OSError as error:
        refused = error
    if refused is None:
        return queue
    queue.close()
    return None


class Disk:
    """What a node waits for the disk with: `begin`, then `wait`, one after the other."""

    def __init__(self, queue: SyncQueue | None) -> None:
        self._queue = queue
        self._files: Sequence[Durable] = ()
        self._begun_s = 0.0
        self.seconds = Histogram()
        self._slots = trio.CapacityLimiter(FILES_MAX)

    def begin(self, files: Sequence[Durable]) -> bool:
        """Whether the disk works from here on, whatever we do; else it does in `wait`. Raises what the files raise."""
        self._files, self._begun_s = files, time.monotonic()
        if self._queue is None or not files:
            return False
        try:
            self._queue.submit([file.descriptor for file in files])
        except OSError as error:
            files[0].on_synced(error)
        return True

    async def wait(self) -> None:
        """Until all of the files are durable. Raises what the files raise."""
        files, self._files = self._files, ()
        if not files:
            return
        await self._wait(files)
        self.seconds.observe(time.monotonic() - self._begun_s)

    async def _wait(self, files: Sequence[Durable]) -> None:
        if self._queue is None:
            async with trio.open_nursery() as nursery:
                for file in files:
                    nursery.start_soon(partial(trio.to_thread.run_sync, file.sync, limiter=self._slots))
            return
        for file, error in zip(files, await self._queue.wait(), strict=True):
            file.on_synced(error)

    def close(self) -> None:
        if self._queue is not None:
            self._queue.close()
