"""Folders of local networks: what is written reads back through the validator's own loaders."""

import stat
from pathlib import Path

import pytest

from consensus.crypto import derive_public_key, prove_possession, verify_possession
from testnet import homes
from testnet.homes import FolderError, Manifest, NodePorts
from validator.config import ValidatorEntry, load_network, load_node
from validator.keys import load_keys

WANTED = Manifest(4, "embedded", 1)
ADDRESS = "0x" + "11" * 20


def entries(count: int) -> list[ValidatorEntry]:
    return [ValidatorEntry(ADDRESS, "aa" * 48, f"{index:064x}") for index in range(count)]


def test_genesis_reads_back_equal_on_every_node(tmp_path: Path) -> None:
    network = homes.make_network(31337, ADDRESS, "0x" + "22" * 20, entries(4), 1_795_000_000_000)
    homes.write_genesis(tmp_path, network)
    read = [load_network(homes.node_home(tmp_path, index).genesis) for index in range(4)]
    assert read == [network] * 4
    assert {config.digest() for config in read} == {network.digest()}
    assert homes.read_genesis(tmp_path) == network


def test_node_configs_read_back_with_all_peers(tmp_path: Path) -> None:
    ports = [NodePorts(1000 + index, 2000 + index) for index in range(4)]
    homes.write_node_configs(tmp_path, ports, "http://127.0.0.1:8545", seed=9)
    for index, port in enumerate(ports):
        config = load_node(homes.node_home(tmp_path, index).config)
        assert (config.index, config.listen_port, config.api_port) == (index, port.peer, port.api)
        assert [peer.port for peer in config.peers] == [1000, 1001, 1002, 1003]
        assert config.price_source == "path:seed=9,noise_bps=2"


def test_nodes_with_hosts_of_their_own_listen_there_and_find_each_other(tmp_path: Path) -> None:
    hosts = [f"198.18.0.{number}" for number in (1, 2)]
    ports = [NodePorts(1000, 2000, host, "198.19.0.1") for host in hosts]
    homes.write_node_configs(tmp_path, ports, "http://198.19.0.254:8545", seed=9)
    for index, host in enumerate(hosts):
        config = load_node(homes.node_home(tmp_path, index).config)
        assert (config.listen_host, config.api_host) == (host, "198.19.0.1")
        assert [peer.host for peer in config.peers] == hosts
    assert ports[0].api_url == "http://198.19.0.1:2000"


def test_keys_are_private_distinct_and_usable(tmp_path: Path) -> None:
    made = homes.make_keys(tmp_path, [bytes([1 + index]) * 32 for index in range(3)])
    assert len({keys.bls for keys in made} | {keys.network for keys in made}) == 6
    for index, keys in enumerate(made):
        folder = homes.node_home(tmp_path, index).keys
        assert load_keys(folder) == keys
        for name in ("bls", "network", "operator"):
            path = folder / f"{name}.key"
            assert stat.S_IMODE(path.stat().st_mode) == 0o600
            assert len(path.read_text().strip()) == 64
        proof = prove_possession(keys.bls, bytes(32))
        assert verify_possession(derive_public_key(keys.bls), bytes(32), proof)


def test_a_ready_network_is_continued(tmp_path: Path) -> None:
    folder = tmp_path / "net"
    assert homes.open_folder(folder, WANTED, is_fresh=False) == WANTED
    homes.mark_ready(folder)
    (folder / "node0").mkdir()
    continued = homes.open_folder(folder, Manifest(4, "embedded", 5), is_fresh=False)
    assert continued == Manifest(4, "embedded", 1, is_ready=True)
    assert (folder / "node0").exists()


def test_a_half_made_network_is_made_again(tmp_path: Path) -> None:
    homes.open_folder(tmp_path / "net", WANTED, is_fresh=False)
    (tmp_path / "net" / "node0").mkdir()
    homes.open_folder(tmp_path / "net", WANTED, is_fresh=False)
    assert not (tmp_path / "net" / "node0").exists()


def test_fresh_forgets_a_ready_network(tmp_path: Path) -> None:
    homes.open_folder(tmp_path, WANTED, is_fresh=False)
    homes.mark_ready(tmp_path)
    (tmp_path / "node0").mkdir()
    assert homes.open_folder(tmp_path, WANTED, is_fresh=True) == WANTED
    assert not (tmp_path / "node0").exists()


@pytest.mark.parametrize("is_fresh", [False, True])
def test_a_strangers_folder_is_never_touched(tmp_path: Path, is_fresh: bool) -> None:
    (tmp_path / "thesis.txt").write_text("all my work")
    with pytest.raises(FolderError, match="holds no local network"):
        homes.open_folder(tmp_path, WANTED, is_fresh)
    assert (tmp_path / "thesis.txt").read_text() == "all my work"


@pytest.mark.parametrize("wanted", [Manifest(7, "embedded", 1), Manifest(4, "anvil", 1)])
def test_other_options_need_fresh(tmp_path: Path, wanted: Manifest) -> None:
    homes.open_folder(tmp_path, WANTED, is_fresh=False)
    homes.mark_ready(tmp_path)
    with pytest.raises(FolderError, match="--fresh"):
        homes.open_folder(tmp_path, wanted, is_fresh=False)


def test_a_damaged_manifest_is_named(tmp_path: Path) -> None:
    (tmp_path / homes.MANIFEST).write_text("{")
    with pytest.raises(FolderError, match=homes.MANIFEST):
        homes.open_folder(tmp_path, WANTED, is_fresh=False)


def test_a_folder_remembers_whether_its_network_has_options(tmp_path: Path) -> None:
    folder = tmp_path / "network"
    homes.open_folder(folder, Manifest(4, "embedded", 1, has_options=True), is_fresh=False)
    homes.mark_ready(folder)
    assert homes.open_folder(folder, WANTED, is_fresh=False).has_options
    plain = '{"validator_count": 4, "chain": "embedded", "seed": 1, "is_ready": true, "is_funded": true}'
    (folder / homes.MANIFEST).write_text(plain)
    assert not homes.load_manifest(folder).has_options
