"""`hansa evidence` and `hansa uptime`, on a real chain with a court, from files, folders and nothing."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from consensus import crypto
from consensus.evidence import Verdict, compute_key, judge
from consensus.messages import (
    FINALIZE,
    NOTARIZE,
    NULLIFICATION_HEAD,
    NULLIFY,
    ZERO_HASH,
    Block,
    Certificate,
    Evidence,
    Header,
    Vote,
    compute_domain,
    encode_message,
    keccak,
    make_bitmap,
    make_evidence,
    vote_digest,
)
from contracts.chain_process import ChainProcess
from contracts.court import Court
from testnet import funding, homes
from testnet.ports import PortLease
from validator import evidence_command
from validator import store as store_module
from validator.__main__ import uptime
from validator.config import Home, NetworkConfig, NodeConfig, address_bytes, save_toml
from validator.evidence_report import make_report, render_case
from validator.journal import Journal
from validator.store import Store

MEMBERS = 4
A, B = b"a" * 32, b"b" * 32


@dataclass
class Place:
    """A chain with a court, and a node's folder."""

    rpc_url: str
    home: Home
    network: NetworkConfig
    secrets: list[bytes]

    def sign(self, kind: int, block_hash: bytes, *signers: int, view: int) -> Certificate:
        domain = compute_domain(self.network.chain_id, address_bytes(self.network.contract))
        digest = vote_digest(domain, kind, 1, view, block_hash)
        signature = crypto.aggregate([crypto.sign(self.secrets[signer], digest) for signer in signers])
        assert signature is not None
        return Certificate(kind, 1, view, block_hash, make_bitmap(list(signers), MEMBERS), signature)

    def make_vote_pair(self, view: int = 5) -> Evidence:
        return make_evidence(self.sign(NULLIFY, ZERO_HASH, 2, view=view), self.sign(FINALIZE, A, 2, view=view))

    def write(self, name: str, evidence: Evidence) -> Path:
        path = self.home.path / name
        path.write_text("0x" + encode_message(evidence).hex() + "\n")
        return path


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    folder = tmp_path_factory.mktemp("evidence")
    ports = PortLease()
    (port,) = ports.choose(28_800, 1)
    chain = ChainProcess("devchain", port, folder / "chain")
    chain.start()
    try:
        rpc_url = chain.rpc_url
        deployment = funding.deploy_contracts(rpc_url)
        operators = funding.derive_accounts(funding.OPERATOR_FIRST, MEMBERS)
        keys = homes.make_keys(folder, [operator.key for operator in operators])
        chain_id, validators = funding.register_committee(rpc_url, deployment.settlement, keys)
        network = homes.make_network(chain_id, deployment.settlement, deployment.token, validators, 1, deployment.court)
        homes.write_genesis(folder, network)
        home = homes.node_home(folder, 0)
        save_toml(home.config, NodeConfig(index=0, rpc_urls=(rpc_url,)))
        yield Place(rpc_url, home, network, [known.bls for known in keys])
    finally:
        chain.stop()
        ports.close()


def test_a_case_from_finding_to_conviction(
    place: Place, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    pair = make_evidence(place.sign(FINALIZE, A, 0, 1, 2, view=9), place.sign(FINALIZE, B, 1, 2, 3, view=9))
    store = Store(place.home.data / "blocks.sqlite")
    for evidence in (place.make_vote_pair(), pair):
        verdict = judge(evidence, MEMBERS)
        assert isinstance(verdict, Verdict)
        store.put_evidence(compute_key(verdict), encode_message(evidence))
    store.commit()  # and it stays open: the node runs
    home = place.home.path
    assert evidence_command.list_cases(home=home) == 0
    listed = capsys.readouterr().out
    assert "E3" in listed and "E6" in listed and "does not know it" in listed

    file = place.write("case.hex", pair)
    key = place.home.keys / "operator.key"
    assert evidence_command.submit(file, rpc=place.rpc_url, genesis=place.home.genesis, key=key) == 0
    operator = place.network.validators[1].operator
    told = capsys.readouterr().out
    assert f"member 1 ({operator})" in told
    assert "took the stake of member 1" in told and "took the stake of member 2" in told
    assert evidence_command.submit(file, rpc=place.rpc_url, genesis=place.home.genesis, key=key) == 0
    assert capsys.readouterr().out == "the court has decided this case before\n"

    assert evidence_command.show(home=home, as_json=True) == 0
    votes, certificates = json.loads(capsys.readouterr().out)
    assert (votes["type"], votes["court"]["is_decided"], votes["court"]["guilty"]) == ("E3", False, [2])
    assert (certificates["type"], certificates["court"]["is_decided"]) == ("E6", True)
    assert [culprit["operator"] for culprit in certificates["culprits"]] == [
        place.network.validators[member].operator for member in (1, 2)
    ]
    (conviction, _) = Court(place.rpc_url, place.network.court).convictions()
    assert certificates["court"]["transaction"] == conviction.tx_hash.hex()
    assert [known["is_genuine"] for known in certificates["statements"]] == [True, True]
    assert evidence_command.show(home=home) == 0
    assert "convicted by transaction" in capsys.readouterr().out
    store.close()


def test_forged_evidence_is_shown_as_such_and_not_submitted(place: Place, capsys: pytest.CaptureFixture[str]) -> None:
    good = place.make_vote_pair(view=7)
    forged = Evidence(good.first, Certificate(FINALIZE, 1, 7, A, make_bitmap([2], MEMBERS), good.first.signature))
    file = place.write("forged.hex", forged)
    assert evidence_command.show(file, genesis=place.home.genesis) == 1
    assert "WRONG" in capsys.readouterr().out
    code = evidence_command.submit(
        file, rpc=place.rpc_url, genesis=place.home.genesis, key=place.home.keys / "operator.key"
    )
    assert code == 2
    assert "proves nothing" in capsys.readouterr().err


def test_an_unproven_pair_and_a_binary_file(place: Place, capsys: pytest.CaptureFixture[str]) -> None:
    path = place.home.path / "harmless.bin"
    harmless = make_evidence(place.sign(NOTARIZE, A, 2, view=7), place.sign(NULLIFY, ZERO_HASH, 2, view=7))
    path.write_bytes(encode_message(harmless))
    assert evidence_command.show(path, genesis=place.home.genesis, as_json=True) == 1
    (report,) = json.loads(capsys.readouterr().out)
    assert (report["type"], report["culprits"]) == ("none", []) and "may make both" in report["fault"]


def test_both_headers_of_a_double_proposal_are_kept(place: Place) -> None:
    headers = tuple(Header(1, 8, 4, A, 7, 1, 1_000, keccak(name), ZERO_HASH, bytes(320)) for name in (b"one", b"other"))
    pair = [place.sign(NOTARIZE, header.hash(), 1, view=8) for header in headers]
    evidence = make_evidence(pair[0], pair[1], headers)
    report = make_report(encode_message(evidence), place.network)
    assert (report.type, report.fault) == ("E5", "")
    assert [bytes.fromhex(text) for text in report.headers] == [header.encode() for header in evidence.headers]
    assert render_case(report)


WRONG_CALLS = [
    ({}, "say what to look at"),
    ({"file": Path("nowhere")}, "cannot be read"),
    ({"home": Path("/nowhere")}, "is --home the folder of a node"),
    ({"url": "http://127.0.0.1:1"}, "Is the node running"),
]


@pytest.mark.parametrize(("options", "message"), WRONG_CALLS)
def test_wrong_calls_say_what_to_do(
    options: dict[str, object], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert evidence_command.show(**options) == 2  # type: ignore[arg-type]
    assert message in capsys.readouterr().err


def test_files_need_keys_and_must_be_evidence(place: Place, capsys: pytest.CaptureFixture[str]) -> None:
    file = place.write("keys.hex", place.make_vote_pair())
    assert evidence_command.show(file) == 2
    assert "--genesis" in capsys.readouterr().err
    junk = place.home.path / "junk"
    junk.write_bytes(b"\xff\xfe")
    assert evidence_command.show(junk, genesis=place.home.genesis) == 2
    assert "this is no evidence" in capsys.readouterr().err


def test_a_chain_that_is_down_leaves_the_rest_of_the_report(place: Place, capsys: pytest.CaptureFixture[str]) -> None:
    file = place.write("down.hex", place.make_vote_pair())
    assert evidence_command.show(file, genesis=place.home.genesis, rpc="http://127.0.0.1:1", as_json=True) == 0
    captured = capsys.readouterr()
    assert json.loads(captured.out)[0]["court"] is None
    assert "the court was not asked" in captured.err


def test_two_folders_together_prove_what_neither_does_alone(
    place: Place, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """One side finalised view 30, the other nullified it; a third record is a vote in a journal."""
    sides = [Home(tmp_path / name) for name in ("left", "right")]
    halves = place.sign(FINALIZE, A, 0, 1, 2, view=30), place.sign(NULLIFY, ZERO_HASH, 1, 2, 3, view=30)
    for side in sides:
        save_toml(side.genesis, place.network)
        store = Store(side.data / "blocks.sqlite")
        header = Header(1, 30, 1, A, 0, 0, 1, keccak(b""), ZERO_HASH, bytes(320))
        if side is sides[0]:
            final = place.sign(FINALIZE, header.hash(), 0, 1, 2, view=30)
            store.put_final(Block(header, b""), final)
        else:
            store.put_nullification(encode_message(halves[1]))
        store.close()
    journal = Journal(sides[1].data / "journal")
    spoken = place.sign(FINALIZE, B, 3, view=31), place.sign(NULLIFY, ZERO_HASH, 3, view=31)
    for statement in spoken:
        journal.append(encode_message(Vote(statement.kind, 1, 31, statement.header_hash, 3, statement.signature)))
    journal.append(encode_message(halves[1]))
    journal.close()
    assert evidence_command.find(sides[0].path, as_json=True) == 0
    assert json.loads(capsys.readouterr().out) == []
    assert evidence_command.find(*(side.path for side in sides), save=tmp_path / "cases", as_json=True) == 0
    found = json.loads(capsys.readouterr().out)
    assert [(case["type"], case["view"], case["fault"]) for case in found] == [("E6", 30, ""), ("E3", 31, "")]
    assert [[culprit["index"] for culprit in case["culprits"]] for case in found] == [[1, 2], [3]]
    saved = sorted((tmp_path / "cases").iterdir())
    assert [path.name[:9] for path in saved] == ["E3-view31", "E6-view30"]
    assert evidence_command.show(saved[1], genesis=place.home.genesis) == 0
    assert evidence_command.find(tmp_path / "nowhere", genesis=place.home.genesis) == 2
    assert evidence_command.find() == 2


def test_the_oldest_nullifications_go(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store_module, "NULLIFICATIONS_MAX", 3)
    store = Store(tmp_path / "blocks.sqlite")
    certificates = [
        Certificate(NULLIFY, 1, view, ZERO_HASH, make_bitmap([0, 1, 2], MEMBERS), bytes(96)) for view in range(1, 8)
    ]
    for certificate in certificates:
        data = encode_message(certificate)
        assert data.startswith(NULLIFICATION_HEAD)
        store.put_nullification(data)
        store.put_nullification(data)
    assert store.nullifications(10) == certificates[-3:]
    assert store.nullifications(1) == certificates[-1:]
    store.close()


def test_uptime_counts_the_bitmaps_of_the_folder(place: Place, capsys: pytest.CaptureFixture[str]) -> None:
    store = Store(place.home.data / "blocks.sqlite")
    for height in range(1, 11):
        header = Header(1, height, height, A, height - 1, 0, height, keccak(b""), ZERO_HASH, bytes(320))
        signers = [0, 1, 2] if height <= 7 else [0, 1, 3]
        hash_ = header.hash() if height != 4 else B  # height 4 has only a descendant's certificate
        certificate = Certificate(FINALIZE, 1, height, hash_, make_bitmap(signers, MEMBERS), bytes(96))
        store.put_final(Block(header, b""), certificate)
    store.commit()
    assert uptime(home=place.home.path, blocks=8) == 0
    shown = json.loads(capsys.readouterr().out)
    assert (shown["first_height"], shown["last_height"], shown["blocks"]) == (2, 10, 8)
    assert [entry["signed"] for entry in shown["validators"]] == [8, 8, 5, 3]
    assert [entry["signed_bps"] for entry in shown["validators"]] == [10_000, 10_000, 6_250, 3_750]
    store.close()
    assert uptime(home=Path("/nowhere")) == 1
