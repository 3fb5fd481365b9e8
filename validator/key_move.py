"""Moving a voting key from a node's folder into a signer's, with what it has signed, so that it is nowhere twice.

Everything is durable in the new place before anything is taken from the old one; what was interrupted is done again
by the same call. The lock of the node's guard is held meanwhile: no node can start.
"""

import re
from contextlib import closing
from pathlib import Path

from consensus.messages import compute_domain
from validator.config import (
    SIGNER_SOCKET_PREFIX,
    ConfigError,
    Home,
    NetworkConfig,
    address_bytes,
    load_network,
    load_node,
)
from validator.files import write_whole
from validator.keys import copy_voting_key, drop_voting_key, read_public_voting_key
from validator.protection import merge
from validator.signer import Signer

_OPTION = re.compile(r"^\s*#?\s*signer\s*=.*$", re.MULTILINE)


def open_guard(path: Path, network: NetworkConfig, secret: bytes = bytes(32)) -> Signer:
    """A key's guard, to sign by or just to read and write it. Raises `SignerError`."""
    return Signer(path, secret, None, compute_domain(network.chain_id, address_bytes(network.contract)), 0)


def move_key(node: Home, signer: Home, socket: Path) -> None:
    """`socket`: what the node's config.toml names from now on. Raises `ConfigError` and `SignerError`."""
    network = load_network(node.genesis)
    if node.signer_socket(load_node(node.config)) is not None:
        raise ConfigError(f"{node.config} names a signer already: nothing was moved")
    if node.path.resolve() == signer.path.resolve():
        raise ConfigError("the signer needs a folder of its own, best of another user: pass another --home")
    key = read_public_voting_key(node.keys)
    if signer.genesis.exists() and load_network(signer.genesis).digest() != network.digest():
        raise ConfigError(f"{signer.genesis} is of another network: nothing was moved")
    with closing(open_guard(node.data / "guard", network)) as here:
        write_whole(signer.genesis, node.genesis.read_bytes())
        copy_voting_key(node.keys, signer.keys)
        if read_public_voting_key(signer.keys) != key:
            raise ConfigError(f"{signer.keys} holds another voting key: nothing was moved")
        with closing(open_guard(signer.data / "guard", network)) as there:
            there.replace(merge(there.state, here.state))
        name_signer(node.config, f"{SIGNER_SOCKET_PREFIX}{socket}")
        drop_voting_key(node.keys)
        (node.data / "guard").unlink()


def name_signer(path: Path, value: str) -> None:
    """Write the option into a config.toml, where it stands or first of all; tables must stay last."""
    text, line = path.read_text(), f'signer = "{value}"'
    changed, count = _OPTION.subn(lambda _: line, text, count=1)
    write_whole(path, (changed if count else f"{line}\n{text}").encode())
    if load_node(path).signer != value:
        raise ConfigError(f"{path}: write {line} into it by hand, then call this again")
