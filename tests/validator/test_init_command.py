"""`hansa init` makes a folder that `hansa start` takes, keeps what is there, and explains every option."""

import dataclasses
import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.validator.test_config import NETWORK
from validator.__main__ import app
from validator.config import (
    ConfigError,
    Home,
    NodeConfig,
    PeerAddress,
    load_network,
    load_node,
    load_settings,
    save_toml,
)
from validator.keys import load_keys
from validator.options import OPTIONS, explain, table_of_options
from validator.passphrase import FILE_VARIABLE

ROOT = Path(__file__).parents[2]
RPC = "http://127.0.0.1:8545"


@pytest.fixture
def genesis(tmp_path):
    path = tmp_path / "their-genesis.toml"
    save_toml(path, NETWORK)
    return path


def run(*arguments) -> int:
    """Exit code of the command in this process."""
    with pytest.raises(SystemExit) as ended:
        app([str(item) for item in arguments])
    return ended.value.code or 0


def make(tmp_path, genesis, *more) -> Home:
    assert run("init", "--home", tmp_path / "home", "--genesis", genesis, "--rpc", RPC, "--plain-keys", *more) == 0
    return Home(tmp_path / "home")


def test_a_new_folder_is_what_start_reads(tmp_path, genesis, capsys):
    home = make(tmp_path, genesis)
    assert load_network(home.genesis).digest() == NETWORK.digest()
    assert load_node(home.config) == NodeConfig(len(NETWORK.validators), (RPC,))
    told = capsys.readouterr().out
    assert NETWORK.digest().hex() in told and "hansa join" in told
    assert load_keys(home.keys).bls.hex() not in told


def test_what_is_there_is_kept(tmp_path, genesis, capsys):
    home = make(tmp_path, genesis)
    keys, text = load_keys(home.keys), home.config.read_text()
    home.config.write_text(text.replace("index = 4", "index = 9"))
    make(tmp_path, "nowhere")
    assert load_keys(home.keys) == keys and load_node(home.config).index == 9
    assert "number           9" in capsys.readouterr().out


def test_keys_lie_behind_a_passphrase_unless_asked_otherwise(tmp_path, genesis, monkeypatch):
    phrase = tmp_path / "phrase"
    phrase.touch(0o600)
    phrase.write_text("correct horse battery")
    monkeypatch.setenv(FILE_VARIABLE, str(phrase))
    home = Home(tmp_path / "home")
    assert run("init", "--home", home.path, "--genesis", genesis, "--rpc", RPC) == 0
    assert sorted(path.name for path in home.keys.iterdir()) == ["bls.json", "network.json", "operator.json"]
    assert len(load_keys(home.keys).bls) == 32


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("nowhere.toml", "neither a file nor a URL"),
        ("http://127.0.0.1:1/g", "gives no genesis.toml"),
        (None, "missing"),
    ],
)
def test_a_genesis_that_is_none_leaves_nothing(tmp_path, capsys, source, message):
    if source is None:
        source = tmp_path / "bad.toml"
        source.write_text('name = "x"\n')
    assert run("init", "--home", tmp_path / "home", "--genesis", source, "--rpc", RPC, "--plain-keys") == 2
    assert message in capsys.readouterr().err
    assert list((tmp_path / "home").iterdir()) == []


def test_every_option_is_explained_and_the_explanation_reads_back():
    assert set(OPTIONS) == {item.name for item in dataclasses.fields(NodeConfig)}
    assert all(max(map(len, explain(config, "x").splitlines())) <= 120 for config in (NodeConfig(0, (RPC,)),))


def test_an_explained_file_reads_back_as_it_was(tmp_path):
    path = tmp_path / "config.toml"
    for config in (
        NodeConfig(3, (RPC, "https://other"), log_level="debug", peers=(PeerAddress("a", 1), PeerAddress("b", 2))),
        NodeConfig(0, (RPC,)),
    ):
        path.write_text(explain(config, "test"))
        assert load_node(path) == config


def test_the_operators_page_tells_the_same():
    page = (ROOT / "docs" / "operate.md").read_text()
    assert [row for row in table_of_options() if row not in page.splitlines()] == []


def test_later_places_count_more_and_are_named(tmp_path):
    path = tmp_path / "config.toml"
    save_toml(path, NodeConfig(1, (RPC,)))
    environment = {"HANSA_NODE_LOG_LEVEL": "debug", "HANSA_NODE_API_PORT": "9000", "OTHER": "1"}
    settings = load_settings(path, environment, ("api_port=9001", 'rpc_urls=["http://a"]'))
    assert (settings.config.log_level, settings.config.api_port) == ("debug", 9001)
    assert settings.config.rpc_urls == ("http://a",)
    assert settings.origins["log_level"] == "HANSA_NODE_LOG_LEVEL" and settings.origins["api_port"] == "--set"
    assert settings.origins["index"] == str(path)


@pytest.mark.parametrize(
    ("environment", "assignments", "message"),
    [
        ({}, ("log_level",), "write name=value"), ({}, ("log_levle=debug",), "did you mean 'log_level'"),
        ({"HANSA_NODE_API_PORT": "many"}, (), "HANSA_NODE_API_PORT: api_port must be a whole number"),
    ],
)  # fmt: skip
def test_a_wrong_value_is_named_with_its_place(tmp_path, environment, assignments, message):
    path = tmp_path / "config.toml"
    save_toml(path, NodeConfig(1, (RPC,)))
    with pytest.raises(ConfigError, match=message):
        load_settings(path, environment, assignments)


def test_config_show_tells_values_and_origins(tmp_path, genesis, capsys, monkeypatch):
    home = make(tmp_path, genesis)
    monkeypatch.setenv("HANSA_NODE_LOG_LEVEL", "warning")
    capsys.readouterr()
    assert run("config", "show", "--home", home.path, "--origin", "--json", "--set", "api_port=1") == 0
    shown = json.loads(capsys.readouterr().out)
    assert shown["log_level"] == ["warning", "HANSA_NODE_LOG_LEVEL"] and shown["api_port"] == [1, "--set"]
    assert run("config", "show", "--home", home.path) == 0
    assert "log_level" in capsys.readouterr().out


def test_the_command_line_says_it_too(tmp_path, genesis):
    done = subprocess.run(
        [sys.executable, "-m", "validator", "init", "--home", tmp_path / "h", "--genesis", genesis, "--rpc", RPC],
        capture_output=True, text=True, cwd=ROOT, stdin=subprocess.DEVNULL, timeout=120,
    )  # fmt: skip
    assert done.returncode == 2 and FILE_VARIABLE in done.stderr
