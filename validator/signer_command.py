"""`hansa signer`: the voting key in a process of its own, and what its guard knows as a file."""

import json
import logging
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import cyclopts
from cyclopts import Parameter

if TYPE_CHECKING:
    from validator.signer import Signer

app = cyclopts.App(name="signer")
log = logging.getLogger("hansa.signer")
EXIT_MISTAKE = 2
EXIT_STOPPED = 3

HomeOption = Annotated[
    Path, Parameter(help="The signer's folder: genesis.toml, keys/bls.json, data/guard; a node's is alike")
]


@app.default
def run(
    *,
    home: HomeOption,
    socket: Annotated[Path | None, Parameter(help="Where it listens; default: signer.sock in its folder")] = None,
    group: Annotated[str | None, Parameter(help="A group of users that may connect, such as the node's")] = None,
) -> int:
    """Hold the voting key in a process of its own, so that whoever breaks into the node cannot take it.

    It signs for one node until interrupted: `signer = "unix:PATH"` in the node's config.toml names the socket. Every
    question is judged by the guard in this folder, which is synced before the answer leaves. A second node that asks is
    sent away. The socket is open to this user alone, or to a group: run signer and node as different users.

    For example:

        hansa signer --home ~/.hansa-signer
        hansa signer --home /var/lib/hansa-signer --socket /run/hansa-signer/signer.sock --group hansa
    """
    import trio

    from net.signer_frames import SIGNER_SOCKET
    from validator.config import ConfigError, Home, load_network
    from validator.key_move import open_guard
    from validator.keys import load_voting_key
    from validator.logs import begin_logs
    from validator.signer import SignerError

    begin_logs("info")
    place = Home(home)
    try:
        network, secret = load_network(place.genesis), load_voting_key(place.keys)
        group_number = None if group is None else _find_group(group)
        signer = open_guard(place.data / "guard", network, secret)
    except (ConfigError, SignerError) as error:
        print(f"hansa: {error}", file=sys.stderr)
        return EXIT_MISTAKE
    _keep_no_core()
    exit_code = 0
    try:
        path = socket or place.path / SIGNER_SOCKET
        trio.run(_serve, path, signer, secret, network.digest(), place.data, group_number)
    except* (SignerError, OSError) as group:
        log.critical("signer.stopped error=%s (nothing more is signed)", group.exceptions[0])
        exit_code = EXIT_STOPPED
    return exit_code


def _keep_no_core() -> None:
    """A crash must not leave the key in a file."""
    import resource

    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def _find_group(name: str) -> int:
    import grp

    from validator.config import ConfigError

    try:
        return grp.getgrnam(name).gr_gid
    except KeyError:
        raise ConfigError(
            f"there is no group {name!r} on this machine: --group names that of the node's user"
        ) from None


async def _serve(
    path: Path, signer: "Signer", secret: bytes, network_id: bytes, folder: Path, group: int | None
) -> None:
    import signal

    import trio

    from validator.disk import Disk, open_queue
    from validator.signer_service import SignerService
    from validator.voting_key import make_voting_key

    disk = Disk(open_queue(folder))
    try:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(SignerService(path, signer, make_voting_key(secret), network_id, disk, group).run)
            with trio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals:
                async for number in signals:
                    log.info("process.stopping reason=%s", signal.Signals(number).name)
                    nursery.cancel_scope.cancel()
                    break
    finally:
        disk.close()
        signer.close()


@app.command
def take(
    *,
    home: HomeOption,
    node: Annotated[Path, Parameter(name="--from", help="The folder of a node that is stopped and holds the key")],
    socket: Annotated[Path | None, Parameter(help="Where it will listen; default: signer.sock in its folder")] = None,
) -> int:
    """Move the voting key of a node, and what it has signed, into a signer's folder; config.toml then names its socket.

    Nothing is left behind, so that the key is in one place only. What was interrupted is done again by the same call.

    For example:

        hansa signer take --home ~/.hansa-signer --from ~/.hansa
        hansa signer take --home /var/lib/hansa-signer --from /var/lib/hansa --socket /run/hansa-signer/signer.sock
    """
    from net.signer_frames import SIGNER_SOCKET
    from validator.config import ConfigError, Home
    from validator.key_move import move_key
    from validator.signer import SignerError

    try:
        path = (socket or home / SIGNER_SOCKET).absolute()
        move_key(Home(node), Home(home), path)
    except (ConfigError, SignerError, OSError) as error:
        print(f"hansa: {error}", file=sys.stderr)
        return EXIT_MISTAKE
    print(f"{'moved':<8} the voting key and its guard, from {node} to {home}")
    print(f"{'named':<8} {path} in {Home(node).config}")
    print(f"{'next':<8} hansa signer --home {home} --socket {path}; then hansa start --home {node}")
    return 0


@app.command
def export(*, home: HomeOption) -> int:
    """Print what the key has signed lately, as JSON: the slashing protection for a signer elsewhere.

    Take it after the signer, or the node that holds the key, has stopped: what is signed later is not in it. No
    passphrase is needed for a keystore.

    For example:

        hansa signer export --home ~/.hansa-signer > protection.json
    """
    from validator.config import ConfigError, Home, load_network
    from validator.keys import read_public_voting_key
    from validator.protection import encode_protection
    from validator.signer import SignerError, read_guard

    place = Home(home)
    try:
        network, bls_key = load_network(place.genesis), read_public_voting_key(place.keys)
        state, is_in_use = read_guard(place.data / "guard")
    except (ConfigError, SignerError) as error:
        print(f"hansa: {error}", file=sys.stderr)
        return EXIT_MISTAKE
    if is_in_use:
        print("hansa: the key signs while this is written: export again once it has stopped", file=sys.stderr)
    print(encode_protection(network.digest(), bls_key, state))
    return 0


@app.command(name="import")
def import_(
    file: Annotated[Path, Parameter(help="What `hansa signer export` printed")],
    *,
    home: HomeOption,
    as_json: Annotated[bool, Parameter(name="--json", help="Print JSON", negative="")] = False,
) -> int:
    """Teach the guard of this folder what the key has signed elsewhere. It never forgets anything by that.

    A file of another network or another key is refused. The signer of this folder must be stopped. No passphrase is
    needed for a keystore.

    For example:

        hansa signer import protection.json --home ~/.hansa-signer
    """
    from validator.config import ConfigError, Home, load_network
    from validator.key_move import open_guard
    from validator.keys import read_public_voting_key
    from validator.protection import decode_protection, merge
    from validator.signer import SignerError

    place = Home(home)
    try:
        network, bls_key = load_network(place.genesis), read_public_voting_key(place.keys)
        told = decode_protection(_read(file), network.digest(), bls_key)
        guard = open_guard(place.data / "guard", network)
    except (ConfigError, SignerError) as error:
        print(f"hansa: {error}", file=sys.stderr)
        return EXIT_MISTAKE
    before = guard.state
    guard.replace(merge(before, told))
    (epoch, view), is_news = guard.newest, guard.state != before
    guard.close()
    if as_json:
        print(json.dumps({"epoch": epoch, "highest_view": view, "is_news": is_news}))
    else:
        words = "learnt from the file" if is_news else "knew all of it before"
        print(f"the guard {words}: epoch {epoch}, signed up to view {view}")
    return 0


def _read(file: Path) -> str:
    from validator.config import ConfigError

    try:
        return file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{file} cannot be read: {error}") from None
