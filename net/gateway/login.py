"""Whose account a connection means. The node keeps no accounts and no secrets: everything is public, and every write
is signed. So saying who one is only saves naming it in every read.
"""

from net.gateway.actions import read_owner
from net.gateway.api import Call
from net.gateway.errors import NO_LOGIN, ApiError
from net.gateway.present_text import hexed

OWNER_GRANT = "x_owner"


async def auth(call: Call) -> object:
    """Reads and channels of this connection without an owner mean this account from now on."""
    grant = call.params.text("grant_type")
    if grant != OWNER_GRANT:
        raise ApiError(NO_LOGIN, "grant_type")
    session = call.need_session()
    call.params.text("owner")  # never the account of an earlier call
    session.account = read_owner(call)
    owner, subaccount = session.account
    return {
        "token_type": OWNER_GRANT, "scope": "account:read", "x_owner": hexed(owner), "x_subaccount": subaccount,
        "x_is_known": call.backend.account(owner, subaccount) is not None,
    }  # fmt: skip


async def logout(call: Call) -> object:
    """The connection means nobody's account any more; its channels go on."""
    call.need_session().account = None
    return "ok"
