"""Strangers who attack go on, whatever is done to their connections."""

import struct
from collections import Counter

import pytest
import trio

from net.committee import MemberAddress
from testnet.hostile.attacker import ATTACKS
from testnet.hostile.scene import ApiAddress, Scene
from validator.keys import Keys

RESET = struct.pack("ii", 1, 0)
ENOUGH = 20


async def hang_up(stream: trio.SocketStream) -> None:
    """With a reset, as who has heard enough."""
    await stream.receive_some(1)
    stream.setsockopt(trio.socket.SOL_SOCKET, trio.socket.SO_LINGER, RESET)
    await stream.aclose()


@pytest.mark.parametrize(
    ("name", "counted"),
    [
        ("junk", "closed by the node"), ("slow negotiation", "closed by the node"), ("connections", "connections"),
        ("api flood", "connections"), ("api junk", "bytes sent"), ("api slow readers", "slow requests dropped"),
    ],
)  # fmt: skip
async def test_an_attack_outlives_resets(name: str, counted: str, nursery: trio.Nursery) -> None:
    listeners = await nursery.start(trio.serve_tcp, hang_up, 0)
    port = listeners[0].socket.getsockname()[1]
    victim = MemberAddress(0, bytes(32), "127.0.0.1", port)
    keys = Keys(b"\1" * 32, b"\2" * 32, b"\3" * 32)
    scene = Scene((victim,), (ApiAddress("127.0.0.1", port),), bytes(32), keys, bytes(32))
    done: Counter[str] = Counter()
    seen = trio.Event()

    def count(what: str, times: int) -> None:
        done[what] += times
        if done[counted] >= ENOUGH:
            seen.set()

    nursery.start_soon(ATTACKS[name], scene, count)
    with trio.fail_after(20):
        await seen.wait()
    assert nursery.child_tasks, "it goes on"
    nursery.cancel_scope.cancel()
