"""`hansa gateway` as a trader starts it, before an exchange of real blocks: a session key from a file, its end, orders
that go with their connection, proofs that stay.
"""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from decimal import Decimal
from pathlib import Path

import httpx
import pytest
import trio
from coincurve import PrivateKey
from test_trader_gateway import EVERYTHING, Running
from trio_websocket import open_websocket_url
from web_exchange import TRADER, open_exchange

from engine.commands import address_of
from net.client import AsyncClient
from net.keystore import save_secret, write_json
from net.trader.api_keys import KeyRing
from net.trader.gateway import TraderConfig, TraderGateway
from validator.__main__ import run_words

MARKET, ROOT = "BTC-PERPETUAL", Path(__file__).resolve().parents[2]
OWNER = "0x" + address_of(TRADER.public_key).hex()
SESSION, BRIEF = PrivateKey(b"\x91" * 32), PrivateKey(b"\x92" * 32)
PASSPHRASE = "correct horse battery"
HOUR_MS = 3_600_000


def address(key: PrivateKey) -> str:
    return "0x" + address_of(key.public_key).hex()


def now_ms() -> int:
    return time.time_ns() // 1_000_000


async def until(question: Callable[[], Awaitable[object]]) -> None:
    with trio.fail_after(90):
        while not await question():
            await trio.sleep(0.1)


@asynccontextmanager
async def gateway_process(
    folder: Path, node: str, keystore: Path
) -> AsyncIterator[tuple[subprocess.Popen[bytes], str]]:
    """The command itself; its URL is in the lines that it prints to be pasted."""
    passphrase = folder / "passphrase"
    passphrase.write_text(PASSPHRASE + "\n")
    passphrase.chmod(0o600)
    words = ["--node", node, "--owner", OWNER, "--keystore", str(keystore), "--folder", str(folder / "gateway")]
    environment = os.environ | {"HANSA_PASSPHRASE_FILE": str(passphrase), "PYTHONPATH": str(ROOT)}
    process = subprocess.Popen(
        [sys.executable, "-m", "validator", "gateway", *words, "--port", "0"], env=environment,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    try:
        assert process.stdout is not None
        with trio.fail_after(120):
            while b'"rest"' not in (line := await trio.to_thread.run_sync(process.stdout.readline)):
                assert line, process.stderr.read() if process.stderr else b""
        yield process, line.decode().split('"rest": "')[1].split('"')[0]
    finally:
        process.kill()
        with trio.CancelScope(shield=True):
            await trio.to_thread.run_sync(process.communicate)


async def orders_go_with_their_connection(place: Running, client: AsyncClient) -> None:
    """Those of the connection, and no others; and the exchange itself would cancel if this machine died."""
    stays = await place.get("private/buy", instrument_name=MARKET, amount="0.010", price="30000")
    async with open_websocket_url(place.url.replace("http", "ws") + "/ws/api/v2", disconnect_timeout=1) as connection:
        login = {"grant_type": "client_credentials", "client_id": place.client_id, "client_secret": place.secret}
        told = await place.ask(connection, "public/auth", login)
        assert told["result"]["x_key"]["ends_soon"] is True
        await place.ask(connection, "private/enable_cancel_on_disconnect", {"scope": "connection"})
        order = {"instrument_name": MARKET, "amount": "0.010", "price": "30001"}
        goes = await place.ask(connection, "private/buy", order)
        assert goes["result"]["order"]["order_state"] == "open"

        async def is_armed() -> bool:
            shown = await client.call("private/get_cancel_on_disconnect", owner=OWNER)
            return bool(shown["enabled"])

        await until(is_armed)
        assert len(await client.open_orders(MARKET)) == 2

    async def is_gone() -> bool:
        return [item.order_id for item in await client.open_orders()] == [stays["result"]["order"]["order_id"]]

    await until(is_gone)


async def what_it_tells(url: str, folder: Path) -> None:
    async with httpx.AsyncClient(timeout=60) as http:

        async def is_looked_up() -> bool:
            return bool((await http.get(url + "/status")).json()["key"]["state"] == "valid")

        async def is_connected() -> bool:
            lines = (await http.get(url + "/metrics")).text.splitlines()
            return any(line.startswith("hansa_gateway_node_well") and line.endswith(" 1") for line in lines)

        await until(is_connected)
        await until(is_looked_up)
        key = (await http.get(url + "/status")).json()["key"]
        assert key["address"] == address(SESSION) and key["state"] == "valid" and key["scopes"] == ["trade", "cancel"]
        metrics = (await http.get(url + "/metrics")).text
    values = dict(line.rsplit(" ", 1) for line in metrics.splitlines() if not line.startswith("#"))
    assert 0 < float(values["hansa_gateway_session_key_left_seconds"]) <= 2 * 3600
    proofs = folder / "gateway" / "proofs"
    with trio.fail_after(90):
        while not all((proofs / f"{OWNER}-{name}.json").exists() for name in ("0", "withdrawal-0")):
            await trio.sleep(0.1)


async def a_key_that_ends(folder: Path, node: str, client: AsyncClient) -> None:
    """Is refused here, by a number of its own, and nothing is sent."""
    path = folder / "brief" / "api_keys.json"
    write_json(path, {"master": {}, "keys": []})
    ring = KeyRing(path, b"\x09" * 32)
    config = TraderConfig([node], folder / "brief", address_of(TRADER.public_key), BRIEF, port=0)
    gateway = TraderGateway(config, ring, None)
    await client.set_session_key(address(BRIEF), ["trade"], valid_until_ms=now_ms() + 6_000)
    async with trio.open_nursery() as nursery:
        place = Running(gateway, ring, await nursery.start(gateway.run), EVERYTHING)

        async def is_looked_up() -> bool:
            return gateway.key.terms is not None

        async def is_over() -> bool:
            return (gateway.key.left_ms() or 0) <= 0

        await until(is_looked_up)
        await until(is_over)
        before = await client.user_trades(), await client.open_orders()
        refused = await place.get("private/buy", instrument_name=MARKET, amount="0.010", price="30002")
        assert (refused["error"]["code"], refused["error"]["data"]["code"]) == (13009, 910)
        assert refused["error"]["data"]["x_key"] == address(BRIEF)
        assert (await place.get("private/get_positions"))["result"] is not None, "reading needs no key"
        async with httpx.AsyncClient() as http:
            assert (await http.get(place.url + "/status")).json()["key"]["state"] == "expired"
        assert (await client.user_trades(), await client.open_orders()) == before
        nursery.cancel_scope.cancel()


def the_kept_proof(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Is shown without any node, and one that was tampered with is not believed."""
    proofs = folder / "gateway" / "proofs"
    words = ["proof", "--kept", str(proofs), "--account", OWNER, "--url", "http://127.0.0.1:9", "--json"]
    assert run_words(words) == 0
    shown = json.loads(capsys.readouterr().out)
    assert Decimal(shown["claims"]) > 0 and shown["height"] > 0 and shown["certificate"] == "unchecked"
    assert [Path(name).name for name in shown["withdrawals"]] == [f"{OWNER}-withdrawal-{index}.json" for index in (0,)]
    path = proofs / f"{OWNER}-0.json"
    path.write_text(path.read_text().replace('"claims": "', '"claims": "1', 1))
    assert run_words(words) == 1 and "does not hold" in capsys.readouterr().err
    path.unlink()
    assert run_words(words) == 2 and "hansa proof --save" in capsys.readouterr().err


async def test_a_session_key_from_a_file_trades_through_the_gateway(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    keystore = tmp_path / "session.json"
    save_secret(keystore, SESSION.secret, PASSPHRASE)
    async with (
        open_exchange(tmp_path / "exchange") as (node, _),
        AsyncClient(node, "0x" + TRADER.secret.hex(), timeout_s=240) as client,
    ):

        async def has_begun() -> bool:
            return (await client.ticker(MARKET)).best_ask_price_usd is not None

        await until(has_begun)
        await client.set_session_key(address(SESSION), ["trade", "cancel"], valid_until_ms=now_ms() + 2 * HOUR_MS)
        await client.withdraw("3")
        async with gateway_process(tmp_path, node, keystore) as (process, url):
            ring = KeyRing.open(tmp_path / "gateway" / "api_keys.json", PASSPHRASE)
            place = Running(None, ring, url, EVERYTHING)  # type: ignore[arg-type]
            await what_it_tells(url, tmp_path)
            await orders_go_with_their_connection(place, client)
            withdrawal = await place.get("private/withdraw", amount="1", currency="USDC")
            assert withdrawal["error"]["data"]["reason"] == "not_permitted", "no session key withdraws"
            process.send_signal(signal.SIGTERM)
            with trio.fail_after(60):
                assert await trio.to_thread.run_sync(process.wait) == 0
        the_kept_proof(tmp_path, capsys)
        await a_key_that_ends(tmp_path, node, client)
