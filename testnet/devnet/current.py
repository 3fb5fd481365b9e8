"""A gateway keeps what it serves; a devnet replaces it when it goes back in time. This stands between."""

from collections.abc import Callable
from functools import partial
from typing import Any, cast

from net.gateway.backend import Backend


class Current:
    """Has the attributes of whatever `find()` gives at the moment. Those named in `parts` are kept by their users, and
    so are stood for in the same way.
    """

    def __init__(self, find: Callable[[], object], *parts: str) -> None:
        self._find = find
        self._parts = {name: Current(partial(self._find_part, name)) for name in parts}

    def _find_part(self, name: str) -> object:
        part: object = getattr(self._find(), name)
        return part

    def __getattr__(self, name: str) -> Any:
        part = self._parts.get(name)
        return getattr(self._find(), name) if part is None else part


def make_backend(find: Callable[[], Backend]) -> Backend:
    """The backend of a gateway, which asks `find()` each time."""
    return cast(Backend, Current(find, "market_data"))
