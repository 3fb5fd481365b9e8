"""Methods that read blocks, what is in them, and who makes them."""

from net.gateway import present, present_explorer
from net.gateway.api import Call
from net.gateway.backend import CommandResult, Status
from net.gateway.errors import NOT_FOUND, ApiError
from net.gateway.params import I64_MAX
from net.gateway.present_text import hexed

BLOCKS_COUNT, BLOCKS_COUNT_MAX = 20, 100
ACTIONS_COUNT, ACTIONS_COUNT_MAX = 50, 200


async def get_blocks(call: Call) -> object:
    count = call.params.integer("count", 1, BLOCKS_COUNT_MAX, BLOCKS_COUNT)
    before_height = call.params.integer("before_height", 0, I64_MAX, I64_MAX)
    onchain_height = call.backend.status().onchain_height
    views = call.backend.explorer.blocks(before_height, count)
    return [present_explorer.block(view, onchain_height) for view in views]


async def get_block(call: Call) -> object:
    status = call.backend.status()
    height = call.params.integer("height", 0, I64_MAX, status.height)
    first = call.params.integer("first_action", 0, I64_MAX, 0)
    count = call.params.integer("count", 1, ACTIONS_COUNT_MAX, ACTIONS_COUNT)
    view = call.backend.explorer.block(height)
    if view is None:
        raise ApiError(NOT_FOUND, "height")
    actions = call.backend.explorer.actions(height, first, count) if first < view.action_count else []
    return present_explorer.block(view, status.onchain_height) | {
        "certificate": present.certificate(view.finalised), "batch_references": present_explorer.batches(view),
        "actions": [present_explorer.action(call.instruments, item) for item in actions],
    }  # fmt: skip


async def get_command(call: Call) -> object:
    name = call.params.hex_bytes("command_id", 32)
    view = call.backend.explorer.find_action(name)
    known = view.result if view is not None else await call.backend.find_command(name)
    if known is None:
        raise ApiError(NOT_FOUND, "command_id")
    return _show_life(call, known) | (
        {} if view is None else {"action": present_explorer.action(call.instruments, view)}
    )


def _show_life(call: Call, known: CommandResult) -> dict[str, object]:
    status = call.backend.status()
    block = call.backend.explorer.block(known.height) if known.height else None
    is_on_chain = known.status == Status.ON_CHAIN
    return {
        "command_id": hexed(known.command_id), "status": str(known.status), "action": None,
        "block": None if block is None else present_explorer.block(block, status.onchain_height),
        "certificate": None if block is None else present.certificate(block.finalised),
        "checkpoint": present_explorer.checkpoint(status) if is_on_chain else None,
    }  # fmt: skip


async def get_validators(call: Call) -> object:
    epoch = call.backend.status().epoch
    members = list(call.backend.explorer.committee(epoch))
    return present_explorer.committee(epoch, members, call.backend.uptime(), call.backend.domain.node_index)


async def get_committee(call: Call) -> object:
    epoch = call.params.integer("epoch", 0, I64_MAX, call.backend.status().epoch)
    succession = call.backend.explorer.succession(epoch)
    if succession is None:
        raise ApiError(NOT_FOUND, "epoch", "not begun, or this node began later: another one may know")
    return succession.to_json()


async def get_oracle_round(call: Call) -> object:
    height = call.params.integer("height", 0, I64_MAX) if call.params.values.get("height") is not None else None
    view = call.backend.explorer.oracle_round(height)
    if view is None:
        raise ApiError(NOT_FOUND, "height", "the block is not here, or carries no reports")
    data = call.backend.market_data
    return present_explorer.oracle_round(view, list(data.underlyings()), list(data.expiries()))
