"""A trader's proofs on the trader's disk: one at every checkpoint, whole, checked, and the one before it beside it."""

import json
from pathlib import Path
from typing import Any

import pytest
import trio
from test_client import KEY_HEX, MARKET, funded
from test_gateway_backend import DictBackend
from test_gateway_inputs import OWNER, running

from net.client import AsyncClient, Client, keeping
from net.client.keeping import keep_proofs, save_proof
from net.client.proof import ProofError, verify_account
from net.client.records import ProvenAccount

NAME = f"0x{OWNER.hex()}-0"


async def wait_for(path: Path, height: int) -> dict[str, Any]:
    with trio.fail_after(20):
        while True:
            if path.exists():
                proof: dict[str, Any] = json.loads(path.read_text())
                if verify_account(proof, OWNER, 0)[2].height == height:
                    return proof
            await trio.sleep(0.02)


async def advance(backend: DictBackend, client: AsyncClient, price_usd: str) -> int:
    await client.buy(MARKET, "0.001", price_usd)
    backend.posted_height = backend.height
    return backend.height


async def test_every_checkpoint_leaves_a_proof_and_the_one_before_it(tmp_path: Path) -> None:
    backend = funded()
    async with running(backend) as url, AsyncClient(url, KEY_HEX) as client, trio.open_nursery() as nursery:
        nursery.start_soon(client.keep_proofs, tmp_path)
        await trio.sleep(0.1)
        assert list(tmp_path.iterdir()) == []  # no checkpoint, no proof
        first = await wait_for(tmp_path / f"{NAME}.json", await advance(backend, client, "10"))
        second = await wait_for(tmp_path / f"{NAME}.json", await advance(backend, client, "11"))
        assert json.loads((tmp_path / f"{NAME}.previous.json").read_text()) == first != second
        assert sorted(path.name for path in tmp_path.iterdir()) == [f"{NAME}.json", f"{NAME}.previous.json"]
        nursery.cancel_scope.cancel()


async def test_where_the_node_forgot_that_state_the_newest_proof_is_kept(tmp_path: Path) -> None:
    backend = funded()
    async with running(backend) as url, AsyncClient(url, KEY_HEX) as client, trio.open_nursery() as nursery:
        posted = await advance(backend, client, "10")
        await client.buy(MARKET, "0.001", "11")
        assert posted < backend.height
        nursery.start_soon(client.keep_proofs, tmp_path)
        await wait_for(tmp_path / f"{NAME}.json", backend.height)
        nursery.cancel_scope.cancel()


async def test_the_blocking_client_keeps_them_beside_its_work(tmp_path: Path) -> None:
    backend = funded()

    def trade(url: str) -> None:
        with Client(url, KEY_HEX) as client, client.keep_proofs(tmp_path):
            client.buy(MARKET, "0.001", "10")
            backend.posted_height = backend.height
            trio.from_thread.run(wait_for, tmp_path / f"{NAME}.json", backend.height)

    async with running(backend) as url:
        await trio.to_thread.run_sync(trade, url)


@pytest.mark.parametrize("failure", [ProofError("forged"), OSError("disk full")])
async def test_a_proof_that_fails_replaces_nothing_and_is_tried_again(
    tmp_path: Path, failure: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(keeping, "LOOK_INTERVAL_S", 0.01)
    asked: list[int] = []
    is_enough = trio.Event()
    async with running(funded()) as url, AsyncClient(url, KEY_HEX) as client:
        good = await client.proof()

    async def find(height: int) -> ProvenAccount | None:
        asked.append(height)
        if len(asked) > 3:
            is_enough.set()
        if len(asked) == 2:
            raise failure
        return ProvenAccount(len(asked), good.header_hash, good.claims, good.debt, good.raw)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(keep_proofs, find, tmp_path)
        await is_enough.wait()
        nursery.cancel_scope.cancel()
    assert asked[:4] == [0, 1, 1, 3]
    assert json.loads((tmp_path / f"{NAME}.json").read_text()) == good.raw


def test_an_interrupted_write_harms_no_kept_proof(tmp_path: Path) -> None:
    raw = {"owner": "0x" + OWNER.hex(), "subaccount": 0, "index": 1}
    path = save_proof(tmp_path, ProvenAccount(1, "", 0, 0, raw))  # type: ignore[arg-type]
    path.with_suffix(".partial").write_text('{"owner": ')  # what a crash leaves
    assert json.loads(path.read_text()) == raw
    save_proof(tmp_path, ProvenAccount(2, "", 0, 0, raw | {"index": 2}))  # type: ignore[arg-type]
    assert json.loads(path.read_text())["index"] == 2
    assert json.loads(path.with_suffix(".previous.json").read_text())["index"] == 1
