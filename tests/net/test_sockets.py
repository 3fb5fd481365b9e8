"""Sockets between the processes of one operator."""

import logging
import stat
from pathlib import Path

import pytest
import trio

from net.feed.sockets import connect_privately, serve_privately

LOG = logging.getLogger("test")


async def echo(stream: trio.SocketStream) -> None:
    await stream.send_all(await stream.receive_some())


@pytest.mark.parametrize("folders", [1, 12])
async def test_a_folder_may_be_as_deep_as_it_likes(folders: int, tmp_path: Path, nursery: trio.Nursery) -> None:
    home = tmp_path.joinpath(*["a-folder-of-folders"] * folders)
    home.mkdir(parents=True)
    path = home / "some.sock"
    nursery.start_soon(serve_privately, path, 2, echo, LOG)
    with trio.fail_after(30):
        while not path.exists():
            await trio.sleep(0.005)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    with trio.fail_after(30):
        stream = await connect_privately(path)
        await stream.send_all(b"hello")
        assert await stream.receive_some() == b"hello"
    await stream.aclose()


async def test_who_is_over_the_limit_is_closed_and_room_comes_back(tmp_path: Path, nursery: trio.Nursery) -> None:
    path = tmp_path / "some.sock"
    nursery.start_soon(serve_privately, path, 1, echo, LOG)
    with trio.fail_after(30):
        while not path.exists():
            await trio.sleep(0.005)
        first, second = await connect_privately(path), await connect_privately(path)
        assert await second.receive_some() == b""
        await first.send_all(b"hello")
        assert await first.receive_some() == b"hello" and await first.receive_some() == b""
        third = await connect_privately(path)
        await third.send_all(b"again")
        assert await third.receive_some() == b"again"


async def test_nobody_there_is_an_error_of_the_system(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="No such file"):
        await connect_privately(tmp_path / "some.sock")
