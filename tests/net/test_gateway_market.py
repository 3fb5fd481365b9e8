"""Public market data as Deribit's clients read it: an unmodified ccxt with another URL, and what ccxt does not ask."""

from collections.abc import Iterator
from typing import Any

import ccxt
import httpx
import pytest
import trio
from dict_market_data import CALL, CALL_NAME, EXPIRY_MS, FUTURE, HOUR_MS, INDEX_E8
from test_gateway_backend import DictBackend
from test_gateway_feeds import place
from test_gateway_inputs import running

from engine.commands import BUY, SELL
from net.gateway.candles import fill_gaps
from net.gateway.market_data import CandleView, SettlementView

BTC = "BTC/USDC:USDC"


async def call(url: str, method: str, **params: object) -> dict[str, Any]:
    async with httpx.AsyncClient() as client:
        request = {"jsonrpc": "2.0", "id": 1, "method": method, "params": params}
        answer: dict[str, Any] = (await client.post(f"{url}/api/v2", json=request)).json()
        return answer


def make_backend() -> DictBackend:
    """Two perpetuals, a future and a call."""
    backend = DictBackend()
    backend.market_data.listed += (FUTURE, CALL)
    return backend


def make_client(url: str) -> Any:
    client = ccxt.deribit({"enableRateLimit": False})
    client.urls["api"] = {"rest": url}
    return client


async def test_ccxt_reads_markets_books_tickers_trades_and_candles() -> None:
    backend = make_backend()
    await place(backend, BUY, 639_990, 10)
    await place(backend, SELL, 640_010, 20)
    await place(backend, BUY, 640_010, 5)
    async with running(backend) as url:
        client = make_client(url)

        def read() -> dict[str, Any]:
            markets = client.load_markets()
            return {
                "markets": sorted(markets), "book": client.fetch_order_book(BTC), "ticker": client.fetch_ticker(BTC),
                "tickers": client.fetch_tickers(None, {"code": "BTC"}), "trades": client.fetch_trades(BTC),
                "ohlcv": client.fetch_ohlcv(BTC, "1m", (backend.time_ms // 60_000 - 9) * 60_000, 10),
                "funding": client.fetch_funding_rate(BTC),
                "fundings": client.fetch_funding_rate_history(BTC, backend.time_ms - HOUR_MS),
                "currencies": client.fetch_currencies(), "status": client.fetch_status(), "time": client.fetch_time(),
                "volatility": client.fetch_volatility_history("BTC"), "interest": client.fetch_open_interest(BTC),
            }  # fmt: skip

        seen = await trio.to_thread.run_sync(read)
    assert seen["markets"] == [
        BTC, "BTC/USDC:USDC-261225", "BTC/USDC:USDC-261225-64000-C", "ETH/USDC:USDC",
    ]  # fmt: skip
    market = client.markets[BTC]
    assert (market["precision"], market["contractSize"], market["linear"]) == ({"amount": 0.001, "price": 0.1}, 1, True)
    assert market["swap"] and market["active"] and market["taker"] == 0.0005
    option = client.markets["BTC/USDC:USDC-261225-64000-C"]
    assert (option["strike"], option["optionType"], option["expiry"]) == (64_000, "call", EXPIRY_MS)
    assert seen["book"]["bids"] == [[63_999.0, 0.01]] and seen["book"]["asks"] == [[64_001.0, 0.015]]
    assert seen["ticker"]["last"] == 64_001.0 and seen["ticker"]["bid"] == 63_999.0
    assert seen["ticker"]["markPrice"] == 64_000.0 and set(seen["tickers"]) >= {BTC}
    assert [(trade["side"], trade["price"], trade["amount"]) for trade in seen["trades"]] == [("buy", 64_001.0, 0.005)]
    flat = [64_001.0] * 4
    assert [row[1:] for row in seen["ohlcv"][:3]] == [[*flat, 0.0], [*flat, 0.001], [*flat, 0.0]]
    assert seen["funding"]["fundingRate"] == pytest.approx(0.00001)
    assert seen["fundings"][0]["fundingRate"] == pytest.approx(0.00008)
    assert set(seen["currencies"]) == {"USDC", "BTC", "ETH"} and seen["status"]["status"] == "ok"
    assert seen["volatility"][-1]["volatility"] == pytest.approx(93.6, rel=0.01)
    assert 0.007 in (seen["interest"]["openInterestAmount"], seen["interest"]["openInterestValue"])


async def test_ccxt_reads_greeks_and_option_chains() -> None:
    backend = make_backend()
    symbol = "BTC/USDC:USDC-261225-64000-C"
    async with running(backend) as url:
        client = make_client(url)

        def read() -> tuple[Any, Any, Any]:
            client.load_markets()
            return client.fetch_greeks(symbol), client.fetch_option(symbol), client.fetch_option_chain("BTC")

        greeks, option, chain = await trio.to_thread.run_sync(read)
    assert greeks["delta"] == 0.52 and greeks["markImpliedVolatility"] == 60.0
    assert (greeks["bidImpliedVolatility"], greeks["askImpliedVolatility"]) == (59.5, 0.0)
    assert greeks["underlyingPrice"] == option["underlyingPrice"] == 64_000.0
    assert option["markPrice"] == 1234.5 and set(chain) == {symbol}


@pytest.fixture
def ended() -> Iterator[DictBackend]:
    backend = make_backend()
    views = [SettlementView(2 + at, time_ms, at, INDEX_E8, INDEX_E8, 64_000, 7) for at, time_ms in ((1, 900), (0, 500))]
    backend.market_data.ended = views
    yield backend


async def test_settlements_come_in_pages(ended: DictBackend) -> None:
    async with running(ended) as url:
        name = "public/get_last_settlements_by_instrument"
        one = (await call(url, name, instrument_name=CALL_NAME))["result"]
        assert one["continuation"] is None
        (settlement,) = one["settlements"]
        assert settlement["mark_price"] == "64000" and settlement["position"] == "0.007"
        none = (await call(url, name, instrument_name=CALL_NAME, type="settlement"))["result"]
        assert none == {"settlements": [], "continuation": None}
        refused = (await call(url, name, instrument_name=CALL_NAME, type="bankruptcy"))["error"]
        assert refused["data"]["code"] == 710


async def test_what_this_node_cannot_know_has_a_number() -> None:
    backend = make_backend()
    backend.market_data.history_begins_ms = lambda: 5_000  # type: ignore[method-assign]
    async with running(backend) as url:
        span = {"start_timestamp": 0, "end_timestamp": 4_999, "resolution": "1"}
        answer = await call(url, "public/get_tradingview_chart_data", instrument_name="BTC-PERPETUAL", **span)
        assert answer["error"]["data"]["code"] == 805
        for params, code in (
            ({"start_timestamp": 9, "end_timestamp": 8, "resolution": "1"}, 704),
            ({"start_timestamp": 0, "end_timestamp": 9_999, "resolution": "7"}, 708),
            ({"end_timestamp": 9_999, "resolution": "1"}, 701),
        ):
            answer = await call(url, "public/get_tradingview_chart_data", instrument_name="BTC-PERPETUAL", **params)
            assert answer["error"]["data"]["code"] == code
        for method, params in (
            ("public/get_index_price", {"index_name": "doge_usdc"}), ("public/get_index", {"currency": "DOGE"}),
            ("public/get_funding_rate_value",
             {"instrument_name": CALL_NAME, "start_timestamp": 0, "end_timestamp": 9_999}),
            ("public/get_instruments", {"kind": "cake"}),
        ):  # fmt: skip
            assert (await call(url, method, **params))["error"]["data"]["code"] == 708, method


async def test_markets_are_chosen_by_currency_kind_and_end() -> None:
    async with running(make_backend()) as url:

        async def names(**params: object) -> list[str]:
            result = (await call(url, "public/get_instruments", **params))["result"]
            return [item["instrument_name"] for item in result]

        assert await names(currency="BTC", kind="future") == ["BTC-PERPETUAL", "BTC-25DEC26"]
        assert await names(currency="USDC", kind="option") == [CALL_NAME]
        assert await names(currency="any", expired=True) == [] == await names(currency="DOGE")
        expirations = (await call(url, "public/get_expirations", currency="any", kind="any"))["result"]
        assert expirations == {"future": ["25DEC26", "PERPETUAL"], "option": ["25DEC26"]}
        surface = (await call(url, "public/x_get_vol_surface", index_name="btc_usdc"))["result"]
        assert surface["expiries"][0]["strikes"] == [{"strike": "64000", "iv": "60.0000"}]


def test_gaps_between_candles_repeat_the_last_price() -> None:
    views = [CandleView(0, 1, 3, 1, 2, 9, 18), CandleView(180, 5, 5, 5, 5, 1, 5)]
    filled = fill_gaps(views, 60, 300)
    assert [view.begin_ms for view in filled] == [0, 60, 120, 180, 240, 300]
    assert filled[1] == CandleView(60, 2, 2, 2, 2, 0, 0) and filled[-1].close_ticks == 5
    assert fill_gaps([], 60, 300) == []
