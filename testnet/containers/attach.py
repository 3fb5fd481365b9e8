"""`python -m testnet.containers.attach ... -- PROGRAM`: a container that looks like a process to whoever starts it.

Its output is the container's, SIGTERM stops it, and it ends with the container's exit code. So a launcher of processes
launches containers, too, and notices their ends. One that died by itself stays for `docker logs` and `docker start`.
"""

import argparse
import os
import shutil
import signal
import sys
import threading
import tomllib
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

from docker.errors import NotFound

from testnet.containers.engine import ENGINE_ERRORS, IMAGE_USER, EngineError, connect, make_labels

STOP_GRACE_S = 7
PIDS_MAX = 512
SCRATCH_BYTES_MAX = 256 * 1024 * 1024  # /tmp, in memory: kernels compiled for another processor than the image's
EXIT_NOT_STARTED = 125  # as docker run has it


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m testnet.containers.attach", description=__doc__)
    for name in ("name", "label", "image", "network", "address", "mount"):
        parser.add_argument(f"--{name}", required=True)
    parser.add_argument("program", nargs="+")
    options = parser.parse_args()
    try:
        client = connect()
        container = make_container(client, options)
        check_address(container, options)
        output = container.attach(stdout=True, stderr=True, stream=True)
        container.start()
        return follow(container, output)
    except EngineError as error:
        print(f"{options.name}: {error}", file=sys.stderr)
    except ENGINE_ERRORS as error:
        print(f"{options.name}: the Docker engine refuses: {error}", file=sys.stderr)
    return EXIT_NOT_STARTED


def make_container(client: Any, options: argparse.Namespace) -> Any:
    """Hardened, with one folder of the host."""
    host_path, inside = options.mount.rsplit(":", 1)
    user = give_away(Path(host_path))
    with suppress(NotFound):
        client.containers.get(options.name).remove(force=True, v=True)
    endpoint = client.api.create_endpoint_config(ipv4_address=options.address)
    return client.containers.create(
        options.image,
        entrypoint=options.program[:1],
        command=options.program[1:],
        name=options.name,
        hostname=options.name.rsplit("-", 1)[-1],
        labels=make_labels(options.label),
        network=options.network,
        networking_config={options.network: endpoint},
        volumes={host_path: {"bind": inside, "mode": "rw"}},
        user=user,
        **check_health(Path(host_path)),
        read_only=True,
        tmpfs={"/tmp": f"size={SCRATCH_BYTES_MAX},mode=1777"},
        cap_drop=["ALL"],
        security_opt=["no-new-privileges"],
        pids_limit=PIDS_MAX,
        init=True,
        log_config={"type": "json-file", "config": {"max-size": "16m", "max-file": "2"}},
    )


def check_address(container: Any, options: argparse.Namespace) -> None:
    """The engine silently ignores an address that it does not understand. Raises `EngineError`."""
    wanted = container.attrs["NetworkSettings"]["Networks"].get(options.network, {}).get("IPAMConfig") or {}
    if wanted.get("IPv4Address") != options.address:
        raise EngineError(f"the engine would give another address than {options.address}")


def check_health(home: Path) -> dict[str, Any]:
    """A validator's own check asks its API; the chain has none."""
    if not (home / "config.toml").exists():
        return {"healthcheck": {"test": ["NONE"]}}
    config = tomllib.loads((home / "config.toml").read_text())
    return {"environment": {"HANSA_HEALTH_URL": f"http://{config['api_host']}:{config['api_port']}/health"}}


def give_away(folder: Path) -> str:
    """Who the container runs as: this user, who owns the folder; or the image's own user, whom root gives it to."""
    if os.geteuid() != 0:
        return f"{os.geteuid()}:{os.getegid()}"
    for path in (folder, *folder.rglob("*")):
        shutil.chown(path, IMAGE_USER, IMAGE_USER)
    return f"{IMAGE_USER}:{IMAGE_USER}"


def follow(container: Any, output: Iterator[bytes]) -> int:
    """Its exit code, once it has ended and all of its output is written."""

    enders: list[threading.Thread] = []

    def stop(number: int, frame: object) -> None:
        enders.append(threading.Thread(target=end, args=(container,), daemon=True))
        enders[-1].start()

    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)
    codes: list[int] = []
    reader = threading.Thread(target=copy_output, args=(container, output, codes), daemon=True)
    reader.start()
    while reader.is_alive():
        reader.join(1.0)  # in slices, so that signals are handled
    for ender in enders:
        ender.join(STOP_GRACE_S)
    return codes[0] if codes else EXIT_NOT_STARTED


def copy_output(container: Any, output: Iterator[bytes], codes: list[int]) -> None:
    for chunk in output:
        sys.stdout.buffer.write(chunk)
        sys.stdout.buffer.flush()
    codes.append(container.wait(timeout=None)["StatusCode"])


def end(container: Any) -> None:
    """As `docker stop` does; it may have ended meanwhile."""
    with suppress(*ENGINE_ERRORS):
        container.stop(timeout=STOP_GRACE_S)
        container.remove(v=True)


if __name__ == "__main__":
    sys.exit(main())
