"""Unix sockets between the processes of one operator: nobody else on the machine can open them."""

import logging
import os
import socket
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import trio

PATH_BYTES_MAX = 100
ACCEPT_PAUSE_S = 0.5


@contextmanager
def within_reach(path: Path) -> Iterator[Path]:
    """A name for a socket that the system takes, which is about a hundred bytes; deeper folders go by descriptor where
    there is a proc file system.
    """
    if len(os.fsencode(path)) <= PATH_BYTES_MAX:
        yield path
        return
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        yield Path(f"/proc/self/fd/{folder}") / path.name
    finally:
        os.close(folder)


async def connect_privately(path: Path) -> trio.SocketStream:
    """Raises `OSError` where nobody listens."""
    try:
        with within_reach(path) as reached:
            return await trio.open_unix_socket(str(reached))
    except RuntimeError as error:  # a system without such sockets
        raise OSError(str(error)) from None


def listen_privately(path: Path, backlog: int, group: int | None = None) -> trio.socket.SocketType:
    """A listening socket for this user alone, or for a group of users by its number; one that an earlier process left
    behind is replaced. Raises `OSError`.
    """
    path.unlink(missing_ok=True)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    mask = os.umask(0o177)
    try:
        with within_reach(path) as reached:
            listener.bind(str(reached))
            if group is not None:
                os.chown(reached, -1, group)
                os.chmod(reached, 0o660)
    finally:
        os.umask(mask)
    listener.listen(backlog)
    return trio.socket.from_stdlib_socket(listener)


async def serve_privately(
    path: Path, connections_max: int, serve: Callable[[trio.SocketStream], Awaitable[None]], log: logging.Logger,
    group: int | None = None,
) -> None:  # fmt: skip
    """`serve(connection)` for each, which must not raise; those over the limit are closed. Until cancelled."""
    try:
        listener = listen_privately(path, connections_max, group)
    except OSError as error:  # a file system without sockets, say: the validator does without readers
        log.error("socket.off path=%s error=%s", path, error)
        return
    open_count = 0

    async def serve_one(stream: trio.SocketStream) -> None:
        nonlocal open_count
        try:
            await serve(stream)
        finally:
            open_count -= 1
            await trio.aclose_forcefully(stream)

    try:
        async with trio.open_nursery() as nursery:
            while True:
                try:
                    connection, _ = await listener.accept()
                except OSError as error:  # no descriptor left, say
                    log.error("socket.refused path=%s error=%s", path, error)
                    await trio.sleep(ACCEPT_PAUSE_S)
                    continue
                if open_count >= connections_max:
                    connection.close()
                    continue
                open_count += 1
                nursery.start_soon(serve_one, trio.SocketStream(connection))
    finally:
        listener.close()
        path.unlink(missing_ok=True)
