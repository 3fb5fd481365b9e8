"""Methods that read the network and its markets."""

import time
from dataclasses import asdict
from typing import TypeVar

from engine.commands import typed_data
from net.gateway import present
from net.gateway.api import Call
from net.gateway.errors import NOT_FOUND, ApiError
from net.gateway.params import I64_MAX, U32_MAX
from net.gateway.present_text import hexed

T = TypeVar("T")
_INBOX_COUNT, _INBOX_COUNT_MAX = 20, 100
_HEARTBEAT_S_MAX = 3600


async def test(call: Call) -> object:
    return {"version": call.backend.status().version}


async def get_time(call: Call) -> object:
    return time.time_ns() // 1_000_000


async def status(call: Call) -> object:
    view = call.backend.status()
    shown = asdict(view) | {"account_root": hexed(view.account_root)}
    return shown | {"locked": "true" if view.is_halted else "false", "locked_indices": []}


async def hello(call: Call) -> object:
    """Whoever it is: the name is only for the client's own logs."""
    call.params.text("client_name")
    call.params.text("client_version")
    return {"version": call.backend.status().version}


async def subscribe(call: Call) -> object:
    session = call.need_session()
    names = call.params.text_list("channels", call.api.limits.channels_per_connection_max)
    channels = [call.api.hub.parse(name, session.account) for name in names]
    seen = call.params.integer_map("x_resume", I64_MAX)
    session.check_room(channels)
    call.after_reply(lambda: session.subscribe(channels, seen))
    return names


async def unsubscribe(call: Call) -> object:
    session = call.need_session()
    return session.unsubscribe(call.params.text_list("channels", call.api.limits.channels_per_connection_max))


async def unsubscribe_all(call: Call) -> object:
    call.need_session().unsubscribe_all()
    return "ok"


async def set_heartbeat(call: Call) -> object:
    session = call.need_session()
    session.set_heartbeat(call.params.integer("interval", call.api.limits.heartbeat_s_min, _HEARTBEAT_S_MAX))
    return "ok"


async def disable_heartbeat(call: Call) -> object:
    call.need_session().set_heartbeat(0)
    return "ok"


async def get_domain(call: Call) -> object:
    domain = call.backend.domain
    return present.domain(domain, typed_data(domain.chain_id, domain.contract), call.instruments)


async def get_proof(call: Call) -> object:
    owner = call.params.hex_bytes("owner", 20)
    subaccount = call.params.integer("subaccount", 0, U32_MAX, 0)
    proof = await call.backend.account_proof(owner, subaccount, _read_height(call))
    return present.account_proof(_found(proof, "owner"))


async def get_withdrawal_proof(call: Call) -> object:
    proof = await call.backend.withdrawal_proof(call.params.integer("index", 0, U32_MAX), _read_height(call))
    return present.withdrawal_proof(_found(proof, "index"))


async def get_withdrawals(call: Call) -> object:
    return [present.withdrawal(view) for view in call.backend.withdrawals(call.params.hex_bytes("owner", 20))]


async def get_inbox(call: Call) -> object:
    count = call.params.integer("count", 1, _INBOX_COUNT_MAX, _INBOX_COUNT)
    return [present.inbox_entry(view) for view in call.backend.inbox(call.params.hex_bytes("owner", 20), count)]


async def get_certificate(call: Call) -> object:
    finalised = call.backend.certificate(_read_height(call))
    return present.certificate(_found(finalised, "height"))


async def get_evidence(call: Call) -> object:
    return [present.evidence(view) for view in call.backend.evidence()]


async def get_uptime(call: Call) -> object:
    return present.uptime(call.backend.uptime())


async def get_counters(call: Call) -> object:
    return present.counters(call.backend.counters())


def _read_height(call: Call) -> int | None:
    return call.params.integer("height", 0, I64_MAX) if call.params.values.get("height") is not None else None


def _found(value: T | None, param: str) -> T:
    if value is None:
        raise ApiError(NOT_FOUND, param)
    return value
