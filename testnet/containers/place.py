"""Where a network of containers lives: an internal network of its own, a fixed address for each, one label on all.

The network lies in 198.18.0.0/15, the range for benchmarks of RFC 2544, which no office network uses, and is internal:
nothing in it reaches further than this machine, and the host reaches each container by its address. Containers are
hardened: a user of their own, a read-only root, no capabilities, no new privileges, and of the folder only what is
theirs.
"""

import hashlib
import ipaddress
import os
import sys
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

from docker.errors import APIError, NotFound
from docker.types import IPAMConfig, IPAMPool
from rich.console import Console

from testnet.containers.engine import ENGINE_ERRORS, INSIDE, LABEL, EngineError, connect, make_labels
from testnet.containers.image import IMAGE, prepare_image
from testnet.funding import VALIDATORS_MAX
from testnet.launch import Site

BENCHMARKS = ipaddress.IPv4Network("198.18.0.0/15")
# The network namespaces of `testnet.faults.namespaces` have these.
TAKEN = (ipaddress.IPv4Network("198.18.77.0/24"), ipaddress.IPv4Network("198.19.77.0/24"))
CHAIN_PLACE, FIRST_VALIDATOR_PLACE = 2, 10
LAUNCHER_LABEL = "org.hansa.launcher"  # process id of whoever made a network


@dataclass(frozen=True, slots=True)
class Wanted:
    """What the user asked for. `subnet` empty: the first free one."""

    folder: Path
    image: str = IMAGE
    subnet: str = ""


class Containers:
    """Use as a context manager: it gives the `Site`, and what was made is gone when it is left, whatever happened."""

    def __init__(self, wanted: Wanted, console: Console) -> None:
        self._wanted = wanted
        self._console = console
        self.label = str(wanted.folder.resolve())
        self.client: Any = None
        self.network: Any = None
        self.site = Site()

    def __enter__(self) -> Site:
        """Raises `EngineError`."""
        self.client = connect()
        try:
            refuse_second_launcher(self.client, self.label)
            sweep(self.client, self.label)
            prepare_image(self.client, self._wanted.image, self._console)
            self.network, subnet = make_network(self.client, self.label, self._wanted.subnet)
        except ENGINE_ERRORS as error:
            raise EngineError(f"the Docker engine refuses: {error}") from None
        self.site = make_site(self._wanted, self.network.name, subnet)
        return self.site

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with suppress(*ENGINE_ERRORS):
            sweep(self.client, self.label)


def project_of(label: str) -> str:
    """What the names of everything of this folder begin with."""
    return "hansa-" + hashlib.sha256(label.encode()).hexdigest()[:8]


def container_name(label: str, member: str) -> str:
    return f"{project_of(label)}-{member}"


def make_site(wanted: Wanted, network_name: str, subnet: ipaddress.IPv4Network) -> Site:
    """Of the launcher's processes those that are validators or the chain become containers."""
    label = str(wanted.folder.resolve())
    addresses = [str(subnet[FIRST_VALIDATOR_PLACE + index]) for index in range(VALIDATORS_MAX)]
    chain_address = str(subnet[CHAIN_PLACE])

    def prefix(member: str, address: str) -> tuple[str, ...]:
        return (
            sys.executable, "-m", "testnet.containers.attach", "--name", container_name(label, member),
            "--label", label, "--image", wanted.image, "--network", network_name, "--address", address,
            "--mount", f"{Path(label) / member}:{INSIDE / member}", "--",
        )  # fmt: skip

    return Site(
        chain_host=chain_address,
        peer_hosts=tuple(addresses),
        api_hosts=tuple(addresses),
        prefixes=tuple(prefix(f"node{index}", address) for index, address in enumerate(addresses)),
        chain_prefix=prefix("chain", chain_address),
        python="python",
        inside=INSIDE,
        has_kernels=True,
        names=tuple(container_name(label, f"node{index}") for index in range(VALIDATORS_MAX)),
    )


def make_network(client: Any, label: str, wanted: str) -> tuple[Any, ipaddress.IPv4Network]:
    """An internal network with a subnet that nobody has. Raises `EngineError`."""
    for subnet in list_subnets(client, wanted):
        pool = IPAMPool(subnet=str(subnet), gateway=str(subnet[1]))
        try:
            network = client.networks.create(
                project_of(label), driver="bridge", internal=True, ipam=IPAMConfig(pool_configs=[pool]),
                labels=make_labels(label) | {LAUNCHER_LABEL: str(os.getpid())}, check_duplicate=True,
            )  # fmt: skip
        except APIError as error:
            # Another launcher may just have taken it.
            if "overlaps" in str(error) and not wanted:
                continue
            raise EngineError(f"the Docker engine makes no network {subnet}: {error.explanation}") from None
        return network, subnet
    raise EngineError(f"all of {BENCHMARKS} is taken by Docker's networks: `hansa testnet down --docker --all`")


def list_subnets(client: Any, wanted: str) -> list[ipaddress.IPv4Network]:
    """Those that none of Docker's networks overlaps. Raises `EngineError`."""
    if wanted:
        try:
            asked = ipaddress.IPv4Network(wanted)
        except ValueError as error:
            raise EngineError(f"--subnet {wanted}: {error}") from None
        if asked.prefixlen > 24:
            raise EngineError(f"--subnet {wanted}: it is too small, a /24 is needed")
        return [asked]
    held = [*TAKEN, *_networks_of(client)]
    return [subnet for subnet in BENCHMARKS.subnets(new_prefix=24) if not any(map(subnet.overlaps, held))]


def _networks_of(client: Any) -> list[ipaddress.IPv4Network]:
    pools = [pool for network in client.networks.list() for pool in network.attrs["IPAM"]["Config"] or []]
    texts = [pool["Subnet"] for pool in pools if ":" not in pool["Subnet"]]
    return [ipaddress.IPv4Network(text, strict=False) for text in texts]


def refuse_second_launcher(client: Any, label: str) -> None:
    """Raises `EngineError` while somebody else runs this folder's network."""
    for network in client.networks.list(filters={"label": f"{LABEL}={label}"}):
        launcher = int(network.attrs["Labels"].get(LAUNCHER_LABEL, "0"))
        if launcher and launcher != os.getpid() and is_alive(launcher):
            raise EngineError(
                f"process {launcher} runs the network of {label}: end it, choose another --dir, "
                f"or `hansa testnet down --docker --dir {label}`"
            )


def is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    return True


def sweep(client: Any, label: str = "") -> list[str]:
    """Remove containers and networks of this folder; of all folders where none is given. Returns their names."""
    wanted = f"{LABEL}={label}" if label else LABEL
    removed = []
    for container in client.containers.list(all=True, filters={"label": wanted}):
        removed.append(container.name)
        with suppress(NotFound):
            container.remove(force=True, v=True)
    for network in client.networks.list(filters={"label": wanted}):
        removed.append(f"network {network.name}")
        with suppress(NotFound):
            network.remove()
    return removed
