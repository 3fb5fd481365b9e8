"""A validator that leaves out what it never uses still links, talks to a settlement chain and is none the wiser."""

import json
import subprocess
import sys
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest

from net.keystore import STAKING_VERSION, encrypt_secret
from validator.keys import Keys, save_keys

ROOT = Path(__file__).resolve().parents[2]
# Enough to notice that a list no longer says what the libraries' own imports bring in.
HEAVY = ("aioquic", "aiohttp", "eth_keyfile", "py_ecc", "libp2p.host.basic_host", "libp2p.security.tls")


def run_lean(body: str, options: str = "") -> Any:
    """The JSON that a fresh interpreter prints which begins as `hansa start` does."""
    text = f"import json, sys\nfrom validator.left_out import leave_out\nleave_out({options})\n" + dedent(body)
    done = subprocess.run([sys.executable, "-c", text], cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_a_start_loads_no_chain_library_no_table_printer_and_nothing_that_is_left_out() -> None:
    found = run_lean(f"""
        import validator.run
        loaded = [name for name in ("web3", "eth_account", "rich", "httpx") if name in sys.modules]
        real = [name for name in {HEAVY!r} if getattr(sys.modules.get(name), "__file__", None)]
        print(json.dumps([loaded, real]))
    """)
    assert found == [[], []]


def test_keys_behind_a_passphrase_are_opened(tmp_path: Path) -> None:
    save_keys(tmp_path, Keys(b"\1" * 32, b"\2" * 32, b"\3" * 32))
    (tmp_path / "bls.key").unlink()
    (tmp_path / "bls.json").write_text(json.dumps(encrypt_secret(b"\1" * 32, "a long passphrase", STAKING_VERSION)))
    found = run_lean(
        f"""
        from pathlib import Path
        from validator.keys import load_keys
        keys = load_keys(Path({str(tmp_path)!r}), "a long passphrase")
        print(json.dumps([keys.bls.hex(), keys.network.hex(), keys.operator.hex()]))
    """,
        "has_keystores=True",
    )
    assert found == ["01" * 32, "02" * 32, "03" * 32]


def test_lean_members_link_and_hear_each_other() -> None:
    found = run_lean("""
        import socket, trio
        from engine.commands import CANCEL_ALL
        from net.committee import Inbound, MemberAddress, open_committee
        from net.identity import derive_network_key
        from net.link import HelloState
        from net.wire import RangeRequest

        probes = [socket.socket() for _ in range(2)]
        for probe in probes:
            probe.bind(("127.0.0.1", 0))
        ports = [probe.getsockname()[1] for probe in probes]
        for probe in probes:
            probe.close()
        seeds = [bytes([number]) * 32 for number in (1, 2)]
        members = [MemberAddress(i, derive_network_key(seeds[i]), "127.0.0.1", ports[i]) for i in range(2)]

        def open_member(me):
            return open_committee(
                seed=seeds[me], me=me, members=members, network_id=bytes(32), listen_host="127.0.0.1",
                hello=lambda: HelloState(1, 1),
            )

        async def main():
            async with open_member(0) as one, open_member(1) as other:
                with trio.fail_after(30):
                    while not (one.peers() and other.peers()):
                        await trio.sleep(0.01)
                    one.broadcast(RangeRequest(7, 1))
                    async for event in other.events:
                        if isinstance(event, Inbound):
                            return [event.peer, event.frame.from_height]

        print(json.dumps(trio.run(main)))
    """)
    assert found == [0, 7]


def test_lean_web3_reads_and_signs_and_leaves_the_recursion_limit_alone() -> None:
    """Against the development chain in another process, over HTTP as in a validator."""
    found = run_lean("""
        import tempfile
        from pathlib import Path
        from contracts.chain_process import ChainProcess
        from testnet import funding
        from testnet.ports import PortLease
        from validator.chain_access import connect
        from validator.config import NodeConfig
        from types import SimpleNamespace

        with tempfile.TemporaryDirectory() as folder:
            chain = ChainProcess("devchain", PortLease().choose(31_800, 1)[0], Path(folder))
            chain.start()
            try:
                deployed = funding.deploy_contracts(chain.rpc_url)
                network = SimpleNamespace(contract=deployed.settlement, court=deployed.court)
                key = funding.derive_accounts(0, 1)[0].key
                (settlement,), judge = connect(network, NodeConfig(0, (chain.rpc_url,)), key)
                length, domain = settlement.inbox_length(), len(settlement.domain())
                print(json.dumps([length, domain, judge.is_decided(bytes(32)), sys.getrecursionlimit()]))
            finally:
                chain.stop()
    """)
    assert found == [0, 32, False, 1_000]


def test_what_was_left_out_cannot_be_made_but_can_be_named() -> None:
    found = run_lean("""
        from aiohttp import ClientSession, ClientError
        from aioquic.quic.connection import QuicConnection
        try:
            QuicConnection()
        except RuntimeError as error:
            said = str(error)
        print(json.dumps([isinstance(1, ClientSession), issubclass(ClientError, Exception), said]))
    """)
    assert found[:2] == [False, True]
    assert "validator/left_out.py" in found[2]


@pytest.mark.parametrize("name", ["dns", "libp2p.crypto.rsa", "h2", "libp2p.stream_muxer.yamux"])
def test_what_a_stranger_can_reach_is_whole(name: str) -> None:
    """A peer's key type, a client's protocol: a placeholder there would be a way to end the node."""
    found = run_lean(f"""
        import importlib
        import validator.run
        print(json.dumps(importlib.import_module({name!r}).__file__))
    """)
    assert found is not None
    assert Path(found).exists()
