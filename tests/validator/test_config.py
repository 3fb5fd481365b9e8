"""Configurations read back as written, and refuse what they do not know."""

import dataclasses

import pytest

from engine.params import DEFAULT_MARKETS
from validator.config import (
    ConfigError,
    Home,
    NetworkConfig,
    NodeConfig,
    PeerAddress,
    ValidatorEntry,
    load_network,
    load_node,
    save_toml,
)

NETWORK = NetworkConfig(
    name="test",
    chain_id=31337,
    contract="0x" + "11" * 20,
    token="0x" + "22" * 20,
    genesis_time_ms=1_700_000_000_000,
    validators=tuple(ValidatorEntry(f"0x{i:040x}", f"{i:096x}", f"{i:064x}") for i in range(4)),
    markets=DEFAULT_MARKETS,
)
NODE = NodeConfig(index=2, rpc_urls=("http://127.0.0.1:8545",), peers=(PeerAddress("127.0.0.1", 1),) * 4)


def test_both_configurations_read_back_as_written(tmp_path):
    home = Home(tmp_path)
    save_toml(home.genesis, NETWORK)
    save_toml(home.config, NODE)
    assert load_network(home.genesis) == NETWORK
    assert load_network(home.genesis).digest() == NETWORK.digest()
    assert load_node(home.config) == NODE


@pytest.mark.parametrize("field", [field.name for field in dataclasses.fields(NetworkConfig)])
def test_every_field_of_the_network_changes_its_digest(field):
    changed = {
        "name": "other",
        "contract": "0x" + "33" * 20,
        "token": "0x" + "33" * 20,
        "validators": NETWORK.validators[:3],
        "markets": NETWORK.markets[:1],
    }
    value = changed.get(field, 7)
    assert dataclasses.replace(NETWORK, **{field: value}).digest() != NETWORK.digest()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("index = 0\nrpc_url = ['x']", "did you mean 'rpc_urls'"),
        ("index = 0", "missing rpc_urls"),
        ("index = ", "no TOML"),
    ],
)
def test_mistakes_are_named(tmp_path, text, message):
    path = tmp_path / "config.toml"
    path.write_text(text)
    with pytest.raises(ConfigError, match=message):
        load_node(path)
    with pytest.raises(ConfigError, match="does not exist"):
        load_node(tmp_path / "absent.toml")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("index = 'zero'\nrpc_urls = ['x']", "index must be a whole number"),
        ("index = 0\nrpc_urls = 'x'", "rpc_urls must be a list"),
        ("index = 0\nrpc_urls = ['x']\nlisten_port = 1.5", "listen_port must be a whole number"),
        ("index = true\nrpc_urls = ['x']", "index must be a whole number"),
        ("index = 0\nrpc_urls = ['x']\nsigner = 'tcp://x'", "signer is inside or unix:PATH"),
        ("index = 0\nrpc_urls = ['x']\nsigner = 'unix:'", "signer names no socket"),
    ],
)
def test_values_of_a_wrong_type_are_named(tmp_path, text, message):
    path = tmp_path / "config.toml"
    path.write_text(text)
    with pytest.raises(ConfigError, match=message):
        load_node(path)
