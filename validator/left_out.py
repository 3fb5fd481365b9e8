"""Parts of libraries that a validator never uses and that cost it seconds at every start: left out.

A package imports all it can do. Of libp2p we use TCP, noise and yamux (net/hardening.py), of web3 synchronous calls
over HTTP with a key of our own (contracts/chain_link.py). For the modules named here an import finds a placeholder,
whose classes exist, match nothing and cannot be made. Nothing is left out that a peer's or a client's bytes could lead
to. Only `hansa start` does so, before it imports the rest; every other process has the whole libraries.
"""

import importlib.abc
import importlib.machinery
import sys
from collections.abc import Sequence
from types import ModuleType
from typing import Any, NoReturn

KEYSTORES = "eth_keyfile"
LEFT_OUT = (
    # libp2p: transports, hosts and discovery around the bare swarm that we use.
    "aioquic",
    "libp2p.discovery",
    "libp2p.host.basic_host",
    "libp2p.host.routed_host",
    "libp2p.peer.persistent",
    "libp2p.relay",
    "libp2p.security.tls",
    "libp2p.transport.quic",
    "libp2p.transport.websocket",
    # web3: asynchronous providers, encrypted key files, typed models of other programs.
    "aiohttp",
    KEYSTORES,
)


class _Absent:
    """What a class of a module that was left out is replaced by."""

    def __init__(self, *_: Any, **__: Any) -> NoReturn:
        raise RuntimeError(f"{type(self).__qualname__}: validator/left_out.py leaves its module out")


class _AbsentError(Exception):
    """The same for an exception, which can stand in an `except`."""


def _replace(module: str, name: str) -> type:
    if name.startswith("__"):
        raise AttributeError(name)
    kind = _AbsentError if name.endswith(("Error", "Exception")) else _Absent
    return type(name, (kind,), {"__module__": module})


class _Placeholders(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Finds the modules that are left out and what is below them, and loads nothing."""

    def __init__(self, names: tuple[str, ...]) -> None:
        self._names = names

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        is_ours = any(fullname == name or fullname.startswith(name + ".") for name in self._names)
        return importlib.machinery.ModuleSpec(fullname, self, is_package=True) if is_ours else None

    def exec_module(self, module: ModuleType) -> None:
        replaced: dict[str, type] = {}

        def find(name: str) -> type:
            if name not in replaced:
                replaced[name] = _replace(module.__name__, name)
            return replaced[name]

        module.__getattr__ = find  # type: ignore[method-assign]


def leave_out(has_keystores: bool = False) -> None:
    """From now on in this process. `has_keystores`: keys are behind a passphrase, and have to be opened."""
    names = tuple(name for name in LEFT_OUT if name != KEYSTORES or not has_keystores)
    sys.meta_path.insert(0, _Placeholders(names))
