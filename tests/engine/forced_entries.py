"""Draws forced actions for a day at the exchange (`tests.engine.worlds`)."""

from typing import Any

from engine.commands import ALL_MARKETS
from engine.payload import FORCED_KINDS, KIND_CLOSE, KIND_KEY, KIND_WITHDRAW
from tests.engine.blocks import TOKEN, USD

NO_TOKEN, UNKNOWN_TOKEN = bytes(20), bytes.fromhex("77" * 20)


def make_forced(world: Any, owner: bytes, keys: list[bytes], coin: bytes) -> list:
    """An entry of `Step.deposits`: mostly of an account that can obey; now and then one that no contract would make."""
    subaccount = world.pick(0, 0, 0, 1, 7)
    index = world.x.find_account(owner, subaccount)
    held = sorted(world.x.accounts[index].positions) if index is not None else []
    kind, token, amount = world.pick(*FORCED_KINDS, KIND_CLOSE, KIND_CLOSE, KIND_WITHDRAW), NO_TOKEN, 0
    market = world.pick(*held) if held and not world.one_in(5) else world.open_market()
    data = world.pick(ALL_MARKETS, market)
    if kind == KIND_CLOSE:
        amount = world.pick(0, 0, 1, 3, 40, 1 << 40)
        limit_ticks = world.pick(0, 0, 1, world.near_ticks(market, world.draw(2)), 1 << 24, (1 << 63) - 1)
        data = limit_ticks << 32 | market
    elif kind == KIND_WITHDRAW:
        token, data = world.pick(TOKEN, TOKEN, coin, UNKNOWN_TOKEN), 0
        amount = world.pick(0, 0, 1, 5_000, 10 * USD, 900 * USD, 1 << 61)
    elif kind == KIND_KEY:
        amount, scopes = world.pick(0, 0, 900 * USD), world.pick(0, 1, 1, 2, 4, 7, 8, 256)
        expiry_ms = world.now_ms + world.pick(0, 1, 60_000, 10_000_000)
        data = expiry_ms << 192 | scopes << 160 | int.from_bytes(world.pick(*keys), "big")
    entry = [kind, token.hex(), owner.hex(), subaccount, amount, data.to_bytes(32, "big").hex()]
    if world.one_in(20):
        if world.one_in(2):
            entry[1] = bytes([world.draw(256)] * 20).hex()
        else:
            entry[5] = bytes([world.draw(256)] * 32).hex()
    return [*entry, world.pick(*keys).hex()] if world.one_in(30) else entry
