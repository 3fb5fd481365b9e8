"""`hansa committee`: every reason against joining at once, then joining, leaving, and the stake's way back."""

import json
import shutil
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import httpx
import pytest
from running_signer import RunningSigner

from contracts.chain_process import ChainProcess
from contracts.settlement import Settlement
from testnet import funding, homes
from testnet.ports import PortLease
from testnet.terms import Terms
from validator import committee_command, join_checks
from validator.candidate import make_candidate
from validator.config import Home, NetworkConfig, NodeConfig, load_network, load_node, save_toml
from validator.doctor import examine
from validator.join_checks import GREETING, predict_epoch
from validator.key_move import name_signer
from validator.keys import Keys, drop_voting_key, load_keys
from validator.rotate_command import rotate_key
from validator.voting_key import make_voting_key

FOUNDERS = 4
STAKE_QUOTE = 5_000 * 10**6


@dataclass
class Town:
    """A chain with a founded network of four; homes of two more that may join."""

    chain: ChainProcess
    network: NetworkConfig
    settlement: str
    ports: list[int]
    folder: Path  # of the founders' homes

    @property
    def rpc_url(self) -> str:
        return self.chain.rpc_url

    def mine(self) -> None:
        """Two blocks of a later second, so that everything before is final and past."""
        later = {"jsonrpc": "2.0", "id": 1, "method": "evm_increaseTime", "params": [1]}
        httpx.post(self.rpc_url, json=later)
        for _ in range(2):
            httpx.post(self.rpc_url, json={"jsonrpc": "2.0", "id": 1, "method": "evm_mine", "params": []})


@pytest.fixture(scope="module")
def town(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Town]:
    folder = tmp_path_factory.mktemp("town")
    with closing(PortLease()) as lease:
        chain_port, *ports = lease.choose(28_900, 3)
        chain = ChainProcess("devchain", chain_port, folder / "chain")
        chain.start()
        try:
            terms = Terms(stake_quote=STAKE_QUOTE, unbonding_s=0)
            deployment = funding.deploy_contracts(chain.rpc_url, terms)
            operators = funding.derive_accounts(funding.OPERATOR_FIRST, FOUNDERS)
            keys = homes.make_keys(folder, [operator.key for operator in operators])
            chain_id, validators = funding.register_committee(chain.rpc_url, deployment.settlement, keys)
            network = homes.make_network(
                chain_id, deployment.settlement, deployment.token, validators, 1, deployment.court
            )
            yield Town(chain, network, deployment.settlement, ports, folder)
        finally:
            chain.stop()


def make_home(town: Town, folder: Path, account: int, index: int = FOUNDERS) -> Home:
    """A newcomer's, complete."""
    home = Home(folder)
    (keys,) = homes.make_keys(folder, [funding.derive_account(account).key])
    homes.node_home(folder, 0).keys.rename(home.keys)
    save_toml(home.genesis, town.network)
    ports = {"listen_port": town.ports[0], "api_port": town.ports[1]}
    save_toml(home.config, NodeConfig(index=index, rpc_urls=(town.rpc_url,), **ports))
    assert load_keys(home.keys) == keys
    return home


@contextmanager
def listening(port: int, greeting: bytes) -> Iterator[None]:
    """Something that greets whoever comes."""
    with closing(socket.create_server(("127.0.0.1", port))) as server:

        def serve() -> None:
            while True:
                try:
                    link, _ = server.accept()
                except OSError:
                    return
                with link:
                    link.sendall(greeting)
                    link.recv(64)

        threading.Thread(target=serve, daemon=True).start()
        yield
        server.shutdown(socket.SHUT_RDWR)


@contextmanager
def answering(port: int, **status: Any) -> Iterator[None]:
    """`public/status` of a node, as the gateway gives it."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = json.dumps({"jsonrpc": "2.0", "result": status}).encode()
            self.send_response(200)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", port), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield
        server.shutdown()
        thread.join()


@contextmanager
def following(town: Town, height: int = 7, lag_s: float = 0.5, is_syncing: bool = False) -> Iterator[None]:
    """The newcomer's node as the outside sees it."""
    now_ms = int(1_000 * (join_checks.time.time() - lag_s))
    status = {"height": height, "time_ms": now_ms, "is_syncing": is_syncing, "is_halted": False}
    with listening(town.ports[0], GREETING), answering(town.ports[1], **status):
        yield


def ask(capsys: pytest.CaptureFixture[str], home: Home, **options: Any) -> tuple[int, dict[str, dict[str, Any]]]:
    """Exit status and the checks by name."""
    capsys.readouterr()
    status = committee_command.join(home=home.path, as_json=True, **options)
    answer = json.loads(capsys.readouterr().out)
    return status, {check["name"]: check for check in answer["checks"]} | {"done": answer["done"]}


def test_every_reason_is_told_at_once(town: Town, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Nothing but the chain is right, and nothing is sent."""
    home = make_home(town, tmp_path, account=0, index=9)
    save_toml(home.genesis, replace(town.network, chain_id=5, court="0x" + "11" * 20, validators_max=8))
    (home.keys / "bls.key").write_text("41" * 31)
    status, checks = ask(capsys, home, dry_run=True, advertise="nowhere")
    assert status == 1
    wrong = {name for name, check in checks.items() if name != "done" and not check["is_ok"]}
    assert wrong == {
        "chain", "contracts", "gas", "stake", "keys", "possession", "number", "node", "clock", "address", "queue",
    }  # fmt: skip
    assert checks["chain"]["words"] == "chain 31337, but genesis.toml names 5"
    assert "the court" in checks["contracts"]["words"]
    assert "bls.key must hold 64" in checks["keys"]["words"]
    assert "no node answers" in checks["node"]["words"]
    assert "--advertise host:port" in checks["address"]["words"]
    assert checks["done"] == []


def test_a_dead_chain_stops_only_what_needs_it(town: Town, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    home = make_home(town, tmp_path, account=0)
    with following(town):
        status, checks = ask(capsys, home, dry_run=True, rpc="http://127.0.0.1:9")
    assert status == 1
    assert {name for name, check in checks.items() if name != "done" and check["is_ok"]} == {"address"}
    assert "did not answer" in checks["gas"]["words"]


Change = Callable[[Home], None]


def rewrite_config(**changes: Any) -> Change:
    return lambda home: save_toml(home.config, replace(load_node(home.config), **changes))


def rewrite_genesis(**changes: Any) -> Change:
    return lambda home: save_toml(home.genesis, replace(load_network(home.genesis), **changes))


def replace_operator(home: Home) -> None:
    (home.keys / "operator.key").write_text("07" * 32)


@pytest.mark.parametrize(
    ("name", "change", "words"),
    [
        ("number", rewrite_config(index=5), "would be 4: write index = 4 into config.toml"),
        ("number", rewrite_genesis(validators_max=63), "gives 64 numbers, genesis.toml has room for 63"),
        ("contracts", rewrite_genesis(token="0x" + "22" * 20), "the token on chain and in genesis.toml differ"),
        ("address", rewrite_config(listen_host="0.0.0.0"), "not where it is found"),
        ("gas", replace_operator, "send ether to 0x"),
    ],
    ids=["another number", "no room", "another token", "no address", "no ether"],
)
def test_one_thing_is_wrong(
    town: Town, tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str, change: Change, words: str
) -> None:
    home = make_home(town, tmp_path, account=1)
    give_stake(town, home)
    change(home)
    with following(town):
        status, checks = ask(capsys, home, dry_run=True)
    assert (status, checks[name]["is_ok"]) == (1, False)
    assert words in checks[name]["words"]


@pytest.mark.parametrize(
    ("name", "node", "words"),
    [
        ("node", {"is_syncing": True}, "let it catch up"),
        ("clock", {"lag_s": -60.0}, "s behind: synchronise it"),
        ("clock", {"lag_s": 60.0}, "the clock is ahead, or the node is cut off"),
    ],
    ids=["syncing", "clock behind", "clock ahead"],
)
def test_the_node_is_not_ready(
    town: Town, tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str, node: dict, words: str
) -> None:
    home = make_home(town, tmp_path, account=1)
    give_stake(town, home)
    with following(town, **node):
        status, checks = ask(capsys, home, dry_run=True)
    assert status == 1
    assert [check["name"] for check in checks.values() if isinstance(check, dict) and not check["is_ok"]] == [name]
    assert words in checks[name]["words"]


def test_something_else_listens_there(town: Town, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    home = make_home(town, tmp_path, account=1)
    with listening(town.ports[0], b"SSH-2.0-OpenSSH_9.6\r\n"):
        _, checks = ask(capsys, home, dry_run=True)
    assert "something else than a validator answers" in checks["address"]["words"]


def give_stake(town: Town, home: Home) -> None:
    operator = Settlement(town.rpc_url, town.settlement, load_keys(home.keys).operator)
    if operator.token_balance(operator.sender) < STAKE_QUOTE:
        operator.mint_test_usdc(operator.sender, STAKE_QUOTE)


def test_joining_leaving_and_the_stakes_way_back(
    town: Town, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    home = make_home(town, tmp_path, account=2)
    path = home.path
    with following(town):
        status, checks = ask(capsys, home)
        assert (status, checks["stake"]["is_ok"], checks["done"]) == (1, False, [])
        give_stake(town, home)
        status, checks = ask(capsys, home, dry_run=True)
        assert status == 0
        assert "approves it first" in checks["stake"]["words"]
        assert checks["queue"]["words"] == "0 wait before it; by the rule it serves from epoch 2 on (now: 1)"
        assert checks["done"] == []
        assert committee_command.join(home=path) == 0
        told = capsys.readouterr().out
        assert "registered as number 4" in told and f"told the others 127.0.0.1:{town.ports[0]}" in told
        assert committee_command.join(home=path) == 0
        assert "nothing to do: it has joined" in capsys.readouterr().out

        other = make_home(town, tmp_path / "other", account=3, index=5)
        for name in ("bls.key", "network.key"):
            (other.keys / name).write_text((home.keys / name).read_text())
        _, checks = ask(capsys, other, dry_run=True)
        assert "has registered keys/bls.key and keys/network.key" in checks["keys"]["words"]
        assert checks["queue"]["words"].startswith("1 wait before it")

    town.mine()
    assert committee_command.status(home=path, as_json=True) == 0
    report = json.loads(capsys.readouterr().out)
    assert (report["epoch"], report["next_numbers"], report["stake"]) == (1, [0, 1, 2, 3, 4], STAKE_QUOTE)
    assert [row["number"] for row in report["waiting"]] == [4]
    assert {row["state"] for row in report["committee"]} == {"serving"}
    assert committee_command.status(home=path) == 0
    assert "epoch 2 by the rule: 0, 1, 2, 3, 4" in capsys.readouterr().out

    assert committee_command.stake(home=path) == 0
    assert capsys.readouterr().out == "number 4 is waiting; its stake of 5,000 is in the registry\n"
    assert committee_command.leave(home=path) == 0
    assert capsys.readouterr().out.startswith("number 4 is unbonding; transaction 0x")
    assert committee_command.leave(home=path) == 1
    assert "neither waiting nor serving" in capsys.readouterr().err
    town.mine()
    assert committee_command.stake(home=path, withdraw=True, as_json=True) == 0
    assert json.loads(capsys.readouterr().out)["words"] == "number 4 has left and has its stake back"
    with following(town):
        assert committee_command.join(home=path) == 0
    assert "number 4 comes again" in capsys.readouterr().out


def test_who_is_not_registered_has_no_stake(town: Town, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    home = make_home(town, tmp_path, account=5)
    assert committee_command.stake(home=home.path) == 2
    assert "hansa join" in capsys.readouterr().err
    assert committee_command.join(home=tmp_path / "nothing") == 2
    assert "genesis.toml does not exist" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("size", "ahead", "expected"),
    [(4, 0, 2), (4, 1, 2), (4, 2, 3), (4, 4, 3), (4, 5, 4), (64, 0, None), (63, 0, 2), (63, 1, None), (0, 9, 2)],
)
def test_the_epoch_of_the_first_duty(size: int, ahead: int, expected: int | None) -> None:
    assert predict_epoch(1, size, 64, ahead) == expected


def test_a_signer_proves_the_possession_of_a_key_that_is_not_in_the_folder(
    town: Town, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    home, folder = make_home(town, tmp_path / "node", account=0), tmp_path / "signer"
    secret = load_keys(home.keys).voting_secret()
    drop_voting_key(home.keys)
    name_signer(home.config, f"unix:{folder}/signer.sock")
    _, checks = ask(capsys, home, dry_run=True)
    assert [name for name in ("keys", "possession") if "start it first" in checks[name]["words"]] == [
        "keys",
        "possession",
    ]
    with RunningSigner(folder, secret, town.network.digest()):
        _, checks = ask(capsys, home, dry_run=True)
        assert checks["keys"]["is_ok"] and checks["possession"]["is_ok"], checks
        found = {check.name: check for check in examine(home.path)}
        assert found["guard"].words == f"with the signer at {folder}/signer.sock, epoch 0, view 0"


def test_the_doctor_knows_a_member_whose_gas_another_account_pays(town: Town, tmp_path: Path) -> None:
    home, kept = make_home(town, tmp_path / "node", account=0, index=1), tmp_path / "kept.key"
    shutil.rmtree(home.keys)
    shutil.copytree(homes.node_home(town.folder, 1).keys, home.keys)
    operator = town.network.validators[1].operator.lower()
    assert {check.name: check.words for check in examine(home.path)}["registered"] == "number 1, serving"
    assert rotate_key("gas", home=home.path, keep=kept) == 0
    words = {check.name: check.words for check in examine(home.path)}["registered"]
    assert words == f"number 1, serving, by {operator}; keys/operator only pays gas"
    assert committee_command.stake(home=home.path) == 2
    assert committee_command.stake(home=home.path, key=kept) == 0


def test_keys_are_not_shown() -> None:
    assert "01" * 8 not in repr(make_candidate(Keys(b"\1" * 32, b"\2" * 32, b"\3" * 32), make_voting_key(b"\1" * 32)))


def test_the_doctor_asks_the_chain_each_endpoint_and_the_members(town: Town, tmp_path: Path) -> None:
    home = make_home(town, tmp_path, account=0, index=0)
    found = {check.name: check for check in examine(home.path)}
    answered = ("chain", "contracts", "network", "engine", "registered", "endpoints", "checkpoint", "gas", "clock")
    assert [name for name in answered if not found[name].is_ok] == []
    assert "not registered" in found["registered"].words
    assert not found["peers"].is_ok and "0 of 3 other members" in found["peers"].words
    save_toml(home.config, replace(load_node(home.config), rpc_urls=(town.rpc_url, "http://127.0.0.1:1")))
    found = {check.name: check for check in examine(home.path)}
    assert not found["endpoints"].is_ok and "1 of 2 answer" in found["endpoints"].words
