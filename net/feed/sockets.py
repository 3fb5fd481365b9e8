"""Unix sockets between the processes of one operator: nobody else on the machine can open them."""

import logging
import os
import socket
from collections.abc import Awaitable, Callable
from pathlib import Path

import trio

ACCEPT_PAUSE_S = 0.5


def listen_privately(path: Path, backlog: int) -> trio.socket.SocketType:
    """A listening socket for this user alone; one that an earlier process left behind is replaced. Raises `OSError`."""
    path.unlink(missing_ok=True)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    mask = os.umask(0o177)
    try:
        listener.bind(str(path))
    finally:
        os.umask(mask)
    listener.listen(backlog)
    return trio.socket.from_stdlib_socket(listener)


async def serve_privately(
    path: Path, connections_max: int, serve: Callable[[trio.SocketStream], Awaitable[None]], log: logging.Logger
) -> None:
    """`serve(connection)` for each, which must not raise; those over the limit are closed. Until cancelled."""
    try:
        listener = listen_privately(path, connections_max)
    except OSError as error:  # a path over a hundred bytes, say: the validator does without readers
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
