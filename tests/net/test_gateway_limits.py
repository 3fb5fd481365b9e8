"""Credits: what a request costs, what a client sees of it, and that reading too much never stops a cancel."""

import json
from dataclasses import replace

import httpx
import pytest
from test_gateway_backend import DictBackend
from test_gateway_inputs import ask, buy, running, websocket

from net.gateway.credits import AddressCredits, CreditPools, price_request
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
