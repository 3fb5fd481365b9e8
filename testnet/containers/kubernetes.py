"""`hansa testnet kubernetes`: a founded network as manifests for `kubectl apply -f DIR`.

Each validator is a StatefulSet of one, with a Secret of its own: replicas of one set would all mount everybody's keys.
A new image reaches a pod when somebody deletes it (OnDelete), so that never more than one is away; a disruption budget
says the same to whoever drains machines. Nothing restarts a validator for being behind: readiness takes its API out of
the Service, and its consensus goes on.
"""

import base64
import gzip
import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console

from testnet.containers.compose import BOTS_ENVIRONMENT
from testnet.containers.engine import IMAGE_USER, EngineError
from testnet.containers.founding import API_PORT, CHAIN_PORT, METRICS_PORT, PEER_PORT, Hosts, found_network, settle
from testnet.containers.image import IMAGE
from testnet.containers.yaml_text import to_yaml
from testnet.homes import MANIFEST, node_home

HOME = "/network/home"
CONFIG_MAP_BYTES_MAX = 1_000_000
LABELS = {"app.kubernetes.io/part-of": "hansa"}
KEY_FILES = ("bls.key", "network.key", "operator.key")
PORTS = {"peer": PEER_PORT, "api": API_PORT, "metrics": METRICS_PORT}


@dataclass(frozen=True, slots=True)
class Wanted:
    """What the user asked for. `storage`: of a validator's disk, as Kubernetes writes it."""

    folder: Path
    validator_count: int
    seed: int
    image: str = IMAGE
    storage: str = "20Gi"
    base_port: int = 26600


UNPACK = f"""\
import gzip, pathlib
chain = pathlib.Path("{HOME}/chain.sqlite")
if not chain.exists():
    scratch = chain.with_suffix(".new")
    scratch.write_bytes(gzip.decompress(pathlib.Path("/seed/chain.sqlite.gz").read_bytes()))
    scratch.replace(chain)
"""


def write_manifests(wanted: Wanted, console: Console) -> list[Path]:
    """A new network in `folder`/network and the manifests beside it. Raises what a launcher raises."""
    folder = wanted.folder.resolve()
    network = folder / "network"
    found_network(network, wanted.validator_count, wanted.seed, wanted.base_port, console)
    names = tuple(f"node{index}" for index in range(wanted.validator_count))
    settle(network, Hosts("chain", names))
    paths = []
    for name, objects in make_files(network, wanted).items():
        path = folder / name
        path.write_text("---\n".join(map(to_yaml, objects)))
        path.chmod(0o600)  # they hold keys
        paths.append(path)
    return paths


def make_files(network: Path, wanted: Wanted) -> dict[str, list[dict[str, Any]]]:
    """Objects by the file that they stand in."""
    files = {"10-network.yaml": [make_genesis(network, wanted), make_budget(), make_policy()]}
    files["20-chain.yaml"] = list(make_chain(network, wanted))
    for index in range(wanted.validator_count):
        files[f"30-node{index}.yaml"] = list(make_validator(network, wanted, index))
    files["40-bots.yaml"] = [make_bots(wanted)]
    return files


def make_genesis(network: Path, wanted: Wanted) -> dict[str, Any]:
    """What everybody may read: genesis, where each validator is, and how the network was made, for the traders."""
    data = {
        "genesis.toml": node_home(network, 0).genesis.read_text(),
        "manifest.json": (network / MANIFEST).read_text(),
    }
    for index in range(wanted.validator_count):
        data[f"node{index}.toml"] = node_home(network, index).config.read_text()
    return _object("v1", "ConfigMap", "network", {}) | {"data": data}


def make_budget() -> dict[str, Any]:
    return _object("policy/v1", "PodDisruptionBudget", "validators", {}) | {
        "spec": {"maxUnavailable": 1, "selector": {"matchLabels": {"app.kubernetes.io/component": "validator"}}}
    }


def make_policy() -> dict[str, Any]:
    """Validators are linked by validators alone; their API and metrics are for anybody in the cluster."""
    validators = {"matchLabels": {"app.kubernetes.io/component": "validator"}}
    ports = [{"protocol": "TCP", "port": PORTS[name]} for name in ("api", "metrics")]
    return _object("networking.k8s.io/v1", "NetworkPolicy", "validators", {}) | {
        "spec": {
            "podSelector": validators,
            "policyTypes": ["Ingress"],
            "ingress": [
                {"from": [{"podSelector": validators}], "ports": [{"protocol": "TCP", "port": PEER_PORT}]},
                {"ports": ports},
            ],
        }
    }


def make_chain(network: Path, wanted: Wanted) -> Iterator[dict[str, Any]]:
    """The development chain, which begins with what founding the network has put onto it."""
    seed = pack_chain(network / "chain" / "chain.sqlite")
    yield _object("v1", "ConfigMap", "chain-seed", {}) | {"binaryData": {"chain.sqlite.gz": seed}}
    yield _service("chain", "chain", {"rpc": CHAIN_PORT})
    pod = _pod(
        wanted, "chain", ["python", "-m", "contracts.devchain"],
        ["--host", "0.0.0.0", "--port", str(CHAIN_PORT), "--data", HOME], {"rpc": CHAIN_PORT},
    )  # fmt: skip
    container = pod["containers"][0]
    container["volumeMounts"].append({"name": "data", "mountPath": HOME})
    container["readinessProbe"] = {"tcpSocket": {"port": "rpc"}, "periodSeconds": 5}
    unpack = {name: container[name] for name in ("image", "imagePullPolicy", "securityContext")}
    pod["initContainers"] = [
        {"name": "unpack", **unpack, "command": ["python", "-c", UNPACK],
         "volumeMounts": [{"name": "data", "mountPath": HOME}, {"name": "seed", "mountPath": "/seed"}]}
    ]  # fmt: skip
    pod["volumes"].append({"name": "seed", "configMap": {"name": "chain-seed"}})
    yield _stateful_set("chain", "chain", pod, "1Gi")


def make_validator(network: Path, wanted: Wanted, index: int) -> Iterator[dict[str, Any]]:
    name = f"node{index}"
    keys = node_home(network, index).keys
    yield _object("v1", "Secret", f"{name}-keys", {"app.kubernetes.io/name": name}) | {
        "type": "Opaque",
        "data": {file: base64.b64encode((keys / file).read_bytes()).decode() for file in KEY_FILES},
    }
    yield _service(name, "validator", PORTS)
    pod = _pod(wanted, name, ["hansa"], ["start", "--home", HOME], PORTS)
    container = pod["containers"][0]
    # config.toml says where others find this node; it listens on whatever address its pod has.
    container["env"] = [
        {"name": f"HANSA_NODE_{option}_HOST", "value": "0.0.0.0"} for option in ("LISTEN", "API", "METRICS")
    ]
    container["startupProbe"] = {"tcpSocket": {"port": "peer"}, "periodSeconds": 5, "failureThreshold": 60}
    container["readinessProbe"] = {"httpGet": {"path": "/health", "port": "api"}, "periodSeconds": 5}
    container["resources"] = {"requests": {"cpu": "500m", "memory": "1Gi"}, "limits": {"memory": "4Gi"}}
    container["volumeMounts"] += [
        {"name": "home", "mountPath": HOME},
        {"name": "network", "mountPath": f"{HOME}/genesis.toml", "subPath": "genesis.toml", "readOnly": True},
        {"name": "network", "mountPath": f"{HOME}/config.toml", "subPath": f"{name}.toml", "readOnly": True},
        {"name": "keys", "mountPath": f"{HOME}/keys", "readOnly": True},
        {"name": "data", "mountPath": f"{HOME}/data"},
    ]
    pod["volumes"] += [
        {"name": "home", "emptyDir": {}},  # the sockets by which a node talks to its API's process
        {"name": "network", "configMap": {"name": "network"}},
        {"name": "keys", "secret": {"secretName": f"{name}-keys", "defaultMode": 0o440}},
    ]
    apart = {"labelSelector": {"matchLabels": {"app.kubernetes.io/component": "validator"}}}
    pod["affinity"] = {
        "podAntiAffinity": {
            "preferredDuringSchedulingIgnoredDuringExecution": [
                {"weight": 100, "podAffinityTerm": apart | {"topologyKey": "kubernetes.io/hostname"}}
            ]
        }
    }
    yield _stateful_set(name, "validator", pod, wanted.storage)


def make_bots(wanted: Wanted) -> dict[str, Any]:
    pod = _pod(wanted, "bots", ["python", "-m", "testnet.bots"], [HOME, "--seed", str(wanted.seed)], {})
    pod["containers"][0]["env"] = [{"name": name, "value": value} for name, value in BOTS_ENVIRONMENT.items()]
    files = [("manifest.json", "manifest.json"), ("genesis.toml", "node0/genesis.toml")]
    files += [(f"node{index}.toml", f"node{index}/config.toml") for index in range(wanted.validator_count)]
    pod["containers"][0]["volumeMounts"] += [{"name": "home", "mountPath": HOME}] + [
        {"name": "network", "mountPath": f"{HOME}/{inside}", "subPath": key, "readOnly": True} for key, inside in files
    ]
    pod["volumes"] += [{"name": "home", "emptyDir": {}}, {"name": "network", "configMap": {"name": "network"}}]
    labels = _labels("bots", "bots")
    return _object("apps/v1", "Deployment", "bots", labels) | {
        "spec": {
            "replicas": 1,
            "strategy": {"type": "Recreate"},
            "selector": {"matchLabels": {"app.kubernetes.io/name": "bots"}},
            "template": {"metadata": {"labels": LABELS | labels}, "spec": pod},
        }
    }


def pack_chain(path: Path) -> str:
    """The chain's file as a ConfigMap takes it: whole, compressed, in base64. Raises `EngineError`."""
    database = sqlite3.connect(path)
    database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    database.execute("VACUUM")
    database.close()
    packed = base64.b64encode(gzip.compress(path.read_bytes(), mtime=0)).decode()
    if len(packed) > CONFIG_MAP_BYTES_MAX:
        raise EngineError(f"{path} has become too large for a ConfigMap: take fewer validators")
    return packed


def _object(version: str, kind: str, name: str, labels: dict[str, str]) -> dict[str, Any]:
    return {"apiVersion": version, "kind": kind, "metadata": {"name": name, "labels": LABELS | labels}}


def _labels(name: str, component: str) -> dict[str, str]:
    return {"app.kubernetes.io/name": name, "app.kubernetes.io/component": component}


def _service(name: str, component: str, ports: dict[str, int]) -> dict[str, Any]:
    """Headless: the name is the pod's own address, before it is ready, too, because peers link while it catches up."""
    return _object("v1", "Service", name, _labels(name, component)) | {
        "spec": {
            "clusterIP": "None",
            "publishNotReadyAddresses": True,
            "selector": {"app.kubernetes.io/name": name},
            "ports": [{"name": port, "port": number} for port, number in ports.items()],
        }
    }


def _pod(wanted: Wanted, name: str, command: list[str], arguments: list[str], ports: dict[str, int]) -> dict[str, Any]:
    """Hardened as far as Kubernetes can: the profile `restricted` admits it."""
    return {
        "automountServiceAccountToken": False,
        "terminationGracePeriodSeconds": 30,
        "securityContext": {
            "runAsNonRoot": True, "runAsUser": IMAGE_USER, "runAsGroup": IMAGE_USER, "fsGroup": IMAGE_USER,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "containers": [
            {
                "name": name,
                "image": wanted.image,
                "imagePullPolicy": "IfNotPresent",
                "command": command,
                "args": arguments,
                "ports": [{"name": port, "containerPort": number} for port, number in ports.items()],
                "securityContext": {
                    "allowPrivilegeEscalation": False, "readOnlyRootFilesystem": True,
                    "capabilities": {"drop": ["ALL"]},
                },
                "volumeMounts": [{"name": "scratch", "mountPath": "/tmp"}],
            }
        ],
        "volumes": [{"name": "scratch", "emptyDir": {}}],
    }  # fmt: skip


def _stateful_set(name: str, component: str, pod: dict[str, Any], storage: str) -> dict[str, Any]:
    labels = _labels(name, component)
    claim = {
        "metadata": {"name": "data"},
        "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": storage}}},
    }
    return _object("apps/v1", "StatefulSet", name, labels) | {
        "spec": {
            "serviceName": name,
            "replicas": 1,
            "updateStrategy": {"type": "OnDelete"},
            "selector": {"matchLabels": {"app.kubernetes.io/name": name}},
            "template": {"metadata": {"labels": LABELS | labels}, "spec": pod},
            "volumeClaimTemplates": [claim],
        }
    }
