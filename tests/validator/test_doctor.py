"""`hansa doctor` names what is wrong with a node's folder and machine, and the cure; nothing is changed by asking."""

import json
import os
import socket
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from consensus.guard import SLOT_BYTES
from testnet import homes
from testnet.funding import derive_operator
from validator import doctor_machine
from validator.config import Home, NodeConfig, ValidatorEntry, load_node, save_toml
from validator.doctor import examine
from validator.doctor_command import doctor
from validator.doctor_network import compute_ahead_s
from validator.journal import Journal
from validator.store import Store

MACHINE = ("disk", "memory", "open files", "compiler", "ports")


@pytest.fixture
def home(tmp_path: Path) -> Home:
    """A node that has run for no block yet, on a chain that does not answer."""
    founder = ValidatorEntry("0x" + "11" * 20, "22" * 48, "33" * 32)
    homes.make_keys(tmp_path, [derive_operator(0).key])
    made = homes.node_home(tmp_path, 0)
    network = homes.make_network(31337, "0x" + "44" * 20, "0x" + "55" * 20, [founder] * 4, 1)
    save_toml(made.genesis, network)
    with closing(socket.create_server(("127.0.0.1", 0))) as free:
        port = free.getsockname()[1]
    config = NodeConfig(0, ("http://127.0.0.1:1",), listen_port=port, api_process="none", metrics_port=0)
    save_toml(made.config, config)
    Store(made.data / "blocks.sqlite").close()
    Journal(made.data / "journal").close()
    return made


def ask(home: Home) -> dict[str, tuple[bool, str]]:
    return {check.name: (check.is_ok, check.words) for check in examine(home.path)}


def test_a_healthy_folder_is_well_and_an_absent_chain_is_told_by_each_who_needs_it(home):
    (home.data / "guard").write_bytes(bytes(2 * SLOT_BYTES))
    found = ask(home)
    wrong = {name for name, (is_ok, _) in found.items() if not is_ok} - set(MACHINE[:3])
    assert wrong == {
        "chain", "contracts", "network", "engine", "registered", "endpoints", "checkpoint", "gas", "clock", "peers"
    }  # fmt: skip
    assert "127.0.0.1:1" in found["endpoints"][1] and "rpc_urls" in found["endpoints"][1]


FAULTS = {
    "config": ("config", "did you mean"),
    "secret": ("modes", "chmod 600"),
    "key": ("keys", "64 hexadecimal digits"),
    "guard gone": ("guard", "A lost disk"),
    "guard damaged": ("guard", "never restore an old copy"),
    "journal": ("journal", "damaged in the middle"),
    "store": ("store", "move it"),
    "port": ("ports", "another program has it"),
    "prices": ("prices", "decimal text in quotes"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_each_fault_is_named_with_its_cure(home, fault):
    name, cure = FAULTS[fault]
    (home.data / "guard").write_bytes(bytes(2 * SLOT_BYTES))
    taken = socket.socket()
    config = load_node(home.config)
    if fault == "config":
        home.config.write_text(home.config.read_text() + 'price_sourc = "path:seed=1"\n')
    elif fault == "secret":
        os.chmod(home.keys / "bls.key", 0o644)
    elif fault == "key":
        (home.keys / "operator.key").write_text("41")
    elif fault == "guard gone":
        (home.data / "guard").unlink()
    elif fault == "guard damaged":
        (home.data / "guard").write_bytes(b"\1" * 2 * SLOT_BYTES)
    elif fault == "journal":
        damage_journal(home)
    elif fault == "store":
        (home.data / "blocks.sqlite").write_bytes(b"no database" * 1_000)
    elif fault == "port":
        taken.bind(("127.0.0.1", config.listen_port))
        taken.listen()
    elif fault == "prices":
        save_toml(home.config, replace(config, price_source=f"file:{home.path}/prices.json"))
        (home.path / "prices.json").write_text('{"BTC": 60000}')
    with closing(taken):
        is_ok, words = ask(home)[name]
    assert not is_ok and cure in words, words


def damage_journal(home: Home) -> None:
    """One record in the middle of three."""
    journal = Journal(home.data / "journal")
    for body in (b"one" * 50, b"two" * 50, b"three" * 50):
        journal.append(body)
    journal.close()
    (path,) = (home.data / "journal").glob("*.journal")
    path.write_bytes(path.read_bytes().replace(b"twotwo", b"wtotwo", 1))


def test_a_full_disk_and_a_slow_one_are_told_apart(home, monkeypatch):
    monkeypatch.setattr(doctor_machine, "FREE_BYTES_MIN", 1 << 62)
    assert "make room" in ask(home)["disk"][1]
    monkeypatch.setattr(doctor_machine, "FREE_BYTES_MIN", 0)
    monkeypatch.setattr(doctor_machine, "FSYNC_MS_MAX", -1.0)
    assert "power-loss protection" in ask(home)["disk"][1]


def test_the_command_prints_json_and_fails_while_anything_is_wrong(home, capsys):
    assert doctor(home=home.path, as_json=True) == 1
    told = json.loads(capsys.readouterr().out)["checks"]
    assert {"name", "is_ok", "words"} == set(told[0]) and any(not check["is_ok"] for check in told)
    home.genesis.unlink()
    assert doctor(home=home.path) == 1
    assert capsys.readouterr().out.splitlines()[0].startswith("NO  genesis")


@pytest.mark.parametrize(
    ("stated_s", "ahead_s"), [(103, 0), (100, 0), (99, -0.5), (107, 2), (97, -2.5)]
)  # 100.5 to 105: rounded down, any time in between
def test_a_slow_answer_is_no_wrong_clock(stated_s, ahead_s):
    assert compute_ahead_s(stated_s, began_s=100.5, ended_s=105) == ahead_s
