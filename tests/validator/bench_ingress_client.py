"""The client of `tests.validator.bench_ingress`: waits for a line, sends everything, counts what was taken."""

import json
import sys
import time
from typing import Any

import trio
from coincurve import PrivateKey

from engine.commands import PLACE, Action, Command, address_of
from net.client.socket import open_socket
from net.order_frames import Orders, Receipts

MESSAGES = {1: 2_000, 20: 500, 100: 300}
FRAME_MESSAGES = {1: 50, 20: 10, 100: 5}
OUTSTANDING = 16


def make_messages(plan: dict[str, Any], actions_per_message: int) -> list[bytes]:
    """Signed quotes of one trader."""
    actions = tuple(
        Action(PLACE, side=at & 1, market=0, price_ticks=plan["price_ticks"], size_lots=1, client_id=at)
        for at in range(actions_per_message)
    )
    key, first, expiry_ms = PrivateKey.from_hex(plan["key"]), time.time_ns() // 1000, 1 << 50
    owner, separator = address_of(key.public_key), bytes.fromhex(plan["separator"])
    commands = [Command(owner, first + at, expiry_ms, actions) for at in range(MESSAGES[actions_per_message])]
    return [command.signed(key, separator).encode() for command in commands]


async def send_all(plan: dict[str, Any]) -> None:
    """One connection, so many frames or calls unanswered at a time."""
    actions, is_binary = plan["actions"], plan["way"] == "frames"
    messages, size = make_messages(plan, actions), FRAME_MESSAGES[actions] if is_binary else 1
    groups = [messages[at : at + size] for at in range(0, len(messages), size)]
    print("ready", flush=True)
    sys.stdin.readline()
    room, taken = trio.Semaphore(OUTSTANDING), 0
    async with open_socket(plan["url"], plan["path"]) as socket, trio.open_nursery() as nursery:

        async def send() -> None:
            for tag, group in enumerate(groups):
                await room.acquire()
                await socket.send(Orders(tag, 0, b"".join(group)).encode() if is_binary else make_call(tag, group[0]))

        nursery.start_soon(send)
        for _ in groups:
            answer = await socket.receive()
            room.release()
            taken += count_taken(plan, answer)
    print(taken, flush=True)


def make_call(tag: int, message: bytes) -> str:
    params = {"command": "0x" + message.hex(), "x_wait": "received"}
    return json.dumps({"jsonrpc": "2.0", "id": tag, "method": "public/x_submit", "params": params})


def count_taken(plan: dict[str, Any], answer: str | bytes | None) -> int:
    """Messages that the node answers for."""
    if not isinstance(answer, bytes):
        return int("result" in json.loads(answer or "{}"))
    receipts = Receipts.decode(answer)
    is_signed = receipts.is_signed_by(bytes.fromhex(plan["node_key"]), bytes.fromhex(plan["network_id"]), 0)
    return int((receipts.rows["code"] == 0).sum()) if is_signed else 0


if __name__ == "__main__":
    trio.run(send_all, json.loads(sys.argv[1]))
