"""What a client of the API's process hears of commands that only the node knows: included, executed, and final in a
block that the process has not executed yet.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import trio

from engine.commands import BUY, IMMEDIATE_OR_CANCEL, POST_ONLY, SELL, Command, command_id
from engine.results import Code
from net.feed.questions import Question
from net.gateway.app import GatewayConfig, serve
from net.gateway.backend import CommandResult, Status
from tests.validator.chainlet import MARK_TICKS, OWNERS, SEPARATOR, seal
from tests.validator.test_ingress import Desk
from tests.validator.test_ledger import place
from tests.validator.test_mirror import NETWORK, TOLD, Writer, follow
from validator.account_data import NodeAccountData
from validator.mirror import Greeting, Mirror
from validator.order_desk import OrderDesk
from validator.order_line import OrderLine
from validator.pending import Pending, rows_of_id


class Node(Writer):
    """A node that answers questions, as far as its executor, its batches and its ledger go."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.pending = Pending(self.chain.executor, self.chain.pool)
        self.accounts = NodeAccountData(self.chain.executor, self.ledger, self.store, lambda: 0, self.pending)
        self.asked: list[Question] = []

    def look_up(self, question: Question) -> list[CommandResult]:
        self.asked.append(question)
        if question.number:
            return list(self.accounts.commands_by_nonce(question.owner, question.subaccount, question.number))
        known = self.ledger.result(question.action_id, 0)
        return [known] if known is not None else self.pending.find(rows_of_id(question.action_id))


@asynccontextmanager
async def beside(node: Node, folder: Path) -> AsyncIterator[Mirror]:
    """The copy in the API's process, its line open."""
    line = OrderLine(folder / "orders.sock", SEPARATOR)
    async with trio.open_nursery() as nursery:
        ingress = Desk(node.chain).ingress
        nursery.start_soon(ingress.run)
        nursery.start_soon(OrderDesk(folder / "orders.sock", ingress, node.look_up).run)
        nursery.start_soon(line.run)
        with trio.fail_after(30):
            while not line.is_open:
                await trio.sleep(0.005)
        mirror = Mirror(node.home, NETWORK, 0, Greeting(TOLD, ()), line, lambda: 0)
        mirror.is_connected = True
        yield mirror
        nursery.cancel_scope.cancel()
    mirror.close()
    node.store.close()


def orders(nonce: int) -> list[Command]:
    return [
        place(0, nonce, SELL, 3, POST_ONLY, MARK_TICKS), place(1, nonce, BUY, 2, IMMEDIATE_OR_CANCEL, MARK_TICKS)
    ]  # fmt: skip


async def test_included_and_executed_are_told_before_anything_is_final(tmp_path: Path) -> None:
    node = Node(tmp_path)
    async with beside(node, tmp_path) as mirror:
        batch = seal(1, 1, [command.encode() for command in orders(1)])
        node.chain.add([batch], is_final=False)
        name = command_id(orders(1)[1], SEPARATOR)
        assert mirror.service.command_status(name) is None
        included = await mirror.service.find_command(name)
        assert included is not None and (included.status, included.height) == (Status.INCLUDED, 2)
        node.chain.add([], is_final=False)  # built on, so what it is built on is notarised
        executed = await mirror.service.find_command(name)
        assert executed is not None and (executed.status, executed.filled_lots) == (Status.EXECUTED, 2)
        (same,) = await mirror.service.find_by_nonce(OWNERS[1], 0, 1)
        assert same == executed
        assert await mirror.service.find_command(b"\x05" * 32) is None


async def test_what_is_final_at_the_node_is_waited_for_here(tmp_path: Path) -> None:
    node = Node(tmp_path)
    async with beside(node, tmp_path) as mirror:
        node.run(seal(1, 1, [command.encode() for command in orders(1)]))
        name = command_id(orders(1)[1], SEPARATOR)
        assert mirror.service.command_status(name) is None, "the copy has not come to that block yet"

        async def catch_up() -> None:
            while not node.asked:
                await trio.sleep(0.005)
            await follow(mirror, node)

        async with trio.open_nursery() as nursery:
            nursery.start_soon(catch_up)
            found = await mirror.service.find_command(name)
        assert found is not None and found.status == Status.CERTIFIED and len(found.fills) == 1
        node.asked.clear()
        assert await mirror.service.find_command(name) == found and not node.asked, (
            "what is known here is not asked for"
        )


async def test_a_retry_hears_what_became_of_the_command_and_not_that_its_nonce_is_spent(tmp_path: Path) -> None:
    """The node judges by a block that the copy has not executed yet."""
    node = Node(tmp_path)
    async with beside(node, tmp_path) as mirror, trio.open_nursery() as nursery:
        (url,) = await nursery.start(serve, mirror.service, GatewayConfig("127.0.0.1", 0))
        node.run(seal(1, 1, [command.encode() for command in orders(1)]))
        answers: dict[str, Any] = {}

        async def submit(name: str, command: Command) -> None:
            body = {
                "jsonrpc": "2.0",
                "id": 1,
                "method": "public/x_submit",
                "params": {"command": command.encode().hex()},
            }
            async with httpx.AsyncClient(timeout=30) as http:
                answers[name] = (await http.post(f"{url}/api/v2", json=body)).json()

        async with trio.open_nursery() as clients:
            clients.start_soon(submit, "again", orders(1)[1])
            while not node.asked:
                await trio.sleep(0.005)
            await follow(mirror, node)
        told = answers["again"]["result"]
        assert (told["x_status"], told["x_is_final"], told["order"]["order_state"]) == ("certified", True, "filled")
        await submit("other", place(1, 1, BUY, 1, POST_ONLY, MARK_TICKS - 5))
        assert answers["other"]["error"]["data"]["code"] == Code.NONCE_REUSED, "another message with that nonce"
        nursery.cancel_scope.cancel()
