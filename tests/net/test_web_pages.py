"""The pages in a real browser over a real exchange: what a trader does with them, on a desktop and on a phone.

Screenshots go to build/screenshots/. A page that complains on its console, its policy's violations included, fails.
"""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import trio
from chromium import CHROMIUM, Page, open_page
from eth_account import Account
from eth_account.messages import encode_typed_data
from web_exchange import TRADER, WebExchange, open_exchange

from engine import views
from engine.commands import address_of
from net.gateway.app import GatewayConfig, serve
from net.gateway.limits import Limits
from net.keystore import write_json
from net.trader.api_keys import KeyRing
from net.trader.gateway import TraderConfig, TraderGateway

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium is installed")
PICTURES = Path(__file__).parents[2] / "build" / "screenshots"
OWNER = "0x" + address_of(TRADER.public_key).hex()
KEY = "0x" + TRADER.secret.hex()
DESKTOP, PHONE = (1440, 900), (390, 844)
BOOK_IS_FULL = "document.querySelectorAll('#book .bid:not(.empty)').length > 4"
MAY_TRADE = "/^(Buy|Sell)/.test(document.querySelector('#order-submit').textContent)"
SAID = "document.querySelector('#order-said').textContent"
OVERFLOW_PX = "document.documentElement.scrollWidth - window.innerWidth"


@asynccontextmanager
async def browsing(folder: Path, size: tuple[int, int] = DESKTOP) -> AsyncIterator[tuple[Page, str, WebExchange]]:
    """A browser of that size before an exchange; at the end nothing may have been complained about."""
    (folder / "data").mkdir()
    async with open_exchange(folder / "data") as (url, exchange), open_page(folder / "profile") as page:
        await page.resize(*size, is_phone=size == PHONE)
        yield page, url, exchange
        assert page.complaints == []


async def connect_by_key(page: Page) -> None:
    await page.wait_for(BOOK_IS_FULL)
    await page.click("#account")
    await page.fill("#connect-key", KEY)
    await page.click("#connect-with-key")
    await page.wait_for(MAY_TRADE)


def bid_below(exchange: WebExchange) -> tuple[str, int]:
    """A bid that rests: text and ticks, some percent below the mark of the first market."""
    ticks = views.market_view(exchange.executor.final.state, 0).mark_ticks * 95 // 100
    return f"{ticks // 10}.{ticks % 10}", ticks


def rows(pane: str) -> str:
    return f"document.querySelectorAll('#pane-{pane} tbody tr').length"


async def test_an_order_goes_through_the_form_into_the_book_and_is_cancelled(tmp_path: Path) -> None:
    async with browsing(tmp_path) as (page, url, exchange):
        await page.open(url)
        await connect_by_key(page)
        before = await page.evaluate("document.querySelector('#book .levels.bids').innerText")
        await page.wait_for(f"document.querySelector('#book .levels.bids').innerText !== {before!r}")
        # A bid far below the mark rests.
        price, ticks = bid_below(exchange)
        await page.fill("#order-price", price)
        await page.fill("#order-amount", "0.25")
        await page.click("#order-submit")
        await page.wait_for(f"/^Open · final in block/.test({SAID})")
        await page.click("[data-tab=orders]")
        await page.wait_for(f"{rows('orders')} === 1")
        (order,) = exchange.service.open_orders(bytes.fromhex(OWNER[2:]), 0)
        assert (order.market, order.price_ticks, order.size_lots) == (0, ticks, 250)
        # What is no multiple of the tick is refused here, in words, and never sent.
        await page.fill("#order-price", price + "5")
        await page.click("#order-submit")
        await page.wait_for(f"{SAID}.includes('must be a multiple of 0.1')")
        # What the exchange refuses comes with its number and changes nothing.
        await page.fill("#order-price", price)
        await page.evaluate("document.querySelector('#order-reduce').click()")
        await page.click("#order-submit")
        await page.wait_for(f"{SAID}.includes('(313)')")
        await page.evaluate("document.querySelector('#order-reduce').click()")
        # The order is changed in the form, keeps its id, and the form makes new ones again.
        (placed,) = exchange.service.open_orders(bytes.fromhex(OWNER[2:]), 0)
        await page.click("#pane-orders td.edit button")
        await page.wait_for(f"document.querySelector('#order-submit').textContent.includes('{placed.order_id}')")
        await page.fill("#order-price", f"{(ticks - 10) // 10}.{(ticks - 10) % 10}")
        await page.fill("#order-amount", "0.3")
        await page.click("#order-submit")
        await page.wait_for(f"/^Open · final in block/.test({SAID})")
        (changed,) = exchange.service.open_orders(bytes.fromhex(OWNER[2:]), 0)
        assert (changed.order_id, changed.price_ticks, changed.size_lots) == (placed.order_id, ticks - 10, 300)
        await page.wait_for(MAY_TRADE)
        await page.click("#pane-orders td:last-child button")
        await page.wait_for(f"{rows('orders')} === 0")
        assert not exchange.service.open_orders(bytes.fromhex(OWNER[2:]), 0)
        await page.click("[data-tab=history]")
        await page.wait_for(f"{rows('history')} === 1")


async def test_a_terminal_with_positions_and_an_option_chain(tmp_path: Path) -> None:
    async with browsing(tmp_path) as (page, url, exchange):
        await page.open(url)
        await connect_by_key(page)
        await page.fill("#order-type", "market")
        await page.fill("#order-amount", "0.4")
        await page.click("#order-submit")
        await page.wait_for(f"/^Filled 0.400 at/.test({SAID})")
        await page.wait_for(f"{rows('positions')} === 1")
        await page.press("o")
        await page.wait_for("document.querySelectorAll('.chain tbody tr').length === 9")
        await page.wait_for("document.querySelectorAll('.chain tr.atm').length === 1")
        await page.wait_for("[...document.querySelectorAll('.chain td.ask')].every(cell => cell.textContent !== '–')")
        await page.click(".chain tbody tr:nth-child(5) td.call.ask")
        name = "document.querySelector('#strip .name').textContent"
        await page.wait_for(f"/^BTC-.*-C$/.test({name})")
        await page.fill("#order-type", "market")
        await page.fill("#order-amount", "2")
        await page.click("#order-submit")
        await page.wait_for(f"/^Filled 2.00 at/.test({SAID})")
        await page.wait_for(f"{rows('positions')} === 2")
        await page.wait_for("document.querySelectorAll('.smile .point').length >= 8")
        await page.wait_for("document.querySelectorAll('.smile .curve').length === 2")
        await page.screenshot(PICTURES / "options.png")
        await page.press("5")
        await page.wait_for("document.querySelectorAll('#pane-risk td.worst').length > 0")
        await page.screenshot(PICTURES / "risk.png")
        await page.press("1")
        await page.press("c")
        await page.fill("#search", "ETH")
        await page.wait_for("document.querySelectorAll('.market').length === 1")
        await page.fill("#search", "")
        await page.click(".market")
        await page.fill("#order-type", "limit")
        await page.fill("#order-price", bid_below(exchange)[0])
        await page.fill("#order-amount", "0.15")
        await page.click("#order-submit")
        await page.wait_for(f"/^Open/.test({SAID})")
        # The next checkpoint turns the last step of every command green.
        await page.wait_for("document.querySelectorAll('#recent .step.done').length >= 9")
        await page.wait_for("document.querySelectorAll('#tape .row').length > 10")
        await page.screenshot(PICTURES / "terminal.png")
        assert exchange.service.account(bytes.fromhex(OWNER[2:]), 0).positions[0].size_lots == 400


async def test_network_and_explorer_lead_from_a_block_to_a_proof(tmp_path: Path) -> None:
    async with browsing(tmp_path) as (page, url, exchange):
        await page.open(url)
        await connect_by_key(page)
        await page.fill("#order-type", "market")
        await page.fill("#order-amount", "0.1")
        await page.click("#order-submit")
        await page.wait_for(f"/Filled/.test({SAID})")
        command = await page.evaluate("JSON.parse(localStorage[Object.keys(localStorage).find("
                                      "key => key.startsWith('hansa.commands.'))])[0]")  # fmt: skip
        await page.open(url + "/network")
        await page.wait_for("document.querySelectorAll('.bars a').length > 20")
        await page.wait_for("document.querySelectorAll('.histogram rect').length > 3")
        await page.wait_for("document.querySelectorAll('.signers, .meter').length === 4")
        await page.screenshot(PICTURES / "network.png")
        await page.open(f"{url}/explorer#command={command['id']}")
        await page.wait_for("document.querySelectorAll('.life .done').length >= 3")
        said = await page.evaluate("document.body.innerText")
        assert f"block {command['height']}" in said and "accepted" not in said and "filled" in said
        await page.open(f"{url}/explorer#order={command['orderId']}")
        await page.wait_for(f"document.body.innerText.includes('Order {command['orderId']}')")
        await page.open(f"{url}/explorer#account={OWNER}")
        await page.wait_for("document.querySelectorAll('.checks .good').length === 3")
        await page.screenshot(PICTURES / "account.png")
        await page.open(f"{url}/explorer#block={command['height']}")
        await page.wait_for("document.querySelectorAll('.signers .signed').length === 3")
        await page.wait_for("document.body.innerText.includes('computed here from the 640 bytes')")
        await page.screenshot(PICTURES / "explorer.png")
        await page.open(url + "/explorer")
        await page.wait_for("document.querySelectorAll('tbody tr').length > 5")
        await page.fill("#find", str(exchange.head.height - 2))
        await page.click(".find button")
        await page.wait_for("document.querySelectorAll('.signers .signed').length === 3")
        # The same check, of a proof with one digit more.
        answer = await page.evaluate(f"""(async () => {{
          const {{ checkProof }} = await import('/static/js/proof.js');
          const url = '/api/v2/public/x_get_proof?owner={OWNER}';
          const proof = (await (await fetch(url)).json()).result;
          const good = checkProof(proof).checks.map(check => check[0]);
          return [good, checkProof({{ ...proof, claims: '1' + proof.claims }}).checks.map(check => check[0])];
        }})()""")
        assert answer == [[True, True, True], [True, False, False]]


async def test_every_part_fits_a_phone(tmp_path: Path) -> None:
    async with browsing(tmp_path, PHONE) as (page, url, exchange):
        await page.open(url)
        await page.wait_for("document.querySelectorAll('.market').length > 2")
        for part in ("markets", "stage", "book", "form", "bottom"):
            await page.click(f"#parts [data-part={part}]")
            if part == "book":
                await page.wait_for(BOOK_IS_FULL)
                await page.wait_for("document.querySelectorAll('#tape .row').length > 3")
            assert await page.evaluate(OVERFLOW_PX) <= 0, part
            await page.screenshot(PICTURES / f"phone-{part}.png")
        await page.click("#parts [data-part=stage]")
        await page.click("[data-view=options]")
        await page.wait_for("document.querySelectorAll('.chain tbody tr').length === 9")
        await page.wait_for("[...document.querySelectorAll('.chain td.ask')].every(cell => cell.textContent !== '–')")
        await page.wait_for("document.querySelectorAll('.smile .point').length >= 8")
        assert await page.evaluate(OVERFLOW_PX) <= 0
        await page.screenshot(PICTURES / "phone-options.png")
        height = exchange.head.height
        for name in ("network", "explorer", f"explorer#block={height}", f"explorer#account={OWNER}"):
            await page.open(f"{url}/{name}")
            await page.wait_for("document.querySelectorAll('.card td, .card dd').length > 5")
            assert await page.evaluate(OVERFLOW_PX) <= 0, name
        await page.open(f"{url}/network")
        await page.wait_for("document.querySelectorAll('.bars a').length > 5")
        await page.screenshot(PICTURES / "phone-network.png")


WALLET = """window.ethereum = {request: ({method, params = []}) => method === "eth_requestAccounts"
  ? Promise.resolve(["OWNER"]) : new Promise(done => { window.signed = done; window.asked = params[1]; })};"""


async def test_a_wallet_admits_a_session_key_by_one_signature(tmp_path: Path) -> None:
    async with browsing(tmp_path) as (page, url, exchange):
        await page.call("Page.addScriptToEvaluateOnNewDocument", source=WALLET.replace("OWNER", OWNER))
        await page.open(url)
        await page.wait_for(BOOK_IS_FULL)
        await page.click("#account")
        await page.fill("#connect-cap", "20000")
        await page.click("#connect-wallet")
        asked = json.loads(await page.wait_for("window.asked"))
        assert asked["primaryType"] == "SetSession" and asked["message"]["scopes"] == 3
        signed = Account.sign_message(encode_typed_data(full_message=asked), KEY)
        await page.evaluate(f"window.signed('0x{signed.signature.hex().removeprefix('0x')}')")
        await page.wait_for(MAY_TRADE)
        await page.fill("#order-type", "market")
        await page.fill("#order-amount", "0.1")
        await page.click("#order-submit")
        await page.wait_for(f"/Filled/.test({SAID})")
        # The key is capped: an order worth more is refused with its number.
        await page.fill("#order-type", "limit")
        await page.fill("#order-price", bid_below(exchange)[0])
        await page.fill("#order-amount", "1")
        await page.click("#order-submit")
        await page.wait_for(f"{SAID}.includes('(317)')")


async def test_a_page_says_that_the_node_is_gone_and_comes_back_with_it(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    exchange = WebExchange(tmp_path / "data")
    config = GatewayConfig("127.0.0.1", 0, Limits(shutdown_s=0.1))
    state = "document.querySelector('#link').textContent"
    async with trio.open_nursery() as nursery, open_page(tmp_path / "profile") as page:
        nursery.start_soon(exchange.run)
        async with trio.open_nursery() as first:
            (url,) = await first.start(serve, exchange.service, config)
            await page.resize(*DESKTOP)
            await page.open(url)
            await page.wait_for(BOOK_IS_FULL)
            await page.wait_for(f"{state} === 'live'")
            first.cancel_scope.cancel()
        await page.wait_for(f"/offline|connecting again/.test({state})")
        assert await page.evaluate("document.body.dataset.link") != "live"
        await page.screenshot(PICTURES / "offline.png")
        port = int(url.rpartition(":")[2])
        async with trio.open_nursery() as second:
            await second.start(serve, exchange.service, GatewayConfig("127.0.0.1", port, config.limits))
            await page.wait_for(f"{state} === 'live'")
            before = await page.evaluate("document.querySelector('#book .levels.bids').innerText")
            await page.wait_for(f"document.querySelector('#book .levels.bids').innerText !== {before!r}")
            second.cancel_scope.cancel()
        nursery.cancel_scope.cancel()


async def test_a_traders_own_gateway_serves_the_terminal_and_signs_for_it(tmp_path: Path) -> None:
    for name in ("data", "gateway"):
        (tmp_path / name).mkdir()
    path = tmp_path / "gateway" / "api_keys.json"
    write_json(path, {"master": {}, "keys": []})
    ring = KeyRing(path, b"\x09" * 32)
    key, secret = ring.add("browser", "account:read trade:read_write", 0)
    async with open_exchange(tmp_path / "data") as (node, exchange), open_page(tmp_path / "profile") as page:
        owner = bytes.fromhex(OWNER[2:])
        gateway = TraderGateway(TraderConfig([node], tmp_path / "gateway", owner, TRADER, port=0), ring, None)
        async with trio.open_nursery() as nursery:
            url = await nursery.start(gateway.run)
            await gateway.pool.wait_node(30)
            await page.resize(*DESKTOP)
            await page.open(url)
            await page.wait_for(BOOK_IS_FULL)
            await page.click("#account")
            await page.fill("#connect-id", key.client_id)
            await page.fill("#connect-secret", secret)
            await page.click("#connect-log-in")
            await page.wait_for(MAY_TRADE)
            await page.fill("#order-price", bid_below(exchange)[0])
            await page.fill("#order-amount", "0.25")
            await page.click("#order-submit")
            await page.wait_for(f"/^Open · final in block/.test({SAID})")
            await page.click("[data-tab=orders]")
            await page.wait_for(f"{rows('orders')} === 1")
            (placed,) = exchange.service.open_orders(owner, 0)
            await page.click("#pane-orders td.edit button")
            await page.fill("#order-amount", "0.3")
            await page.click("#order-submit")
            await page.wait_for(MAY_TRADE)
            (changed,) = exchange.service.open_orders(owner, 0)
            assert (changed.order_id, changed.size_lots) == (placed.order_id, 300)
            await page.click("#pane-orders td:last-child button")
            await page.wait_for(f"{rows('orders')} === 0")
            assert page.complaints == []
            nursery.cancel_scope.cancel()
