"""A devnet: time, prices and money that a developer moves, going back, and a run that can be run again."""

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from decimal import Decimal
from functools import partial
from pathlib import Path

import pytest
import trio
from coincurve import PrivateKey

from engine.commands import BUY, PLACE, SELL, Action, Command
from engine.params import DEFAULT_MARKETS
from engine.results import Code
from net.client import AsyncClient, HansaError
from net.gateway.api import Api, Call, answer_now
from net.gateway.app import GatewayConfig
from net.gateway.limits import Limits
from net.gateway.methods import METHODS
from net.gateway.wire import Request, load_json
from testnet.devnet.clock import VirtualClock, choose_step_ms, plan_blocks
from testnet.devnet.devnet import Devnet, NotDone
from testnet.devnet.fork import ForkError, fork
from testnet.devnet.founding import Founding, begin, derive_keys, found
from testnet.devnet.handle import EXPIRY_S, Handle
from testnet.devnet.images import Image, ImageError, copy_database, load_image, save_image
from testnet.devnet.methods import DEV_METHODS, make_methods
from testnet.devnet.prices import Prices, stretch_surface
from testnet.devnet.record import Recorder, RecordError, replay
from testnet.devnet.run import list_deposits
from testnet.devnet.wallet import derive_wallets
from testnet.funding import INSURANCE_OWNER as FUNDED_INSURANCE_OWNER
from testnet.funding import MNEMONIC, derive_account, derive_governor
from testnet.listing import make_option
from validator.config import Home, save_toml
from validator.ingress import Entry, Verdict
from validator.light import LightChain
from validator.verifier import open_verifier
from validator.volatility import FEED_OFFSET, UNIT_E8, YEAR_MS, list_expiry_feeds

pytest_plugins = ["testnet.devnet.pytest_plugin"]

PAGE = Path(__file__).parents[2] / "docs" / "develop.md"
HOUR_MS, MINUTE_MS, E8 = 3_600_000, 60_000, 10**8
START_MS = 1_790_000_000_000 // HOUR_MS * HOUR_MS  # a full hour
EXPIRY_MS = START_MS + 35 * MINUTE_MS
BTC_TICKS, BTC_LOT_QUOTE_PER_TICK = 600_000, 100
FAR_MS = 1 << 50
LONG, SHORT = derive_wallets(0, 2)


def found_small() -> Founding:
    """A perpetual and a call that ends in 35 minutes."""
    network = replace(
        found(1, START_MS, has_options=False).network,
        markets=(DEFAULT_MARKETS[0], make_option("BTC", "call", EXPIRY_MS, 58_000)),
    )
    return begin(network, 1)


@asynccontextmanager
async def open_small(folder: Path, recorder: Recorder | None = None) -> AsyncIterator[Devnet]:
    """Time stands still; the traders have their money."""
    founding = found_small()
    devnet = Devnet(
        folder / "chains", Image(founding, None, START_MS, {}), block_interval_ms=0, recorder=recorder
    )  # fmt: skip
    await devnet.deposit(list_deposits())
    async with trio.open_nursery() as nursery:
        nursery.start_soon(devnet.run)
        yield devnet
        nursery.cancel_scope.cancel()
    devnet.close()


class Desk:
    """Signs and sends by the ingress, as a gateway does."""

    def __init__(self, devnet: Devnet) -> None:
        self.devnet, self.nonce = devnet, 0

    def sign(self, key: bytes, owner: bytes, *actions: Action) -> Command:
        self.nonce += 1
        separator = self.devnet.chain.info.domain_separator
        return Command(owner, self.nonce, FAR_MS, actions).signed(PrivateKey(key), separator)

    async def send(self, command: Command) -> int:
        """The code; 0: it is in a block."""
        verdicts: list[Verdict] = []
        told = trio.Event()

        def deliver(verdict: Verdict) -> None:
            verdicts.append(verdict)
            told.set()

        height = self.devnet.chain.head.height
        self.devnet.chain.ingress.put(Entry(command.encode(), 0, is_frame=False, deliver=deliver))
        await told.wait()
        code = verdicts[0].code or int(verdicts[0].rows["code"][0])
        while code == 0 and self.devnet.chain.head.height == height:
            await trio.sleep(0)
        return code

    async def trade(self, market: int, price_ticks: int, size_lots: int) -> None:
        """SHORT sells to LONG."""
        for wallet, side in ((SHORT, SELL), (LONG, BUY)):
            order = Action(PLACE, side=side, market=market, price_ticks=price_ticks, size_lots=size_lots)
            assert await self.send(self.sign(wallet.key, wallet.address, order)) == 0

    def equity_quote(self, owner: bytes) -> int:
        view = self.devnet.chain.service.account(owner, 0)
        assert view is not None
        return view.equity_quote


# what needs no exchange


def test_the_wallets_are_those_of_the_test_mnemonic_everywhere():
    wallets = derive_wallets(0, 2)
    assert wallets[0].address_text == "0xf39fd6e51aad88f6f4ce6ab8827279cfffb92266"
    assert wallets[0].key_text == "0xac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80"
    assert (wallets[1].key, wallets[1].address) == (derive_account(1).key, derive_account(1).address)


def test_what_a_devnet_and_a_local_network_call_the_same_is_the_same():
    from testnet.devnet import founding, wallet

    assert wallet.MNEMONIC == MNEMONIC
    assert founding.INSURANCE_OWNER == FUNDED_INSURANCE_OWNER
    assert derive_wallets(founding.GOVERNOR_NUMBER, 1)[0].address == derive_governor().address


def test_a_way_has_a_block_at_each_full_minute_and_at_its_end():
    times_ms = list(plan_blocks(START_MS + 1, START_MS + 150_001, (), MINUTE_MS))
    assert times_ms == [START_MS + MINUTE_MS, START_MS + 2 * MINUTE_MS, START_MS + 150_001]


def test_an_expiry_has_all_its_samples_and_a_block_of_its_own():
    times_ms = list(plan_blocks(START_MS, EXPIRY_MS + 1, (EXPIRY_MS,), 5 * MINUTE_MS))
    begins_ms = EXPIRY_MS - 30 * MINUTE_MS
    slots = {(time_ms - begins_ms) // 4_000 for time_ms in times_ms if begins_ms <= time_ms < EXPIRY_MS}
    assert slots == set(range(450))
    assert EXPIRY_MS in times_ms and times_ms[-1] == EXPIRY_MS + 1
    assert times_ms == sorted(set(times_ms))


def test_no_way_leaves_a_gap_that_would_halt_the_exchange():
    way_ms = 3 * 86_400_000
    assert choose_step_ms(way_ms) < found_small().network.exchange_params().halt_gap_ms


def test_a_frozen_clock_stands_where_it_was_put_and_another_goes_on():
    now_ns = [0]
    frozen, running = (VirtualClock(5_000, is_frozen, lambda: now_ns[0]) for is_frozen in (True, False))
    now_ns[0] = 2_000_000_000
    assert (frozen.now_ms(), running.now_ms()) == (5_000, 7_000)
    running.put(100)
    assert running.now_ms() == 100


def test_a_volatility_that_is_set_is_that_at_the_money():
    left_ms = 30 * 86_400_000
    feeds = list_expiry_feeds(1, "BTC", 60_000 * E8, START_MS + left_ms, START_MS)
    _, a_fed, _, rho_fed, _, _ = stretch_surface(feeds, 8_000, left_ms)
    rho_e8 = rho_fed - FEED_OFFSET
    theta_e8 = 2 * (a_fed - FEED_OFFSET) * UNIT_E8**2 // (UNIT_E8**2 - rho_e8**2)
    assert abs(theta_e8 - 8_000**2 * left_ms // YEAR_MS) <= 10


def test_prices_stand_still_until_somebody_moves_them():
    prices = Prices(1, DEFAULT_MARKETS)
    assert prices.feeds(START_MS, ()) == prices.feeds(START_MS + HOUR_MS, ()) == (60_000 * E8, 3_000 * E8)
    prices.indexes_e8["ETH"] = 2_500 * E8
    assert prices.feeds(START_MS, ()) == (60_000 * E8, 2_500 * E8)
    other = Prices(1, DEFAULT_MARKETS)
    other.load(prices.save())
    assert other == prices


# with the engine


async def test_an_hour_pays_funding_to_the_unit(tmp_path):
    async with open_small(tmp_path) as devnet:
        desk = Desk(devnet)
        await desk.trade(0, BTC_TICKS, 1_000)
        before = desk.equity_quote(LONG.address), desk.equity_quote(SHORT.address)
        blocks = await devnet.move_time(HOUR_MS)
        # Without a book the premium is 0, so the rate is the interest of 0.01 % for eight hours (FND-3).
        paid_quote = 60_000 * 10**6 * 1 // 10_000 // 8
        assert desk.equity_quote(LONG.address) == before[0] - paid_quote
        assert desk.equity_quote(SHORT.address) == before[1] + paid_quote
        assert blocks >= 60 and devnet.clock.now_ms() >= START_MS + HOUR_MS


async def test_an_option_is_settled_at_the_mean_of_its_last_half_hour(tmp_path):
    async with open_small(tmp_path) as devnet:
        desk = Desk(devnet)
        await devnet.mine(1)
        mark = int(devnet.chain.executor.final.state.tables.markets[1]["mark_ticks"])
        await desk.trade(1, mark, 100)
        fees = devnet.chain.service.account(LONG.address, 0).balance_quote
        await devnet.set_index("BTC", 61_000 * E8)
        await devnet.move_time(EXPIRY_MS - devnet.clock.now_ms())
        settled = devnet.chain.executor.final.state.tables.markets[1]
        assert int(settled["settle_e8"]) == 3_000 * E8  # of the call: 61,000 less its strike
        assert desk.equity_quote(LONG.address) == fees + 100 * 3_000 * 10**4


async def test_going_back_gives_the_same_root_and_the_same_inputs_the_same_again(tmp_path):
    async with open_small(tmp_path, Recorder(tmp_path / "run.hansa", found_small())) as devnet:
        desk, chain = Desk(devnet), devnet.chain
        root, head = chain.executor.final.state.state_root, chain.head
        number = await devnet.snapshot()
        orders = [
            desk.sign(wallet.key, wallet.address, Action(PLACE, side=side, price_ticks=BTC_TICKS, size_lots=5))
            for wallet, side in ((SHORT, SELL), (LONG, BUY))
        ]
        roots = []
        for _ in range(2):
            for order in orders:
                assert await desk.send(order) == 0
            await devnet.set_index("BTC", 59_000 * E8)
            await devnet.move_time(2 * MINUTE_MS)
            roots.append((devnet.chain.head, devnet.chain.executor.final.state.state_root))
            assert len(devnet.chain.service.user_trades(LONG.address, 0, 10)) == 1
            if len(roots) == 1:
                assert await devnet.revert(number)
                assert (devnet.chain.head, devnet.chain.executor.final.state.state_root) == (head, root)
                assert devnet.chain is not chain and devnet.chain.service.user_trades(LONG.address, 0, 10) == []
        assert roots[0] == roots[1] and roots[0][1] != root
        assert not await devnet.revert(number), "a snapshot is good for once"
        last = devnet.chain.head
    # The record has the second way alone, from the first block on.
    found_again = replay(tmp_path / "run.hansa")
    assert (found_again.height, found_again.state_root, found_again.fault) == (last.height, roots[1][1], "")
    part = replay(tmp_path / "run.hansa", until_height=head.height)
    assert (part.height, part.block_count, part.state_root) == (head.height, 1, root)


async def test_a_record_that_was_changed_is_not_believed(tmp_path):
    path = tmp_path / "run.hansa"
    async with open_small(tmp_path, Recorder(path, found_small())) as devnet:
        at_bytes = devnet.recorder.size_bytes
        await devnet.mine(1)
        root = devnet.chain.head.commitment
    data = path.read_bytes()
    where = data.index(root, at_bytes)
    path.write_bytes(data[: where + 100] + bytes([data[where + 100] ^ 1]) + data[where + 101 :])
    assert "certificate of block 2" in replay(path).fault
    path.write_bytes(data[:-10])
    with pytest.raises(RecordError, match=f"damaged from byte {at_bytes}"):
        replay(path)
    path.write_bytes(b"not a record")
    with pytest.raises(RecordError, match="is no record"):
        replay(path)


async def test_a_state_on_disk_is_begun_with_again(tmp_path):
    path = tmp_path / "state.zip"
    async with open_small(tmp_path) as devnet:
        await Desk(devnet).trade(0, BTC_TICKS, 7)
        await devnet.set_index("BTC", 58_500 * E8)
        save_image(path, devnet.take_image())
        head, time_ms = devnet.chain.head, devnet.clock.now_ms()
    image = load_image(path, tmp_path / "loaded")
    again = Devnet(tmp_path / "again", image, block_interval_ms=0)
    assert (again.chain.head, again.clock.now_ms()) == (head, time_ms)
    assert len(again.chain.service.user_trades(LONG.address, 0, 10)) == 1
    await again.mine(1)
    assert again.chain.head.height == head.height + 1 and again.read_index_e8("BTC") == 58_500 * E8
    again.close()
    path.write_bytes(path.read_bytes()[:-30])
    with pytest.raises(ImageError, match="is no state"):
        load_image(path, tmp_path / "broken")


async def test_a_network_is_forked_where_its_certified_blocks_end(tmp_path):
    home = Home(tmp_path / "node")
    async with open_small(tmp_path) as devnet:
        await Desk(devnet).trade(0, BTC_TICKS, 7)
        await devnet.set_index("BTC", 58_500 * E8)
        save_toml(home.genesis, devnet.chain.founding.network)
        copy_database(devnet.chain.database, home.data / "blocks.sqlite")
        head, equity_quote = devnet.chain.head, Desk(devnet).equity_quote(LONG.address)
    image = fork(home.path, None, seed=2)
    assert (image.founding.head, image.founding.epoch) == (head, 2)
    forked = Devnet(tmp_path / "forked", image, block_interval_ms=0)
    await forked.mine(1)
    assert forked.chain.head.parent_hash == head.hash() and forked.chain.head.epoch == 2
    assert forked.read_index_e8("BTC") == 58_500 * E8 and Desk(forked).equity_quote(LONG.address) == equity_quote
    certified = forked.chain.service.certificate(None)
    LightChain(image.founding.domain, derive_keys(2).seats(2)).verify(certified.certificate)
    forked.close()
    # The same blocks under the genesis of another committee are nobody's.
    save_toml(home.genesis, replace(found(3, START_MS).network, markets=found_small().network.markets))
    with pytest.raises(ForkError, match="does not hold what its committee certified"):
        fork(home.path, None, seed=2)
    with pytest.raises(ForkError, match="has run"):
        (home.data / "blocks.sqlite").unlink()
        fork(home.path, None, seed=2)


async def test_money_comes_and_goes_by_the_inbox(tmp_path):
    owner = b"\x77" * 20
    async with open_small(tmp_path) as devnet:
        for equity_quote in (5_000_000_000, 1, 0):
            await devnet.set_equity(owner, 3, equity_quote)
            assert devnet.chain.service.account(owner, 3).equity_quote == equity_quote
        await Desk(devnet).trade(0, BTC_TICKS, 10_000)
        with pytest.raises(NotDone) as refused:
            await devnet.set_equity(LONG.address, 0, 1)
        assert refused.value.code == Code.INSUFFICIENT_BALANCE


async def test_a_key_for_anybodys_account_trades_and_cannot_withdraw(tmp_path):
    async with open_small(tmp_path) as devnet:
        desk, key = Desk(devnet), await devnet.impersonate(LONG.address, 0)
        order = Action(PLACE, side=BUY, price_ticks=BTC_TICKS, size_lots=5)
        assert await desk.send(desk.sign(key.secret, LONG.address, order)) == 0
        assert len(devnet.chain.service.open_orders(LONG.address, 0)) == 1
        with pytest.raises(NotDone) as refused:
            await devnet.impersonate(b"\x78" * 20, 0)
        assert refused.value.code == Code.UNKNOWN_ACCOUNT


async def test_the_price_moves_until_an_account_is_liquidated(tmp_path):
    async with open_small(tmp_path) as devnet:
        desk = Desk(devnet)
        assert await devnet.liquidate(LONG.address, 0) is None, "it holds nothing"
        await desk.trade(0, BTC_TICKS, 150_000)
        name, moved = await devnet.liquidate(LONG.address, 0)
        assert name == "BTC" and moved.index_e8 < 60_000 * E8
        assert devnet.chain.executor.final.result.liquidations["account"].tolist()


# the methods


async def ask(api: Api, method: str, **params: object) -> dict:
    return load_json((await answer_now(Call(api, Request(1, method, params), 0))).text)


async def test_no_node_has_the_methods_of_a_devnet(tmp_path):
    assert GatewayConfig().methods is METHODS
    assert not [name for name in METHODS if not name.startswith(("public/", "private/"))]
    async with open_small(tmp_path) as devnet:
        service = devnet.chain.service
        of_a_node, own = Api(service, Limits(), METHODS), Api(service, Limits(), make_methods(devnet))
        names = [name for row in DEV_METHODS for name in (row.name, *row.aliases)]
        for name in names:
            refused = await ask(of_a_node, name)
            assert refused["error"]["data"]["code"] == 603, name
        assert (await ask(own, "dev_info"))["result"]["height"] == devnet.chain.head.height
        assert (await ask(own, "public/get_time"))["result"] == devnet.clock.now_ms()


@pytest.mark.parametrize(
    ("method", "params", "code"),
    [
        ("dev_revert", {"id": "0x99"}, 901),
        ("dev_revert", {"id": "yesterday"}, 901),
        ("dev_setOracle", {"underlying": "XYZ", "price": "1"}, 902),
        ("dev_setOracle", {"underlying": "BTC", "price": "0"}, 704),
        ("dev_impersonate", {"owner": "0x" + "99" * 20}, 903),
        ("dev_liquidate", {"owner": LONG.address_text}, 905),
        ("dev_increaseTime", {"seconds": 0}, 704),
        ("dev_mine", {"blocks": "many"}, 702),
    ],
)
def test_what_cannot_be_done_has_a_number(hansa_devnet_session: Handle, method: str, params: dict, code: int):
    with pytest.raises(HansaError) as refused:
        hansa_devnet_session.call(method, **params)
    assert refused.value.code == code


def test_a_bot_is_told_what_is_proven_and_keeps_what_came_before_a_snapshot(hansa_devnet: Handle):
    height = hansa_devnet.call("dev_info")["height"]
    for turn in range(2):
        verifier = open_verifier(hansa_devnet.genesis)
        with hansa_devnet.client(0) as maker, hansa_devnet.client(1, verify=verifier) as taker:
            maker.sell("BTC-PERPETUAL", "0.5", "60010")
            bought = taker.buy("BTC-PERPETUAL", "0.5", "60010")
            assert [fill.price_usd for fill in bought.trades] == [Decimal("60010.0")]
            assert bought.progress.certificate == "proven" and taker.proof().certificate == "proven"
            name = hansa_devnet.snapshot()
            hansa_devnet.increase_time(minutes=10)
            assert hansa_devnet.mine(2)["height"] > height + 12
            hansa_devnet.set_balance(taker.owner, "9999.5")
            assert taker.account().equity == Decimal("9999.5")
            hansa_devnet.revert(name)
            assert hansa_devnet.call("dev_info")["height"] == bought.progress.height
            assert len(taker.user_trades()) == turn + 1


async def test_whoever_listens_is_told_anew_after_going_back(hansa_devnet: Handle):
    call = partial(trio.to_thread.run_sync, abandon_on_cancel=True)
    name = await call(hansa_devnet.snapshot)
    async with AsyncClient(hansa_devnet.url, key=hansa_devnet.accounts[0].key_text) as client:
        client.operations.signer.expiry_s = EXPIRY_S
        async with client.subscribe("book.BTC-PERPETUAL.100ms") as messages:
            first = await messages.receive()
            assert first.data["type"] == "snapshot" and first.data["bids"] == []
            for price_usd in ("59000", "59001"):
                await client.buy("BTC-PERPETUAL", "0.1", price_usd)
                with trio.fail_after(60):
                    change = await messages.receive()
                assert change.data["bids"], change
                if price_usd == "59000":
                    await call(hansa_devnet.revert, name)
                    with trio.fail_after(60):
                        again = await messages.receive()
                    assert again.data["type"] == "snapshot" and again.data["bids"] == []


def test_automatic_blocks_may_be_left_out(hansa_devnet: Handle):
    hansa_devnet.call("dev_setAutomine", is_on=False)
    try:
        with hansa_devnet.client(0) as client:
            height = hansa_devnet.call("dev_info")["height"]
            sent = [client.buy("BTC-PERPETUAL", "0.1", price, wait="received") for price in ("59000", "59001")]
            assert hansa_devnet.call("dev_info")["height"] == height
            assert hansa_devnet.mine()["height"] == height + 1
            states = [client.command_status(placed.progress.command_id) for placed in sent]
            assert {state["height"] for state in states} == {height + 1}
    finally:
        hansa_devnet.call("dev_setAutomine", is_on=True)


def test_without_a_choice_the_command_explains_both(capsys):
    from testnet.devnet.__main__ import devnet

    assert devnet() == 2
    told = capsys.readouterr().err
    assert "hansa devnet --single" in told and "hansa testnet up" in told


def test_the_page_lists_the_methods_as_they_are():
    rows = re.findall(r"^\| `(dev_\w+)` \| ([^|]*) \| (.*) \|$", PAGE.read_text(), re.MULTILINE)
    shown = [
        (row.name, ", ".join(f"`{name}`" for name in row.aliases), row.summary, [param.name for param in row.params])
        for row in DEV_METHODS
    ]
    assert [(name, aliases) for name, aliases, _ in rows] == [(name, aliases or "") for name, aliases, *_ in shown]
    for (_, _, text), (name, _, summary, params) in zip(rows, shown, strict=True):
        assert text.startswith(summary), name
        assert re.findall(r"`(\w+)`", text.removeprefix(summary)) == params, name
