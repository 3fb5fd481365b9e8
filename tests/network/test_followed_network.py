"""A real network's public side: a host beside a validator, and a follower who believes neither."""

import json
import subprocess
import sys

import pytest

from testnet.public_hosts import start_public_hosts
from tests.network.harness import LocalNetwork, wait_until

BLOCK_COUNT = 25


@pytest.mark.slow
def test_a_follower_prints_the_blocks_that_the_validators_certified(network: LocalNetwork) -> None:
    ports = network._ports.choose(31_500, 2)
    addresses = start_public_hosts(network.folder, ports, network.processes)
    logs = [network.folder / f"node{index}" / "public.txt" for index in range(2)]
    for log in logs:
        wait_until(lambda log=log: "public.feed number=" in log.read_text(), 60, f"{log} is linked to its validator")
    command = [
        sys.executable,
        "-m",
        "validator",
        "follow",
        "--json",
        "--blocks",
        str(BLOCK_COUNT),
        "--from-height",
        "3",
    ]
    command += ["--genesis", str(network.folder / "node0" / "genesis.toml"), "--bootstrap", addresses[1]]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert ended.returncode == 0, ended.stderr
    blocks = [json.loads(line) for line in ended.stdout.splitlines()]
    assert [block["height"] for block in blocks] == list(range(3, 3 + BLOCK_COUNT))
    for block in (blocks[0], blocks[-1]):
        assert len(block["signers"]) >= 3
        assert network.header(2, block["height"])["header_hash"] == block["hash"]
