"""`hansa testnet compose`: a founded network as a folder with a compose.yaml, for whoever would rather use that.

Both versions of compose take it: nothing of the file is newer than the Compose specification's first release, and it
has no top-level name. Prometheus and Grafana are of the profile `watch`, because they are the only images that have to
be pulled.
"""

import ipaddress
import os
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console

from testnet.containers.engine import IMAGE_USER, INSIDE, EngineError
from testnet.containers.founding import API_PORT, CHAIN_PORT, METRICS_PORT, Hosts, found_network, settle
from testnet.containers.image import IMAGE
from testnet.containers.place import CHAIN_PLACE, FIRST_VALIDATOR_PLACE
from testnet.containers.yaml_text import to_yaml
from validator.dashboards_command import Target, write_files

# Other images of the two programs can be named in the environment, such as some from a registry of one's own.
PROMETHEUS = "${HANSA_PROMETHEUS_IMAGE:-prom/prometheus:v3.1.0}"
GRAFANA = "${HANSA_GRAFANA_IMAGE:-grafana/grafana:11.4.0}"
PROMETHEUS_PORT, GRAFANA_PORT = 9090, 3000
SCRATCH = "/tmp:size=268435456,mode=1777"
RATE = 20.0
# Traders call no kernel, but numba wants a folder of its own as soon as it is imported.
BOTS_ENVIRONMENT = {"NUMBA_CACHE_DIR": "/tmp/numba"}


@dataclass(frozen=True, slots=True)
class Wanted:
    """What the user asked for."""

    folder: Path
    validator_count: int
    subnet: str
    seed: int
    image: str = IMAGE
    base_port: int = 26600


def write_compose(wanted: Wanted, console: Console) -> Path:
    """The compose.yaml of a new network. Raises what a launcher raises."""
    folder = wanted.folder.resolve()
    try:
        subnet = ipaddress.IPv4Network(wanted.subnet)
    except ValueError as error:
        raise EngineError(f"--subnet {wanted.subnet}: {error}") from None
    if subnet.num_addresses < FIRST_VALIDATOR_PLACE + wanted.validator_count + 1:
        raise EngineError(f"--subnet {wanted.subnet} is too small: take a /24")
    network = found_network(folder, wanted.validator_count, wanted.seed, wanted.base_port, console)
    count = len(network.config.validators)
    addresses = tuple(str(subnet[FIRST_VALIDATOR_PLACE + index]) for index in range(count))
    settle(folder, Hosts(str(subnet[CHAIN_PLACE]), addresses))
    targets = [Target(f"{address}:{METRICS_PORT}", f"node{index}") for index, address in enumerate(addresses)]
    write_files(folder / "watch", targets, f"http://prometheus:{PROMETHEUS_PORT}")
    (folder / "bots").mkdir(exist_ok=True)
    user = give_all(folder)
    path = folder / "compose.yaml"
    path.write_text(HEADER + to_yaml(make_compose(subnet, count, wanted.image, wanted.seed, user)))
    return path


HEADER = f"""\
# Written by `hansa testnet compose`. Build the image first: `hansa testnet image`.
#
#   docker compose up -d                    validators, settlement chain and traders
#   docker compose --profile watch up -d    Prometheus and Grafana, too; these two images are pulled
#   docker compose ps; docker compose logs -f node0
#   docker compose down                     the network's state stays in this folder
#
# node0's API and page: http://127.0.0.1:{API_PORT}. Grafana: http://127.0.0.1:{GRAFANA_PORT}. Everybody else has no way
# out of the network `committee`, nor in.
"""


def give_all(folder: Path) -> str:
    """Who containers run as: this user, or the image's own, to whom root gives what they write."""
    if os.geteuid() != 0:
        return f"{os.geteuid()}:{os.getegid()}"
    for part in [folder / "chain", folder / "bots", *folder.glob("node*")]:
        for path in (part, *part.rglob("*")):
            shutil.chown(path, IMAGE_USER, IMAGE_USER)
    return f"{IMAGE_USER}:{IMAGE_USER}"


def make_compose(subnet: ipaddress.IPv4Network, count: int, image: str, seed: int, user: str) -> dict[str, Any]:
    """The file as plain values."""
    hardened = {
        "image": image, "user": user, "read_only": True, "tmpfs": [SCRATCH], "cap_drop": ["ALL"],
        "security_opt": ["no-new-privileges:true"], "pids_limit": 512, "init": True, "restart": "unless-stopped",
    }  # fmt: skip

    def at(place: int) -> dict[str, Any]:
        return {"committee": {"ipv4_address": str(subnet[place])}}

    services: dict[str, Any] = {
        "chain": {
            **hardened,
            "entrypoint": ["python", "-m", "contracts.devchain"],
            "command": ["--host", str(subnet[CHAIN_PLACE]), "--port", str(CHAIN_PORT), "--data", f"{INSIDE}/chain"],
            "volumes": [f"./chain:{INSIDE}/chain"],
            "networks": at(CHAIN_PLACE),
            "healthcheck": {"disable": True},
        }
    }
    for index in range(count):
        address = subnet[FIRST_VALIDATOR_PLACE + index]
        services[f"node{index}"] = {
            **hardened,
            "command": ["start", "--home", f"{INSIDE}/node{index}"],
            "environment": {"HANSA_HEALTH_URL": f"http://{address}:{API_PORT}/health"},
            "volumes": [f"./node{index}:{INSIDE}/node{index}"],
            "networks": at(FIRST_VALIDATOR_PLACE + index),
            "depends_on": ["chain"],
        }
    services["node0"]["environment"]["HANSA_NODE_API_HOST"] = "0.0.0.0"
    services["node0"]["networks"] = {**services["node0"]["networks"], "desk": {}}
    services["node0"]["ports"] = [f"127.0.0.1:{API_PORT}:{API_PORT}"]
    services["bots"] = make_bots(hardened, count, seed)
    services |= make_watchers()
    return {
        "services": services,
        "networks": {
            "committee": {"internal": True, "ipam": {"config": [{"subnet": str(subnet)}]}},
            "desk": {},
        },
    }  # fmt: skip


def make_bots(hardened: dict[str, Any], count: int, seed: int) -> dict[str, Any]:
    """Traders read of each validator where it is, and none of its keys."""
    read_only = [f"./manifest.json:{INSIDE}/manifest.json:ro"]
    for index in range(count):
        names = ["config.toml", "genesis.toml"] if index == 0 else ["config.toml"]
        read_only += [f"./node{index}/{name}:{INSIDE}/node{index}/{name}:ro" for name in names]
    return {
        **hardened,
        "entrypoint": ["python", "-m", "testnet.bots"],
        "command": [str(INSIDE), "--rate", f"{RATE:g}", "--seed", str(seed)],
        "environment": BOTS_ENVIRONMENT,
        "volumes": [*read_only, f"./bots:{INSIDE}/bots"],
        "networks": ["committee"],
        "depends_on": [f"node{index}" for index in range(count)],
        "healthcheck": {"disable": True},
    }


def make_watchers() -> dict[str, Any]:
    return {
        "prometheus": {
            "image": PROMETHEUS,
            "profiles": ["watch"],
            "command": ["--config.file=/watch/prometheus.yml", "--storage.tsdb.path=/prometheus"],
            "volumes": ["./watch:/watch:ro"],
            "networks": ["committee"],
            "restart": "unless-stopped",
        },
        "grafana": {
            "image": GRAFANA,
            "profiles": ["watch"],
            "environment": {
                "GF_AUTH_ANONYMOUS_ENABLED": "true",
                "GF_AUTH_ANONYMOUS_ORG_ROLE": "Viewer",
                "GF_ANALYTICS_REPORTING_ENABLED": "false",
                "GF_ANALYTICS_CHECK_FOR_UPDATES": "false",
            },
            "volumes": [
                "./watch/grafana/provisioning:/etc/grafana/provisioning:ro",
                "./watch/grafana/dashboards:/etc/grafana/dashboards:ro",
            ],
            "networks": ["committee", "desk"],
            "ports": [f"127.0.0.1:{GRAFANA_PORT}:{GRAFANA_PORT}"],
            "restart": "unless-stopped",
        },
    }
