"""The methods that a devnet's API has beside a validator's. No validator has them: a node's gateway is given
`net.gateway.methods.METHODS` alone, and this table lies where no node looks.

docs/develop.md has the same table, and a test compares the two.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from typing import Any

from engine.commands import address_of
from engine.errors import ParamsError
from engine.feeds import FEED_E8_MAX
from engine.params import E8_DECIMALS, parse_decimal
from net.gateway.api import Call, Method, Param
from net.gateway.errors import AMOUNT_OFF_UNIT, NUMBER_OVERFLOW, ApiError
from net.gateway.instruments import read_quote
from net.gateway.methods import METHODS
from net.gateway.params import U32_MAX, Params
from net.gateway.present_text import e8_text, hexed
from testnet.devnet.clock import STEP_MS_MAX
from testnet.devnet.devnet import Devnet, NotDone
from testnet.devnet.faults import NO_ACCOUNT, NO_SNAPSHOT, NOT_DONE, NOTHING_TO_LIQUIDATE, UNKNOWN_UNDERLYING
from testnet.devnet.plan import TRADER_COUNT
from testnet.devnet.wallet import derive_wallets

BLOCKS_MAX = 10_000
DAYS_MAX = 366
VOLATILITY_PERCENT_MAX = 500
Handler = Callable[[Devnet, Params], Awaitable[object]]


@dataclass(frozen=True, slots=True)
class DevMethod:
    """One row: what it is called, what it does and takes. `aliases`: what Ethereum's tools call the same."""

    name: str
    handler: Handler
    summary: str
    params: tuple[Param, ...] = ()
    aliases: tuple[str, ...] = ()


def _where(devnet: Devnet) -> dict[str, Any]:
    """The last block, and the time of the exchange."""
    head = devnet.chain.head
    root = devnet.chain.executor.final.state.state_root
    return {"height": head.height, "time_ms": devnet.clock.now_ms(), "state_root": hexed(root)}


def _read_account(params: Params) -> tuple[bytes, int]:
    return params.hex_bytes("owner", 20), params.integer("subaccount", 0, U32_MAX, 0)


async def mine(devnet: Devnet, params: Params) -> object:
    await devnet.mine(params.integer("blocks", 1, BLOCKS_MAX, 1), params.integer("interval_ms", 0, STEP_MS_MAX, 0))
    return _where(devnet)


async def increase_time(devnet: Devnet, params: Params) -> object:
    seconds = params.integer("seconds", 1, DAYS_MAX * 86_400)
    step_ms = params.integer("step_s", 0, STEP_MS_MAX // 1000, 0) * 1000
    return {"blocks": await devnet.move_time(seconds * 1000, step_ms)} | _where(devnet)


async def set_automine(devnet: Devnet, params: Params) -> object:
    devnet.is_automatic = params.flag("is_on", True)
    devnet.wake()
    return devnet.is_automatic


async def set_oracle(devnet: Devnet, params: Params) -> object:
    name = params.text("underlying")
    if name not in devnet.prices.names:
        raise ApiError(UNKNOWN_UNDERLYING, "underlying", "one of " + ", ".join(devnet.prices.names))
    volatility_percent = params.integer("volatility", 0, VOLATILITY_PERCENT_MAX, 0)
    moved = await devnet.set_index(name, _read_price_e8(params), volatility_percent * 100)
    return {"blocks": moved.block_count, "index": e8_text(moved.index_e8)} | _where(devnet)


def _read_price_e8(params: Params) -> int:
    try:
        index_e8 = parse_decimal(params.decimal("price"), E8_DECIMALS)
    except ParamsError as error:
        raise ApiError(AMOUNT_OFF_UNIT, "price", str(error)) from None
    if not 0 < index_e8 <= FEED_E8_MAX:
        raise ApiError(NUMBER_OVERFLOW, "price", f"above 0 and at most {e8_text(FEED_E8_MAX)}")
    return index_e8


async def set_balance(devnet: Devnet, params: Params) -> object:
    owner, subaccount = _read_account(params)
    try:
        await devnet.set_equity(owner, subaccount, max(read_quote(params, "amount"), 0))
    except NotDone as error:
        raise _refuse(error) from None
    return _where(devnet)


async def impersonate(devnet: Devnet, params: Params) -> object:
    owner, subaccount = _read_account(params)
    if devnet.chain.service.account(owner, subaccount) is None:
        raise ApiError(NO_ACCOUNT, "owner")
    try:
        key = await devnet.impersonate(owner, subaccount)
    except NotDone as error:
        raise _refuse(error) from None
    return {"key": hexed(key.secret), "address": hexed(address_of(key.public_key))} | _where(devnet)


def _refuse(error: NotDone) -> ApiError:
    return ApiError(NOT_DONE, engine_code=int(error.code), engine_reason=error.code.name.lower())


async def liquidate(devnet: Devnet, params: Params) -> object:
    owner, subaccount = _read_account(params)
    if devnet.chain.service.account(owner, subaccount) is None:
        raise ApiError(NO_ACCOUNT, "owner")
    found = await devnet.liquidate(owner, subaccount)
    if found is None:
        raise ApiError(NOTHING_TO_LIQUIDATE, "owner")
    name, moved = found
    shown = {"underlying": name, "index": e8_text(moved.index_e8), "blocks": moved.block_count}
    return shown | _where(devnet)


async def snapshot(devnet: Devnet, _: Params) -> object:
    return hex(await devnet.snapshot())


async def revert(devnet: Devnet, params: Params) -> object:
    text = params.text("id")
    try:
        number = int(text, 16)
    except ValueError:
        number = 0
    if not await devnet.revert(number):
        raise ApiError(NO_SNAPSHOT, "id")
    return True


async def info(devnet: Devnet, _: Params) -> object:
    prices = {name: e8_text(devnet.read_index_e8(name)) for name in devnet.prices.names}
    return _where(devnet) | {
        "seed": devnet.chain.founding.seed, "is_frozen": devnet.clock.is_frozen, "is_automining": devnet.is_automatic,
        "block_interval_ms": devnet.block_interval_ms, "indexes": prices,
        "accounts": [
            {"address": wallet.address_text, "key": wallet.key_text} for wallet in derive_wallets(0, TRADER_COUNT)
        ],
    }  # fmt: skip


_ACCOUNT = (
    Param("owner", "address", "whose account"),
    Param("subaccount", "integer", "of the owner, default 0", False, low=0, high=U32_MAX),
)
DEV_METHODS: tuple[DevMethod, ...] = (
    DevMethod("dev_info", info, "The devnet in one answer: height, time, prices, how blocks are made, accounts."),
    DevMethod(
        "dev_mine", mine, "Blocks now.",
        (Param("blocks", "integer", "how many, default 1", False, low=1, high=BLOCKS_MAX),
         Param("interval_ms", "integer", "how far apart; default: as little as possible", False, low=0,
               high=STEP_MS_MAX)),
        ("evm_mine",),
    ),
    DevMethod(
        "dev_increaseTime", increase_time,
        "Time moves ahead with every block on the way that funding, expiries and settlements need; answers when it is "
        "there.",
        (Param("seconds", "integer", "how far, at most 366 days", low=1, high=DAYS_MAX * 86_400),
         Param("step_s", "integer", "between blocks; default 60, and 300 for more than two hours", False, low=0,
               high=STEP_MS_MAX // 1000)),
        ("evm_increaseTime",),
    ),
    DevMethod(
        "dev_setAutomine", set_automine, "Whether blocks are made for commands and by time, or by dev_mine alone.",
        (Param("is_on", "true or false", "default true", False),), ("evm_setAutomine",),
    ),
    DevMethod(
        "dev_setOracle", set_oracle,
        "The index of an underlying moves to a price, a capped step in each block, and stays there. With a volatility "
        "the surfaces of its expiries move to it.",
        (Param("underlying", "text", "such as BTC"), Param("price", "decimal", "USD for one"),
         Param("volatility", "integer", "at the money, per cent a year", False, low=0, high=VOLATILITY_PERCENT_MAX)),
    ),
    DevMethod(
        "dev_setBalance", set_balance,
        "An account is worth this much: its equity becomes it by a deposit, or by a forced withdrawal of what is not "
        "needed as margin. Opens the account.",
        (*_ACCOUNT, Param("amount", "decimal", "USDC")),
    ),
    DevMethod(
        "dev_impersonate", impersonate,
        "A session key that trades, cancels and transfers for any account; it cannot withdraw.", _ACCOUNT,
    ),
    DevMethod(
        "dev_liquidate", liquidate,
        "The price moves against an account, one per cent a block, until it is liquidated, and stays there.", _ACCOUNT,
    ),
    DevMethod("dev_snapshot", snapshot, "Remembers this moment; the answer is its id.", (), ("evm_snapshot",)),
    DevMethod(
        "dev_revert", revert, "Back to a snapshot: state, history, time and prices. It and later ones are used up.",
        (Param("id", "text", "of dev_snapshot"),), ("evm_revert",),
    ),
)  # fmt: skip


def make_methods(devnet: Devnet) -> dict[str, Method]:
    """A validator's methods, with the devnet's time, and the devnet's own."""
    methods = dict(METHODS)
    methods["public/get_time"] = replace(methods["public/get_time"], handler=_make_clock(devnet))
    for row in DEV_METHODS:
        for name in (row.name, *row.aliases):
            methods[name] = Method(name, _bind(devnet, row.handler), row.summary, row.params, result=Any)
    return methods


def _make_clock(devnet: Devnet) -> Callable[[Call], Awaitable[object]]:
    async def get_time(_: Call) -> object:
        return devnet.clock.now_ms()

    return get_time


def _bind(devnet: Devnet, handler: Handler) -> Callable[[Call], Awaitable[object]]:
    async def run(call: Call) -> object:
        return await handler(devnet, call.params)

    return run
