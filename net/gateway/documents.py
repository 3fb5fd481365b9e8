"""What a node says about its own API: `/openapi.json`, `/asyncapi.json`, `/llms.txt`. Made once, when asked for."""

import json
from functools import cache

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from net.gateway.asyncapi import make_asyncapi
from net.gateway.methods import METHODS
from net.gateway.openapi import make_openapi
from net.gateway.tables.channels import CHANNELS

_LLMS_INTRO = """# Hansa node

> A validator or full node of the Hansa network, a derivatives exchange that no single operator runs. Its API is
> JSON-RPC 2.0 with Deribit's method names, channels and error codes. Money, prices and sizes in answers are decimal
> text. There are no accounts to open and no API keys: private reads name an `owner` address, writes carry its EIP-712
> signature (`public/x_get_domain` says over what, `public/x_decode_action` explains a signature).

- WebSocket `/ws/api/v2`; HTTP `GET` or `POST` `/api/v2/{public,private}/{method}`, `POST /api/v2` with the whole call
- [/openapi.json](/openapi.json): every method over HTTP, parameters and answers (OpenAPI 3.1)
- [/asyncapi.json](/asyncapi.json): the same over WebSocket, and every channel (AsyncAPI 3.0)
- An error means: not queued, or finally refused. A write that may still execute answers with a result and `x_status`.
- The same signed command may be sent again, to any node: it executes at most once.
"""


@cache
def openapi_text() -> str:
    """docs/openapi.json."""
    return json.dumps(make_openapi(METHODS), indent=1, ensure_ascii=False) + "\n"


@cache
def asyncapi_text() -> str:
    """docs/asyncapi.json."""
    return json.dumps(make_asyncapi(METHODS, CHANNELS), indent=1, ensure_ascii=False) + "\n"


@cache
def llms_text() -> str:
    """docs/llms.txt: what a language model has to read to use the API."""
    lines = [_LLMS_INTRO, "## Methods\n"]
    for method in METHODS.values():
        names = [param.name if param.is_required else f"{param.name}?" for param in method.params]
        lines.append(f"- `{method.name}({', '.join(names)})`: {method.summary}")
    lines += ["", "## Channels\n", *(f"- `{row.name}`: {row.text}" for row in CHANNELS)]
    return "\n".join(lines) + "\n"


_MADE = {
    "/openapi.json": (openapi_text, "application/json"), "/asyncapi.json": (asyncapi_text, "application/json"),
    "/llms.txt": (llms_text, "text/plain"),
}  # fmt: skip


def document_routes() -> list[Route]:
    """A route for each document."""
    return [Route(path, _answer) for path in _MADE]


async def _answer(request: Request) -> Response:
    make, media_type = _MADE[request.url.path]
    return Response(make(), media_type=media_type, headers={"cache-control": "max-age=3600"})
