"""Credits: what a request costs, what a client sees of it, and that reading too much never stops a cancel."""

import json
from dataclasses import replace
from itertools import pairwise

import httpx
import pytest
import trio
from test_gateway_backend import DictBackend
from test_gateway_inputs import ask, buy, running, websocket
from trio_websocket import WebSocketConnection

from net.gateway.credits import AddressCredits, CreditPools, hold_back, price_request
from net.gateway.limits import Limits
from net.gateway.methods import METHODS

FEW = replace(Limits(shutdown_s=0.1), requests_per_s=0, requests_burst=3)
TIME = json.dumps({"id": 1, "method": "public/get_time"})

PRICES = [
    ("public/get_time", 10, ("non_matching", 500)),
    ("private/get_positions", 10, ("non_matching", 500)),
    ("private/buy", 10, ("matching", 500)),
    ("private/cancel", 2049, ("matching", 1000)),
    ("public/x_submit", 6000, ("matching", 1500)),
    ("public/x_decode_action", 10, ("non_matching", 500)),
    ("public/x_get_proof", 10, ("non_matching", 5000)),
    ("public/get_instruments", 10, ("non_matching", 10_000)),
    ("public/get_tradingview_chart_data", 10, ("non_matching", 10_000)),
    ("public/get_book_summary_by_currency", 10, ("non_matching", 2_500)),
    ("public/get_instruments", 40_050, ("non_matching", 200_000)),
    ("public/nothing", 10, ("non_matching", 500)),
]


@pytest.mark.parametrize(("name", "size_bytes", "price"), PRICES)
def test_what_a_request_costs(name: str, size_bytes: int, price: tuple[str, int]) -> None:
    assert price_request(METHODS.get(name), Limits(), size_bytes) == price


def test_credits_come_back_and_the_wait_is_told() -> None:
    pools = CreditPools(replace(Limits(), requests_per_s=10, requests_burst=2), 0)
    assert [pools.take("matching", 500, 0) for _ in range(3)] == [0, 0, 101]
    assert pools.left() == {"matching": 0, "non_matching": 1000}
    assert pools.wait_for_any_ms(0) == 0, "the other pool is full"
    assert pools.take("matching", 500, 0.2) == 0
    assert pools.take("non_matching", 10**6, 0.2) == 0, "what costs more than there can be takes all there is"
    assert pools.wait_for_any_ms(0.2) == pools.take("matching", 500, 0.2) or pools.left()["matching"] == 500


def test_connections_of_an_address_share_a_larger_pool() -> None:
    addresses = AddressCredits(replace(Limits(), requests_per_s=0, requests_burst=2, address_share=2))
    first, second, third = (addresses.of_connection("a", 0) for _ in range(3))
    assert [pools.take("matching", 1000, 0) for pools in (first, second)] == [0, 0]
    assert third.take("matching", 500, 0) > 0 and third.left()["matching"] == 0
    assert addresses.of_connection("b", 0).take("matching", 1000, 0) == 0
    assert addresses.over_http("a", 0).take("matching", 500, 0) > 0
    assert addresses.over_http("a", 0).take("non_matching", 500, 0) == 0


async def test_over_a_websocket_who_has_read_too_much_can_still_trade() -> None:
    backend = DictBackend()
    async with running(backend, FEW) as url, websocket(url) as connection:
        answers = [await ask(connection, TIME) for _ in range(4)]
        assert [answer.get("error", {}).get("code") for answer in answers] == [None, None, None, 10028]
        assert answers[3]["error"]["data"]["retry_after_ms"] > 0
        placed = await ask(connection, buy())
        assert placed["result"]["order"]["order_state"] == "open"
        assert placed["x_credits"] == {"matching": 1000, "non_matching": 0}


async def test_who_asks_for_much_at_once_is_answered_in_turn_and_signed_requests_pass() -> None:
    limits = replace(Limits(shutdown_s=0.1), reads_per_s=20, reads_burst=5)
    async with running(DictBackend(), limits) as url, websocket(url) as connection:
        began_s, answers = trio.current_time(), list[tuple[float, int]]()
        for number in range(25):
            await connection.send_message(json.dumps({"id": 100 + number, "method": "public/get_time"}))
        await connection.send_message(buy())
        with trio.fail_after(10):
            while len(answers) < 26:
                told = json.loads(await connection.get_message())
                assert "result" in told
                answers.append((trio.current_time() - began_s, told["id"]))
        in_order = [number for _, number in answers if number != 1]
        assert in_order == list(range(100, 125)), "in the order of the questions"
        assert answers[-1][0] >= 1.0, "twenty beyond the first five, a twentieth of a second each"
        assert [number for _, number in answers].index(1) < 12, "nobody's order waits for questions"
        await trio.sleep(0.3)
        assert [(await ask(connection, TIME))["id"] for _ in range(5)] == [1] * 5


async def test_over_http_the_credits_are_in_the_headers() -> None:
    async with running(DictBackend(), FEW) as url, httpx.AsyncClient(base_url=url) as http:
        answer = await http.get("/api/v2/public/x_get_limits")
        assert answer.json()["result"]["non_matching"] == {"credits": 1000, "credits_max": 1500, "credits_per_s": 0}
        assert answer.headers["ratelimit"] == '"matching";r=1500;t=0, "non_matching";r=1000;t=0'
        assert answer.headers["ratelimit-policy"] == '"matching";q=1500;w=0, "non_matching";q=1500;w=0'
        assert (await http.post("/api/v2", content=b"{")).status_code == 400, "what is no request costs as much"
        assert (await http.get("/api/v2/public/nothing")).status_code == 404
        refused = await http.get("/api/v2/public/get_time")
        assert refused.status_code == 429 and int(refused.headers["retry-after"]) > 0
        assert refused.json()["error"]["data"]["retry_after_ms"] > 0
        assert (await http.get("/api/v2/private/cancel")).status_code == 400, "the pool of commands is untouched"


HELD = [
    ("what is there at once is waited for with others", 2, (0.5, 1)),
    ("what is there soon is waited for", 700, (0.7, 1)),
    ("all of the longest wait", 1000, (1.0, 1)),
    ("the rest of a longer one is told", 61_000, (1.0, 60_000)),
]


@pytest.mark.parametrize(("wait_ms", "held"), [row[1:] for row in HELD], ids=[row[0] for row in HELD])
def test_for_how_long_a_refusal_is_kept_back(wait_ms: int, held: tuple[float, int]) -> None:
    assert hold_back(wait_ms, Limits()) == held


async def test_over_http_who_is_refused_hears_it_late_and_nobody_else_waits() -> None:
    limits = replace(FEW, refusal_ms_min=0, refusal_ms_max=600)
    async with running(DictBackend(), limits) as url, httpx.AsyncClient(base_url=url) as http:
        assert [(await http.get("/api/v2/public/get_time")).status_code for _ in range(3)] == [200] * 3
        answered_s: dict[str, float] = {}
        began_s = trio.current_time()

        async def see(path: str, status: int) -> None:
            assert (await http.get(path)).status_code == status
            answered_s[path] = trio.current_time() - began_s

        async with trio.open_nursery() as nursery:
            nursery.start_soon(see, "/api/v2/public/get_time", 429)
            nursery.start_soon(see, "/health", 200)
            nursery.start_soon(see, "/api/v2/private/cancel", 400)
        assert answered_s.pop("/api/v2/public/get_time") >= 0.6
        assert max(answered_s.values()) < 0.5, "other connections of the same address"


async def test_when_credits_come_back_soon_the_refusal_is_no_later() -> None:
    """And once it is told there are enough: whoever asks again then is answered."""
    limits = replace(FEW, requests_per_s=5, refusal_ms_min=0)
    async with running(DictBackend(), limits) as url, httpx.AsyncClient(base_url=url) as http:
        statuses, began_s = [], trio.current_time()
        while statuses.count(429) < 3:
            statuses.append((await http.get("/api/v2/public/get_time")).status_code)
        assert trio.current_time() - began_s < 2.5, "a fifth of a second each, where a refusal may take one"
    assert [after for before, after in pairwise(statuses) if before == 429] == [200, 200]


async def ask_too_much(connection: WebSocketConnection, count: int) -> float:
    """So many questions that will be refused; when the first was asked."""
    for _ in range(FEW.requests_burst):
        await ask(connection, TIME)
    began_s = trio.current_time()
    for _ in range(count):
        await connection.send_message(TIME)
    return began_s


async def test_over_a_websocket_refusals_are_late_and_do_not_hold_up_a_cancel() -> None:
    limits = replace(FEW, refusal_ms_min=0, refusal_ms_max=600, refusals_waiting_max=4)
    async with running(DictBackend(), limits) as url, websocket(url) as connection:
        began_s = await ask_too_much(connection, 4)
        placed = await ask(connection, buy())
        assert placed["result"]["order"]["order_state"] == "open" and trio.current_time() - began_s < 0.5
        for _ in range(4):
            assert json.loads(await connection.get_message())["error"]["code"] == 10028
        assert trio.current_time() - began_s >= 0.6


async def test_over_a_websocket_only_so_many_refusals_wait() -> None:
    """Beyond them the connection is not read: a flood of twelve takes three times as long."""
    limits = replace(FEW, refusal_ms_min=0, refusal_ms_max=300, refusals_waiting_max=4)
    async with running(DictBackend(), limits) as url, websocket(url) as connection:
        began_s = await ask_too_much(connection, 12)
        for _ in range(12):
            assert json.loads(await connection.get_message())["error"]["code"] == 10028
        assert trio.current_time() - began_s >= 0.9
