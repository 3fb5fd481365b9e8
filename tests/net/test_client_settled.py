"""Every signed request of the SDK and every typed read, over a real engine; and session keys from the command line."""

import json
import time
from collections.abc import Awaitable, Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
import trio
from coincurve import PrivateKey

from engine.commands import address_of
from engine.results import Code
from net.client import AsyncClient, Buy, HansaError, ProofError, Sell
from net.succession import Succession
from tests.net.web_exchange import MAKER, TRADER, open_exchange
from tests.validator.chainlet import DOMAIN, FOUNDERS, NETWORK_KEYS
from validator.__main__ import run_words
from validator.light import LightChain
from validator.local_margin import LocalMargin
from validator.roster import make_founders
from validator.verifier import ChainVerifier

KEY, MARKET = "0x" + TRADER.secret.hex(), "BTC-PERPETUAL"
OWNER = "0x" + address_of(TRADER.public_key).hex()
SESSION = PrivateKey(b"\x99" * 32)
SESSION_ADDRESS = "0x" + address_of(SESSION.public_key).hex()
LATER_MS = 1 << 41


async def until(question: Callable[[], Awaitable[object]]) -> None:
    with trio.fail_after(60):
        while not await question():
            await trio.sleep(0.1)


async def orders(client: AsyncClient) -> None:
    low = "30000"
    placed = await client.buy(MARKET, "0.010", low, label="bid-1", time_in_force="post_only")
    assert placed.order is not None and placed.order.state == "open"
    edited = await client.edit(placed.order.order_id, "0.020", "30001")
    assert edited.order is not None and edited.order.amount_base == Decimal("0.020")
    until_ms = time.time_ns() // 1_000_000 + 3_600_000
    passing = await client.buy(MARKET, "0.010", low, time_in_force="good_til_time", good_till_ms=until_ms)
    iceberg = await client.buy(MARKET, "0.100", low, display_base="0.010", self_trade="decrement")
    assert passing.order.state == iceberg.order.state == "open"
    assert (await client.cancel_by_label(MARKET, "bid-1")).count == 1
    taken = await client.buy(MARKET, "0.050")
    assert taken.order is not None and taken.order.state == "filled" and len(taken.trades) >= 1
    stop = await client.trigger(MARKET, "sell", "20000", amount_base="0.010")
    take = await client.trigger(MARKET, "sell", "90000", kind="take", price_usd="90000", amount_base="0.010")
    whole = await client.trigger(MARKET, "sell", "19000", is_on_last=True)
    assert {item.order.state for item in (stop, take, whole)} == {"untriggered"}
    quoted = await client.mass_quote(MARKET, [("29000", "0.010")], [("95000", "0.010")], mmp=False)
    assert [item.error for item in quoted.outcomes] == [None] * 3
    assert (await client.cancel_all()).count >= 2
    assert await client.open_orders() == []
    gone = await client.order_history(MARKET)
    assert {order.state for order in gone} >= {"cancelled", "filled"}
    assert (await client.order(placed.order.order_id)).state == "cancelled"
    assert (
        (await client.user_trades())[0].instrument_name
        == MARKET
        == (await client.user_trades(MARKET))[0].instrument_name
    )


async def settings(client: AsyncClient) -> None:
    assert (await client.set_protection(5_000, freeze_ms=1_000, value_usdc=100_000)).is_final
    (config,) = await client.call("private/get_mmp_config", owner=client.owner)
    assert (config["interval"], config["frozen_time"], Decimal(config["quantity_limit"])) == (5, 1, 100_000)
    assert (await client.set_margin_mode("portfolio")).is_final
    assert (await client.call("private/get_account_summary", owner=client.owner))["margin_model"] == "cross_pm"
    deadline_ms = time.time_ns() // 1_000_000 + 60_000
    assert (await client.cancel_all_after(deadline_ms)).is_final and (await client.cancel_all_after(0)).is_final
    assert (await client.transfer("1000", 1)).is_final
    with pytest.raises(HansaError) as unknown:
        await client.transfer("1", 0, to_owner="0x" + "0f" * 20)
    assert unknown.value.code == Code.COUNTERPARTY_FAILED
    assert (await client.transfer("1", 0, to_owner="0x" + address_of(MAKER.public_key).hex())).is_final
    assert (await client.withdraw("5")).amount_usdc == 5


async def offers(client: AsyncClient, other: AsyncClient) -> None:
    mark_usd = (await client.ticker(MARKET)).mark_price_usd
    assert mark_usd is not None
    offered = await client.offer(MARKET, "sell", "0.100", f"{mark_usd:.0f}", LATER_MS)
    assert offered.error is None
    (shown,) = await client.call("public/x_get_offers")
    accepted = await other.accept(shown["offer_id"], "buy")
    assert accepted.error is None
    ether_usd = (await client.ticker("ETH-PERPETUAL")).mark_price_usd
    assert ether_usd is not None
    legs = [
        Buy(MARKET, "0.010", f"{mark_usd * 103 / 100:.0f}", "fill_or_kill"),
        Sell("ETH-PERPETUAL", "0.10", f"{ether_usd * 97 / 100:.0f}", "fill_or_kill"),
    ]
    combined = await client.combo(legs, "5000")
    assert [item.error for item in combined.outcomes] == [None] * 3


async def reads(client: AsyncClient) -> None:
    assert Decimal((await client.margins(MARKET, "0.010", "60000"))["buy"]) > 0
    explained = await client.explain_margin()
    assert explained["x_positions"]
    fallen = await client.simulate({MARKET: "1"}, price_shift_ppm=-100_000)
    assert Decimal(fallen["equity"]) < Decimal(explained["equity"])
    assert any(entry for entry in await client.transaction_log())
    now_ms = time.time_ns() // 1_000_000
    candles = await client.candles(MARKET, now_ms - 600_000, now_ms + 60_000)
    assert candles and candles[-1].low_usd <= candles[-1].close_usd <= candles[-1].high_usd
    assert isinstance(await client.funding_history(MARKET, now_ms - 3_600_000, now_ms), list)
    (position,) = [item for item in await client.positions() if item.instrument_name == MARKET]
    assert abs(position.delta_base - position.size_base) < abs(position.size_base) / 50


async def margins_at_home(client: AsyncClient) -> None:
    """Computed here they are the node's, to the last digit, whatever the case."""
    network, names = await client.network(), [item["instrument_name"] for item in await client.instruments()]
    option = next(name for name in names if name.endswith("-C"))
    await client.sell(MARKET, "0.020", "90000")
    assert await client.open_orders() and await client.positions()
    cases: list[tuple[dict[str, str], dict[str, Any]]] = [
        ({}, {}),
        ({MARKET: "-1.5", "ETH-PERPETUAL": "2"}, {}),
        ({option: "-3"}, {"price_shift_ppm": -200_000, "vol_shift_ppm": 500_000}),
        ({MARKET: "0.5", option: "10"}, {"is_added": False, "price_shift_ppm": 100_000}),
        ({}, {"is_added": False}),
    ]
    for sizes, case in cases:

        async def is_equal(sizes: dict[str, str] = sizes, case: dict[str, Any] = case) -> bool:
            local = LocalMargin(network, await client.margin_inputs([MARKET, "ETH-PERPETUAL", option]))
            told = await client.simulate(sizes, **case)
            if told["x_height"] != local.height:
                return False  # a block came between the two questions
            assert json.loads(json.dumps(local.simulate(sizes, **case))) == told
            return True

        await until(is_equal)
    bare = LocalMargin(network, await client.margin_inputs())
    with pytest.raises(HansaError, match="margin_inputs"):
        bare.simulate({option: "1"})
    with pytest.raises(HansaError) as refused:
        bare.simulate({MARKET: "1"}, price_shift_ppm=-1_000_000)
    assert refused.value.code == Code.PARAMETER_OUT_OF_BOUNDS
    inputs = await client.margin_inputs()
    inputs["columns"]["markets"][3] = "strike"
    with pytest.raises(HansaError, match="version"):
        LocalMargin(network, inputs)
    await client.cancel_all()


async def certificates(client: AsyncClient) -> None:
    """Of real signatures: what the founders signed is proven, and nothing by who takes others for them."""
    key = "0x" + TRADER.secret.hex()
    known = ChainVerifier(LightChain(DOMAIN, FOUNDERS))
    async with AsyncClient(client.url, key, timeout_s=240, verify=known) as sure:
        placed = await sure.buy(MARKET, "0.010", "30000")
        assert placed.progress.certificate == "proven" and placed.progress.is_final
        proven = await sure.proof()
        assert proven.certificate == "proven" and proven.claims > 0
        (told,) = [await sure.committee(1)]
        assert Succession.from_json(told).seats[0].bls_key == FOUNDERS.committee.members[0].bls_key
        assert (await sure.cancel(placed.order.order_id)).progress.certificate == "proven"
    strangers = make_founders([member.bls_key for member in FOUNDERS.committee.members[::-1]], NETWORK_KEYS)
    misled = ChainVerifier(LightChain(DOMAIN, strangers))
    async with AsyncClient(client.url, owner=OWNER, timeout_s=240, verify=misled) as unsure:
        with pytest.raises(ProofError):
            await unsure.proof()


async def sessions(client: AsyncClient) -> None:
    await client.set_session_key(SESSION_ADDRESS, ["trade", "cancel"], valid_until_ms=LATER_MS, order_cap_usdc=500)
    (key,) = await client.session_keys()
    assert (key.address, set(key.scopes), key.order_cap_usdc) == (SESSION_ADDRESS, {"trade", "cancel"}, 500)
    async with AsyncClient(client.url, "0x" + SESSION.secret.hex(), owner=OWNER, timeout_s=240) as bot:
        assert (await bot.buy(MARKET, "0.010", "30000")).order.state == "open"
        for refused, code in (
            (bot.buy(MARKET, "0.100", "30000"), Code.ABOVE_SESSION_CAP),
            (bot.withdraw("1"), Code.NOT_PERMITTED),
        ):
            with pytest.raises(HansaError) as error:
                await refused
            assert error.value.code == code
        await client.revoke_session_key(SESSION_ADDRESS)
        assert await client.session_keys() == []
        with pytest.raises(HansaError) as error:
            await bot.cancel_all()
        assert error.value.code == Code.BAD_SIGNATURE


async def test_the_whole_sdk_over_a_real_engine(tmp_path: Path) -> None:
    async with (
        open_exchange(tmp_path) as (url, _),
        AsyncClient(url, KEY, timeout_s=240) as client,
        AsyncClient(url, "0x" + MAKER.secret.hex(), timeout_s=240) as other,
    ):

        async def has_begun() -> bool:
            return (await client.ticker(MARKET)).best_ask_price_usd is not None

        await until(has_begun)
        await orders(client)
        await settings(client)
        await offers(client, other)
        await reads(client)
        await margins_at_home(client)
        await certificates(client)
        await sessions(client)


async def test_session_keys_from_the_command_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("validator.keystores._KDFS", {"operator": "pbkdf2"})
    passphrase = tmp_path / "passphrase"
    passphrase.write_text("correct horse battery\n")
    passphrase.chmod(0o600)
    for name, value in {
        "HANSA_PASSPHRASE_FILE": str(passphrase), "HANSA_KEYS": str(tmp_path / "keys"), "HANSA_KEY": KEY,
    }.items():  # fmt: skip
        monkeypatch.setenv(name, value)

    def shell(words: str, expected: int = 0) -> Any:
        code = run_words(words.split())
        printed = capsys.readouterr()
        assert code == expected, printed.err
        return json.loads(printed.out) if "--json" in words else printed.out

    def work() -> None:
        made = shell("session new bot --scope trade --expires 7d --order-cap 500 --json")
        assert made["account"] == OWNER and made["progress"]["is_final"]
        assert [key["address"] for key in shell("session list --json")] == [made["address"]]
        assert "500" in shell("session list")
        placed = shell(f"buy {MARKET} 0.010 @30000 --key bot --account {OWNER} --json")
        assert placed["order"]["state"] == "open"
        edited = shell(f"edit {placed['order']['order_id']} 0.015 @30001 --key bot --account {OWNER} --json")
        assert edited["order"]["amount_base"] == "0.015"
        stop = shell(f"sell {MARKET} 0.010 --trigger 20000 --reduce-only --json")
        assert stop["order"]["state"] == "untriggered"
        shell("session revoke bot")
        assert shell("session list --json") == []
        shell(f"cancel --all --key bot --account {OWNER}", 1)
        shell("session new late --expires soon", 2)

    async with open_exchange(tmp_path) as (url, _), AsyncClient(url) as client:
        monkeypatch.setenv("HANSA_URL", url)

        async def has_begun() -> bool:
            return (await client.ticker(MARKET)).best_ask_price_usd is not None

        await until(has_begun)
        await trio.to_thread.run_sync(work)
