"""The pages that a node serves for people: terminal, network, explorer and the way out. Static, without a build.

Everything lies in memory from the start, so no path of a request ever names a file. The pages load nothing from
elsewhere and run no inline script; only the way out, a single file that is meant to be saved, has its script inside.
"""

import gzip
from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import sha256
from importlib.resources import files
from importlib.resources.abc import Traversable

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

PAGES = {"/": "index.html", "/network": "network.html", "/explorer": "explorer.html", "/escape": "escape.html"}
# What the pages load: the files of the folder `static`.
STATIC = "/static"
_TYPES = {
    "html": "text/html; charset=utf-8", "css": "text/css; charset=utf-8", "js": "text/javascript; charset=utf-8",
    "mjs": "text/javascript; charset=utf-8", "svg": "image/svg+xml", "md": "text/plain; charset=utf-8",
    "LICENSE": "text/plain; charset=utf-8",
}  # fmt: skip
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self' ws: wss:; img-src 'self' data:; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
# The way out asks whatever endpoint of the settlement chain its reader names.
_ESCAPE_POLICY = (
    "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; connect-src http: https:; "
    "img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)


@dataclass(frozen=True, slots=True)
class _File:
    content_type: str
    plain: bytes
    packed: bytes
    tag: str


class Pages:
    """Routes of the pages and of what they load."""

    def __init__(self, served_by: str = "node") -> None:
        """`served_by` is what the pages go by: `node`, or `gateway` for one that holds its trader's key."""
        root = files("net.gateway").joinpath("static")
        self._files = {name: _load(found, served_by) for name, found in _walk(root, "")}

    def routes(self) -> list[Route]:
        """For the application of a node, or of whoever else shows these pages."""
        return [*(Route(path, self._on_page) for path in PAGES), Route(STATIC + "/{name:path}", self._on_file)]

    async def _on_page(self, request: Request) -> Response:
        name = PAGES[request.url.path]
        return self._answer(request, name, _ESCAPE_POLICY if name == "escape.html" else _POLICY)

    async def _on_file(self, request: Request) -> Response:
        return self._answer(request, request.path_params["name"], _POLICY)

    def _answer(self, request: Request, name: str, policy: str) -> Response:
        file = self._files.get(name)
        if file is None:
            return Response("there is no such file\n", 404, media_type="text/plain")
        headers = {
            "content-security-policy": policy, "x-content-type-options": "nosniff", "referrer-policy": "no-referrer",
            "content-type": file.content_type, "cache-control": "no-cache", "etag": file.tag, "vary": "accept-encoding",
        }  # fmt: skip
        if request.headers.get("if-none-match") == file.tag:
            return Response(status_code=304, headers=headers)
        if "gzip" in request.headers.get("accept-encoding", ""):
            return Response(file.packed, headers=headers | {"content-encoding": "gzip"})
        return Response(file.plain, headers=headers)


def _walk(folder: Traversable, prefix: str) -> Iterator[tuple[str, Traversable]]:
    for entry in folder.iterdir():
        if entry.is_dir():
            yield from _walk(entry, f"{prefix}{entry.name}/")
        else:
            yield prefix + entry.name, entry


def _load(found: Traversable, served_by: str) -> _File:
    plain = found.read_bytes().replace(b'data-served-by="node"', f'data-served-by="{served_by}"'.encode())
    content_type = _TYPES[found.name.rpartition(".")[2]]
    return _File(content_type, plain, gzip.compress(plain, mtime=0), f'"{sha256(plain).hexdigest()[:32]}"')
