"""What containers run from: compose.yaml and Kubernetes manifests, read back with a real YAML parser and schemas.

kubernetes-1.34.json: those definitions of the API's published schema (Apache License 2.0) that our kinds need, without
their descriptions; unknown fields are refused.
"""

import base64
import gzip
import ipaddress
import json
from pathlib import Path

import jsonschema_rs
import pytest
import yaml

from contracts.devchain.store import Store
from testnet import homes
from testnet.containers import compose, kubernetes
from testnet.containers.founding import Hosts, settle
from testnet.containers.yaml_text import to_yaml
from testnet.homes import Manifest
from validator.config import Home, ValidatorEntry, load_settings

SCHEMA = json.loads((Path(__file__).parent / "kubernetes-1.34.json").read_text())
SUBNET = ipaddress.IPv4Network("198.18.100.0/24")
COUNT = 4


def complain(item):
    """What the schema of its kind says against an object."""
    kind = SCHEMA["kinds"][f"{item['apiVersion']}/{item['kind']}"]
    schema = {"$ref": f"#/definitions/{kind}", "definitions": SCHEMA["definitions"]}
    return [error.message for error in jsonschema_rs.validator_for(schema).iter_errors(item)]


@pytest.fixture(scope="module")
def network(tmp_path_factory):
    """A founded network's folder, with a chain on which nothing has happened."""
    folder = tmp_path_factory.mktemp("network")
    homes.open_folder(folder, Manifest(COUNT, "embedded", 1), False)
    homes.make_keys(folder, [bytes([number + 1]) * 32 for number in range(COUNT)])
    entries = [ValidatorEntry("0x" + "11" * 20, "22" * 48, "33" * 32)] * COUNT
    homes.write_genesis(folder, homes.make_network(31337, "0x" + "44" * 20, "0x" + "55" * 20, entries, 1))
    (folder / "chain").mkdir()
    store = Store(folder / "chain" / "chain.sqlite")
    store.set_meta("seeded", 7)
    store.close()
    settle(folder, Hosts("chain", tuple(f"node{index}" for index in range(COUNT))))
    return folder


@pytest.fixture(scope="module")
def manifests(network):
    """Every object, read back from the text that is written."""
    files = kubernetes.make_files(network, kubernetes.Wanted(network.parent, COUNT, 1))
    text = "---\n".join("---\n".join(map(to_yaml, objects)) for objects in files.values())
    return list(yaml.safe_load_all(text))


def mounts_of(item):
    """Names of the Secrets and ConfigMaps that an object's pods see."""
    volumes = item["spec"]["template"]["spec"]["volumes"]
    return {volume["secret"]["secretName"] for volume in volumes if "secret" in volume}


def test_every_manifest_is_what_kubernetes_takes(manifests):
    assert {item["kind"] for item in manifests} == {name.rsplit("/", 1)[1] for name in SCHEMA["kinds"]}
    assert [complaint for item in manifests for complaint in complain(item)] == []


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        (lambda pod: pod.update(automountServiceAccountTokn=False), "automountServiceAccountTokn"),
        (lambda pod: pod["containers"][0].pop("name"), '"name" is a required property'),
        (lambda pod: pod.update(terminationGracePeriodSeconds="30"), "30"),
    ],
)
def test_a_mistake_in_a_manifest_is_found(manifests, change, complaint):
    item = json.loads(json.dumps(next(item for item in manifests if item["kind"] == "StatefulSet")))
    change(item["spec"]["template"]["spec"])
    assert complaint in " ".join(complain(item))


def test_each_validator_has_a_secret_that_nobody_else_mounts(network, manifests):
    sets = {item["metadata"]["name"]: item for item in manifests if item["kind"] in ("StatefulSet", "Deployment")}
    for index in range(COUNT):
        assert [name for name, item in sets.items() if f"node{index}-keys" in mounts_of(item)] == [f"node{index}"]
    secrets = {item["metadata"]["name"]: item["data"] for item in manifests if item["kind"] == "Secret"}
    for index in range(COUNT):
        keys = homes.node_home(network, index).keys
        for name, value in secrets[f"node{index}-keys"].items():
            assert base64.b64decode(value) == (keys / name).read_bytes()
            told = [item for item in manifests if (keys / name).read_text().strip() in json.dumps(item)]
            assert told == [], "a key stands outside its Secret"


def test_a_pod_has_its_own_options_and_listens_on_its_own_address(manifests, tmp_path):
    data = next(item for item in manifests if item["metadata"]["name"] == "network")["data"]
    pod = next(item for item in manifests if item["kind"] == "StatefulSet" and item["metadata"]["name"] == "node2")
    container = pod["spec"]["template"]["spec"]["containers"][0]
    home = Home(tmp_path)
    home.config.write_text(data["node2.toml"])
    config = load_settings(home.config, {item["name"]: item["value"] for item in container["env"]}).config
    assert config.index == 2
    assert (config.listen_host, config.api_host, config.metrics_host) == ("0.0.0.0",) * 3
    assert [peer.host for peer in config.peers] == [f"node{index}" for index in range(COUNT)]
    assert config.rpc_urls == ("http://chain:8545",)


def test_the_chain_that_pods_unpack_is_the_founded_one(manifests, tmp_path):
    packed = next(item for item in manifests if item["metadata"]["name"] == "chain-seed")["binaryData"]
    (tmp_path / "chain.sqlite").write_bytes(gzip.decompress(base64.b64decode(packed["chain.sqlite.gz"])))
    store = Store(tmp_path / "chain.sqlite")
    assert store.get_meta("seeded") == 7
    store.close()


def test_a_compose_file_says_what_was_meant():
    wanted = compose.make_compose(SUBNET, COUNT, "hansa:local", 1, "10001:10001")
    read = yaml.safe_load(compose.HEADER + to_yaml(wanted))
    assert read == wanted
    assert "name" not in read and "version" not in read
    services = read["services"]
    assert set(services) == {"chain", "bots", "prometheus", "grafana"} | {f"node{index}" for index in range(COUNT)}
    addresses = [
        service["networks"]["committee"]["ipv4_address"]
        for name, service in services.items()
        if name == "chain" or name.startswith("node")
    ]
    assert len(set(addresses)) == COUNT + 1
    assert read["networks"]["committee"]["internal"] is True


def test_containers_are_hardened_and_see_what_is_theirs():
    services = compose.make_compose(SUBNET, COUNT, "hansa:local", 1, "10001:10001")["services"]
    for name in ("chain", "bots", *(f"node{index}" for index in range(COUNT))):
        service = services[name]
        assert service["read_only"] and service["cap_drop"] == ["ALL"] and service["user"] == "10001:10001"
        folders = {mount.split(":")[0].split("/")[1] for mount in service["volumes"]}
        if name != "bots":
            assert folders == {name}
    assert not any("keys" in mount for mount in services["bots"]["volumes"])
    assert all(mount.endswith(":ro") for mount in services["bots"]["volumes"] if "/node" in mount)


@pytest.mark.parametrize(
    "value",
    [
        {
            "text": "plain",
            "path": "/a/b",
            "number": 7,
            "no": "no",
            "yes": True,
            "empty": [],
            "none": {},
            "quoted": "a: b",
        },
        {"list": ["a", 1, "0.0.0.0", "yes"], "nested": [{"a": [1, 2], "b": {"c": "d"}}, "x", ["y", {"z": 1}]]},
        {
            "block": "first\n  second: x\n\nthird\n",
            "odd": " leads\n",
            "tail": "two\n\n",
            "bare": "a\nb",
            "unit": "500m",
        },
        {"long": ["word" * 10, "word" * 10, "word" * 10], "version": "1.10", "null": "null", "octal": "0440"},
    ],
)
def test_yaml_reads_back_as_it_was_meant(value):
    assert yaml.safe_load(to_yaml(value)) == value
