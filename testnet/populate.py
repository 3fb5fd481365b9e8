"""Fills a running local network with accounts, by the only ways that there are: deposits, and transfers of their owners
to new subaccounts (docs/spec.md, ACC-1), 128 under one signature.
"""

from collections.abc import Callable

import trio

from net.client import AsyncClient, HansaError, Transfer
from testnet.funding import ChainAccount

ACTIONS_A_MESSAGE = 128
# Of each owner at a time; all nonces of an account that wait must lie among its last 64.
MESSAGES_AT_ONCE = 3
AMOUNT_USDC = "0.01"
TRIES = 5
CREDIT_S_MAX = 60.0


async def open_accounts(urls: list[str], owners: list[ChainAccount], count: int, show: Callable[[int], None]) -> None:
    """`count` new accounts, spread over owners that have money, each owner at another node. `show`: so many are there.
    Raises `HansaError`.
    """
    opened = [0]
    share = -(-count // len(owners))
    async with trio.open_nursery() as nursery:
        for at, owner in enumerate(owners):
            nursery.start_soon(_open_for, urls[at % len(urls)], owner, share, opened, show)


async def _open_for(url: str, owner: ChainAccount, count: int, opened: list[int], show: Callable[[int], None]) -> None:
    slots = trio.Semaphore(MESSAGES_AT_ONCE)
    async with AsyncClient(url, key="0x" + owner.key.hex()) as client, trio.open_nursery() as nursery:
        await _wait_for_money(client)

        async def send(first: int, last: int) -> None:
            try:
                await _send(client, [Transfer(AMOUNT_USDC, subaccount) for subaccount in range(first, last)])
            finally:
                slots.release()
            opened[0] += last - first
            show(opened[0])

        for first in range(1, count + 1, ACTIONS_A_MESSAGE):
            await slots.acquire()
            nursery.start_soon(send, first, min(first + ACTIONS_A_MESSAGE, count + 1))


async def _wait_for_money(client: AsyncClient) -> None:
    """A deposit becomes an account once it is final on the settlement chain."""
    give_up_at_s = trio.current_time() + CREDIT_S_MAX
    while True:
        try:
            await client.account()
            return
        except HansaError:
            if trio.current_time() > give_up_at_s:
                raise
            await trio.sleep(0.5)


async def _send(client: AsyncClient, requests: list[Transfer]) -> None:
    """A transfer that was executed once and is sent again makes no second account."""
    for attempt in range(TRIES):
        try:
            answer = await client.batch(requests)
            refused = [outcome.error for outcome in answer.outcomes if outcome.error is not None]
            if not refused:
                return
            raise refused[0]
        except HansaError:
            if attempt == TRIES - 1:
                raise
            await trio.sleep(1)
