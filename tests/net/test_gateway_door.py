"""Who may connect to the API: the policy as tables, and what a real server does with sockets."""

import json
import random
import socket
from contextlib import suppress
from urllib.parse import urlsplit

import httpx
import pytest
import trio
import trio.testing
from test_gateway_backend import DictBackend
from test_gateway_inputs import ask, running, websocket
from test_gateway_mute import ask_much, connect

from net.doorkeeper import FAILURE_HALF_LIFE_S, SHUT_OUT_FIRST_S, SHUT_OUT_LAST_S
from net.gateway.door import Door, Visit
from net.gateway.limits import Limits

HOME, STREET = "127.0.0.1", "127.0.0.2"
SMALL = Limits(
    sockets_max=12, connections_per_address_max=8, handshakes_per_s=2, handshakes_burst=3, bad_endings_max=4,
    refused_sockets_max=2, refused_socket_s=5.0, addresses_max=8,
)  # fmt: skip
ANSWERED = b"HTTP/1.1 200"
GET = b"GET /api/v2/public/test HTTP/1.1\r\nHost: h\r\n\r\n"
UNFINISHED = b"POST /api/v2 HTTP/1.1\r\nHost: h\r\nContent-Length: 1000\r\n\r\n{"


# the policy


def test_handshakes_beyond_the_burst_begin_one_after_the_other() -> None:
    door = Door(SMALL)
    assert [door.knock(STREET, 0.0).wait_s for _ in range(8)] == [0.0, 0.0, 0.0, 0.5, 1.0, 1.5, 2.0, 2.5]
    assert door.knock(HOME, 0.0).wait_s == 0.0, "another address has a turn of its own"


def test_who_has_waited_comes_in_at_a_steady_rate_and_a_quiet_address_has_its_burst_again() -> None:
    door = Door(SMALL)
    for visit in [door.knock(STREET, 0.0) for _ in range(5)]:
        door.leave(visit)
    assert door.knock(STREET, 1.0).wait_s == 0.5
    assert [door.knock(STREET, 10.0).wait_s for _ in range(4)] == [0.0, 0.0, 0.0, 0.5]


def test_nobody_waits_longer_than_all_sockets_of_his_address_take() -> None:
    """However often one comes and goes: a socket that waits holds a place, and who has none is in nobody's way."""
    draw, door, now_s = random.Random(1), Door(SMALL), 0.0
    open_visits: list[tuple[float, Visit]] = []
    for _ in range(2_000):
        now_s += draw.random() * 0.1
        for until_s, visit in [each for each in open_visits if each[0] <= now_s]:
            open_visits.remove((until_s, visit))
            door.leave(visit)
        visit = door.knock(STREET, now_s)
        open_visits.append((now_s + visit.wait_s, visit))
        if not visit.refusal:
            assert visit.wait_s <= SMALL.connections_per_address_max / SMALL.handshakes_per_s


def test_the_addresses_of_one_network_are_judged_as_one() -> None:
    door = Door(SMALL)
    visits = [door.knock(f"2001:db8:0:1::{host}", 0.0) for host in range(1, 10)]
    assert [visit.wait_s for visit in visits[:5]] == [0.0, 0.0, 0.0, 0.5, 1.0] and visits[8].refusal
    for _ in range(SMALL.bad_endings_max):
        door.fail("2001:db8:0:1::77", 0.0)
    assert door.knock("2001:db8:0:1::78", 0.0).refusal == "shut out" and not door.knock("2001:db8:0:2::1", 0.0).refusal
    for visit in visits:
        door.leave(visit)


def test_only_so_many_sockets_are_read_from() -> None:
    door = Door(SMALL)
    visits = [door.knock(STREET, 0.0) for _ in range(9)]
    assert [visit.refusal for visit in visits[7:]] == ["", "too many connections of the address"]
    assert [door.knock(HOME, 0.0).refusal for _ in range(5)] == [""] * 4 + ["too many connections"]
    door.leave(visits[0])
    assert door.knock(STREET, 0.0).refusal == ""


def test_a_refused_socket_is_held_while_there_are_few() -> None:
    door = Door(SMALL)
    refused = [visit for visit in (door.knock(STREET, 0.0) for _ in range(12)) if visit.refusal]
    assert [visit.wait_s for visit in refused] == [5.0, 5.0, 0.0, 0.0]
    for visit in refused:
        door.leave(visit)
    assert door.knock(STREET, 0.0).wait_s == 5.0


# What happens at which second, and for how long that shuts the address out.
ENDINGS = [
    ("few bad endings shut nobody out", [0.0, 1.0, 2.0], [0, 0, 0]),
    ("a few more do", [0.0, 0.0, 0.0, 0.0], [0, 0, 0, SHUT_OUT_FIRST_S]),
    ("seldom ones are forgotten", [at * FAILURE_HALF_LIFE_S for at in range(20)], [0] * 20),
    ("those of one wave count once", [0.0] * 4 + [1.0] * 8, [0, 0, 0, SHUT_OUT_FIRST_S] + [0] * 8),
    ("the next wave counts double", [0.0] * 4 + [31.0] * 4, [0, 0, 0, SHUT_OUT_FIRST_S, 0, 0, 0, 2 * SHUT_OUT_FIRST_S]),
]


@pytest.mark.parametrize(("times_s", "shut_out_s"), [row[1:] for row in ENDINGS], ids=[row[0] for row in ENDINGS])
def test_bad_endings(times_s: list[float], shut_out_s: list[float]) -> None:
    door = Door(SMALL)
    assert [door.fail(STREET, at_s) for at_s in times_s] == shut_out_s


def test_who_is_shut_out_comes_back_later_every_time_and_nobody_else_is() -> None:
    door, now_s, durations_s = Door(SMALL), 0.0, []
    for _ in range(6):
        durations_s.append(max(door.fail(STREET, now_s) for _ in range(SMALL.bad_endings_max)))
        assert door.knock(STREET, now_s + durations_s[-1] - 0.1).refusal == "shut out"
        door.leave(home := door.knock(HOME, now_s))
        assert home.refusal == ""
        now_s += durations_s[-1]
        assert door.knock(STREET, now_s).refusal == ""
    assert durations_s == [min(SHUT_OUT_LAST_S, SHUT_OUT_FIRST_S * 2**times) for times in range(6)]


def test_memory_is_bounded_and_what_is_open_is_never_forgotten() -> None:
    draw, door = random.Random(1), Door(SMALL)
    kept = door.knock(HOME, 0.0)
    for number in range(1_000):
        door.leave(door.knock(f"203.0.113.{draw.randrange(256)}", float(number)))
        assert len(door._visitors) <= SMALL.addresses_max
    door.leave(kept)
    assert door._open_count == door._refused_count == 0


# a real server


async def dial(url: str, source: str = HOME) -> trio.SocketStream:
    place = urlsplit(url)
    assert place.hostname is not None and place.port is not None
    return await trio.open_tcp_stream(place.hostname, place.port, local_address=source)


async def say(tcp: trio.SocketStream, data: bytes) -> bytes:
    """One answer; nothing at all when the other end hangs up."""
    answer = b""
    with suppress(trio.BrokenResourceError):
        await tcp.send_all(data)
        while not answer.endswith(b"}") and (part := await tcp.receive_some()):
            answer += part
    return answer


async def end_badly(url: str, source: str, times: int) -> None:
    for _ in range(times):
        async with await dial(url, source) as tcp:
            assert b"400" in await say(tcp, b"\x00 is no HTTP\r\n\r\n")
    await trio.testing.wait_all_tasks_blocked(0.05)


async def test_all_who_come_at_once_get_in_one_after_the_other() -> None:
    limits, served_s = Limits(shutdown_s=0.1, handshakes_burst=10, handshakes_per_s=20), []
    async with running(DictBackend(), limits) as url:
        began_s = trio.current_time()

        async def visit() -> None:
            async with await dial(url) as tcp:
                assert (await say(tcp, GET)).startswith(ANSWERED)
                served_s.append(trio.current_time() - began_s)

        with trio.fail_after(20):
            async with trio.open_nursery() as nursery:
                for _ in range(40):
                    nursery.start_soon(visit)
    assert len(served_s) == 40
    assert max(served_s) >= 1.5, "thirty of them at twenty a second"
    assert sum(at_s < 1.0 for at_s in served_s) <= 10 + 20


async def test_an_address_is_shut_out_without_a_byte_and_nobody_else_is() -> None:
    limits = Limits(shutdown_s=0.1, bad_endings_max=3, refused_socket_s=0.2)
    async with running(DictBackend(), limits) as url, await dial(url, STREET) as kept:
        assert (await say(kept, GET)).startswith(ANSWERED)
        await end_badly(url, STREET, 4)
        with trio.fail_after(5):
            async with await dial(url, STREET) as tcp:
                began_s = trio.current_time()
                assert await say(tcp, GET) == b""
                assert trio.current_time() - began_s > 0.1, "it is not hung up on at once"
        async with await dial(url) as tcp:
            assert (await say(tcp, GET)).startswith(ANSWERED), "another address"
        assert (await say(kept, GET)).startswith(ANSWERED), "what was open before"


async def test_the_last_bad_ending_is_told_to_the_operator(caplog: pytest.LogCaptureFixture) -> None:
    async with running(DictBackend(), Limits(shutdown_s=0.1, bad_endings_max=2)) as url:
        await end_badly(url, STREET, 3)
    assert f"api.shut_out address={STREET} seconds=30 ending='it speaks no HTTP'" in caplog.text


async def test_more_sockets_than_an_address_may_hold_are_not_read() -> None:
    limits = Limits(shutdown_s=0.1, connections_per_address_max=2, refused_socket_s=0.1)
    async with running(DictBackend(), limits) as url, await dial(url) as first, await dial(url) as second:
        for tcp in (first, second):
            assert (await say(tcp, GET)).startswith(ANSWERED)
        async with await dial(url) as third:
            assert await say(third, GET) == b""
        async with await dial(url, STREET) as other:
            assert (await say(other, GET)).startswith(ANSWERED)
        await first.aclose()
        await trio.testing.wait_all_tasks_blocked(0.05)
        async with await dial(url) as fourth:
            assert (await say(fourth, GET)).startswith(ANSWERED)


async def test_who_never_ends_a_request_is_told_and_shut_out() -> None:
    limits = Limits(shutdown_s=0.1, request_s_max=0.3, bad_endings_max=2, refused_socket_s=0.1)
    async with running(DictBackend(), limits) as url:
        for _ in range(3):
            async with await dial(url, STREET) as tcp:
                with trio.fail_after(5):
                    answer = await say(tcp, UNFINISHED)
                    assert await tcp.receive_some() == b""
                assert answer.startswith(b"HTTP/1.1 408") and b'"request_too_slow"' in answer
        await trio.testing.wait_all_tasks_blocked(0.05)
        async with await dial(url, STREET) as tcp:
            assert await say(tcp, GET) == b""


async def test_who_never_reads_is_shut_out() -> None:
    limits = Limits(shutdown_s=0.1, send_s_max=1, requests_burst=100_000, bad_endings_max=2, refused_socket_s=0.1)
    async with running(DictBackend(), limits) as url:
        mute = [await trio.to_thread.run_sync(connect, url) for _ in range(3)]
        for client in mute:
            await trio.to_thread.run_sync(ask_much, client)
        await trio.sleep(2.5)  # twice as long as a write may take
        async with await dial(url) as tcp:
            assert await say(tcp, GET) == b""
        async with await dial(url, STREET) as tcp:
            assert (await say(tcp, GET)).startswith(ANSWERED)
    for client in mute:
        client.close()


async def test_who_comes_and_goes_politely_is_never_shut_out() -> None:
    """Requests without keep-alive, sockets that are opened in advance and never used, WebSockets that just end."""
    limits = Limits(shutdown_s=0.1, bad_endings_max=2)
    async with running(DictBackend(), limits) as url:
        for _ in range(5):
            async with await dial(url):
                pass
            async with httpx.AsyncClient(base_url=url, headers={"connection": "close"}) as http:
                assert (await http.get("/api/v2/public/test")).status_code == 200
                assert (await http.post("/api/v2", content=b"no JSON")).status_code == 400
            lost = await trio.to_thread.run_sync(connect, url)
            lost.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\x00\x00\x00\x00\x00\x00\x00")
            lost.close()  # with a reset
        async with websocket(url) as connection:
            assert "result" in await ask(connection, json.dumps({"id": 1, "method": "public/test"}))
