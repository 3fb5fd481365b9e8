"""`hansa council` on a real chain: what operators read and vote, and what strangers are told."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from contracts.chain_process import ChainProcess
from contracts.council import Council
from contracts.deployment import Deployment
from contracts.devchain.chain import funded_key
from testnet import funding, homes
from testnet.ports import PortLease
from validator import council_command
from validator.council_command import approve, execute, pause, propose_cap, propose_engine, status, veto

STRANGER = 15
NEXT_VERSION = funding.ENGINE_VERSION + 1


@dataclass
class Hall:
    """A founded network, and the key files of its operators."""

    rpc_url: str
    folder: Path
    deployment: Deployment

    def options(self, account: int | None) -> dict[str, object]:
        network: dict[str, object] = {"rpc": self.rpc_url, "contract": self.deployment.settlement}
        if account is not None:
            path = self.folder / f"{account}.key"
            path.write_text(f"0x{self.key(account).hex()}\n")
            network["key"] = path
        return network

    def key(self, account: int) -> bytes:
        """Operators are numbered from 0; `STRANGER` is none."""
        return funded_key(0) if account == STRANGER else funding.derive_accounts(funding.OPERATOR_FIRST, 4)[account].key

    def council(self) -> Council:
        return Council(self.rpc_url, self.deployment.council)


@pytest.fixture(scope="module")
def hall(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hall]:
    folder = tmp_path_factory.mktemp("council")
    (port,) = PortLease().choose(28_900, 1)
    chain = ChainProcess("devchain", port, folder / "chain")
    chain.start()
    try:
        deployment = funding.deploy_contracts(chain.rpc_url)
        operators = funding.derive_accounts(funding.OPERATOR_FIRST, 4)
        keys = homes.make_keys(folder, [operator.key for operator in operators])
        funding.register_committee(chain.rpc_url, deployment.settlement, keys)
        yield Hall(chain.rpc_url, folder, deployment)
    finally:
        chain.stop()


def test_from_the_first_vote_to_the_exit_window(hall: Hall, capsys: pytest.CaptureFixture[str]) -> None:
    assert propose_engine(NEXT_VERSION, **hall.options(0)) == 0
    assert f"proposal 0: engine version {NEXT_VERSION}; voting, 1 of 3" in capsys.readouterr().out
    for account in (1, 2):
        assert approve(0, **hall.options(account)) == 0
    assert "waiting for the exit window, 3 of 3; executable from" in capsys.readouterr().out
    assert execute(0, **hall.options(STRANGER)) == council_command.EXIT_FAILED
    assert "council: exit window is open" in capsys.readouterr().err
    assert veto(0, **hall.options(3)) == veto(0, **hall.options(1)) == 0
    assert "executed or vetoed" in capsys.readouterr().out


def test_caps_within_bounds(hall: Hall, capsys: pytest.CaptureFixture[str]) -> None:
    assert propose_cap(hall.deployment.token, 2**61, **hall.options(0)) == council_command.EXIT_FAILED
    assert "council: cap changes too much" in capsys.readouterr().err


def test_few_pause(hall: Hall, capsys: pytest.CaptureFixture[str]) -> None:
    assert pause(**hall.options(0)) == 0
    assert "1 of 2 votes for a pause" in capsys.readouterr().out
    assert pause(**hall.options(3)) == 0
    assert "claims are paused until" in capsys.readouterr().out
    assert hall.council().is_paused()
    assert status(**hall.options(None), as_json=True) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["is_paused"]
    assert (report["needed_to_pause_or_veto"], report["needed_to_approve"]) == (2, 3)
    assert status(**hall.options(None)) == 0
    assert "claims are paused until" in capsys.readouterr().out


def test_who_is_no_operator_is_told(hall: Hall, capsys: pytest.CaptureFixture[str]) -> None:
    assert pause(**hall.options(STRANGER)) == council_command.EXIT_USAGE
    assert "is no operator of the committee of epoch 1" in capsys.readouterr().err


def test_what_is_missing_is_told(hall: Hall, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert status() == council_command.EXIT_USAGE
    assert "--home DIR, or --rpc, --contract" in capsys.readouterr().err
    damaged = tmp_path / "operator.key"
    damaged.write_text("zz")
    options = hall.options(None) | {"key": damaged}
    assert pause(**options) == council_command.EXIT_USAGE
    assert "operator's secret key" in capsys.readouterr().err
