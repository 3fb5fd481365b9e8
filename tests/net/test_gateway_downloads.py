"""Claims files over HTTP: listed, sent whole, and only so many at once."""

from pathlib import Path

import httpx
import pytest
import trio
from test_gateway_backend import DictBackend
from test_gateway_inputs import running

from net.gateway.downloads import DOWNLOADS_MAX

ROOTS = (b"\x0a" * 32, b"\x0b" * 32)
LARGE = bytes(range(256)) * 160_000


@pytest.fixture
def backend(tmp_path: Path) -> DictBackend:
    made = DictBackend()
    for root, data in zip(ROOTS, (b"small", LARGE)):
        path = tmp_path / root.hex()
        path.write_bytes(data)
        made.claims_files[root] = path
    return made


async def test_the_index_lists_what_can_be_fetched(backend: DictBackend) -> None:
    async with running(backend) as url, httpx.AsyncClient(base_url=url) as http:
        rows = (await http.get("/claims")).json()["claims"]
        assert [(row["height"], row["size_bytes"]) for row in rows] == [(2, len(LARGE)), (1, 5)]
        for row, data in zip(rows, (LARGE, b"small")):
            answer = await http.get(row["path"])
            assert (answer.status_code, answer.content) == (200, data)
            assert "immutable" in answer.headers["cache-control"]
            assert row["path"] == "/claims/" + row["account_root"]
        assert (await http.get("/claims/" + ROOTS[0].hex())).content == b"small"


@pytest.mark.parametrize("name", ["0x" + "cc" * 32, "zz", "0x", "..%2f..%2fetc%2fpasswd", "0a" * 31])
async def test_what_is_not_there_is_404(backend: DictBackend, name: str) -> None:
    async with running(backend) as url, httpx.AsyncClient(base_url=url) as http:
        assert (await http.get(f"/claims/{name}")).status_code == 404


async def test_a_file_that_was_dropped_meanwhile_is_404(backend: DictBackend) -> None:
    backend.claims_files[ROOTS[0]].unlink()
    async with running(backend) as url, httpx.AsyncClient(base_url=url) as http:
        assert (await http.get("/claims/" + ROOTS[0].hex())).status_code == 404


async def test_readers_that_stand_still_do_not_keep_others_out_for_ever(backend: DictBackend) -> None:
    path = "/claims/" + ROOTS[1].hex()
    async with running(backend) as url, httpx.AsyncClient(base_url=url) as http:
        async with trio.open_nursery() as nursery:
            for _ in range(DOWNLOADS_MAX):
                await nursery.start(_stand_still, http, path)
            answer = await http.get(path)
            assert (answer.status_code, answer.headers["retry-after"]) == (503, "10")
            nursery.cancel_scope.cancel()
        with trio.fail_after(20):
            while (await http.get(path)).status_code != 200:
                await trio.sleep(0.05)


async def _stand_still(
    http: httpx.AsyncClient, path: str, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED
) -> None:
    async with http.stream("GET", path) as response:
        await anext(response.aiter_raw(1024))
        task_status.started()
        await trio.sleep_forever()


async def test_the_withdrawals_file_is_sent_as_long_as_it_is_and_not_cached(
    backend: DictBackend, tmp_path: Path
) -> None:
    async with running(backend) as url, httpx.AsyncClient(base_url=url) as http:
        assert (await http.get("/claims/withdrawals")).status_code == 404
        assert (await http.get("/claims")).json()["withdrawals"] is None
        path = backend.claims_files[b"withdrawals"] = tmp_path / "withdrawals"
        for data in (b"two rows", b"two rows and a third"):
            path.write_bytes(data)
            answer = await http.get((await http.get("/claims")).json()["withdrawals"])
            assert (answer.content, answer.headers["cache-control"]) == (data, "no-cache")
