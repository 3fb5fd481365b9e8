"""js-libp2p, an implementation that shares no line with ours, follows a chain from a running `hansa public`.

It needs npm and a registry to fetch packages from, once; where there is none the test says so and is skipped.
"""

import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import trio
from certified_chain import Chain, make_keyring
from public_scene import HOST, Validator, free_ports, make_network, until

from net.feed.protocol import BLOCKS
from net.public.host import make_address
from validator.config import Home, PublicConfig, save_toml
from validator.public_command import PUBLIC_KEY, PUBLIC_TOML

SOURCE = Path(__file__).resolve().parent / "js"
ROOT = SOURCE.parent.parent.parent
INSTALL_TIMEOUT_S = 300
SEED = b"\x31" * 32
BLOCK_COUNT = 8

pytestmark = pytest.mark.slow


def install() -> Path:
    """The folder with the packages and the script. Skips where packages cannot be had."""
    if shutil.which("npm") is None:
        pytest.skip("npm is not on the PATH: js-libp2p cannot be fetched")
    manifest = (SOURCE / "package.json").read_bytes()
    folder = ROOT / "build" / f"js-{hashlib.sha256(manifest).hexdigest()[:12]}"
    if not (folder / "ready").exists():
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "package.json").write_bytes(manifest)
        command = ["npm", "install", "--no-audit", "--no-fund", "--no-package-lock"]
        try:
            ended = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=INSTALL_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            pytest.skip("npm does not answer: js-libp2p cannot be fetched")
        if ended.returncode != 0:
            pytest.skip(f"npm reaches no registry: {ended.stderr.strip()[-300:]}")
        (folder / "ready").touch()
    shutil.copy(SOURCE / "follow.mjs", folder)
    return folder


async def read_events(process: trio.Process) -> AsyncIterator[dict[str, Any]]:
    assert process.stdout is not None
    buffer = b""
    while data := await process.stdout.receive_some(65536):
        buffer += bytes(data)
        *lines, buffer = buffer.split(b"\n")
        for line in lines:
            yield json.loads(line)


def make_home(folder: Path, chain: Chain, port: int) -> Validator:
    network = make_network(chain.keyring)
    save_toml(Home(folder).genesis, network)
    save_toml(folder / PUBLIC_TOML, PublicConfig(listen_port=port))
    (folder / PUBLIC_KEY).write_text(SEED.hex() + "\n")
    return Validator(folder, 0, network, [chain])


async def test_js_libp2p_connects_identifies_pings_and_receives_certified_blocks(tmp_path: Path) -> None:
    folder = await trio.to_thread.run_sync(install)
    chain = Chain(make_keyring(4))
    for _ in range(2 + BLOCK_COUNT):
        chain.grow()
    (port,) = free_ports(1)
    validator = make_home(tmp_path, chain, port)
    address = make_address(HOST, port, SEED)
    events: list[dict[str, Any]] = []
    async with trio.open_nursery() as nursery:
        nursery.start_soon(validator.server.run)
        public = await nursery.start(
            _start, [sys.executable, "-m", "validator", "public", "--home", str(tmp_path)], {"PYTHONPATH": str(ROOT)}
        )
        await until(lambda: validator.server.is_wanted(BLOCKS), 60)
        for height in (1, 2):
            validator.tell(height)
        node = await trio.lowlevel.open_process(
            [str(folder / "node_modules" / ".bin" / "node"), "follow.mjs", address, validator.network.digest().hex()]
            + [str(BLOCK_COUNT)],
            cwd=folder,
            stdout=subprocess.PIPE,
        )
        with trio.fail_after(180):
            async for event in read_events(node):
                events.append(event)
                if event["event"] == "ready":
                    nursery.start_soon(_tell_slowly, validator)
        assert await node.wait() == 0, events
        public.send_signal(signal.SIGTERM)
        assert await public.wait() == 0
        nursery.cancel_scope.cancel()
    by_kind = {kind: [event for event in events if event["event"] == kind] for kind in {e["event"] for e in events}}
    assert by_kind["dial"][0]["encryption"] == "/noise" and by_kind["dial"][0]["multiplexer"] == "/yamux/1.0.0"
    assert address.endswith(by_kind["dial"][0]["peer"])
    assert {"/meshsub/1.1.0", "/ipfs/ping/1.0.0", "/hansa/blocks/1"} <= set(by_kind["identify"][0]["protocols"])
    assert by_kind["ping"][0]["ms"] >= 0
    assert by_kind["history"][0]["heights"] == [1, 2]
    expected = {block.header.height: hashlib.sha256(block.header.encode()).hexdigest() for block in chain.blocks}
    received = {event["height"]: event["header"] for event in by_kind["block"]}
    assert len(received) >= BLOCK_COUNT and received.items() <= expected.items()
    assert all(event["kind"] == 3 and event["signed"] == "signed" for event in by_kind["certificate"])


async def _start(argv: list[str], extra: dict[str, str], task_status: Any) -> None:
    """A process that ends with the nursery."""
    process = await trio.lowlevel.open_process(argv, env={**os.environ, **extra})
    try:
        task_status.started(process)
        await process.wait()
    finally:
        process.kill()


async def _tell_slowly(validator: Validator) -> None:
    """Once the other side has had the time to join the mesh; what it misses it would have to ask for."""
    await trio.sleep(2.5)
    for height in range(3, 3 + BLOCK_COUNT):
        validator.tell(height)
        await trio.sleep(0.2)
