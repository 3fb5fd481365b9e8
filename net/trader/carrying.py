"""The SDK's operations, carried out by the nodes of a gateway's pool."""

from typing import TypeVar

import trio

from net.client.operations import Operation
from net.client.protocol import make_error
from net.trader.pool import Pool
from net.trader.upstream import NodeRefused

T = TypeVar("T")


async def carry(pool: Pool, operation: Operation[T]) -> T:
    """What the operation finds. A node's refusal is the operation's to judge; raises `ApiError` when no node answers,
    and whatever the operation raises.
    """
    try:
        call = next(operation)
        while True:
            await trio.sleep(call.pause_s)
            try:
                answer = await pool.call(call.method, call.params)
            except NodeRefused as error:
                call = operation.throw(make_error(error.error))
            else:
                call = operation.send(answer)
    except StopIteration as done:
        result: T = done.value
        return result
