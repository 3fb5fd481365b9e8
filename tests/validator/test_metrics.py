"""What Prometheus is told is what the node itself says, and telling it never stops the node."""

import re
import socket

import httpx
import pytest
import trio
from prometheus_client.parser import text_string_to_metric_families

from tests.validator.test_peer_frames import HOST, make_keys, make_network, running
from validator.histogram import Histogram
from validator.metric_reference import list_families
from validator.metrics import NodeMetrics

WAIT_S_MAX = 30


@pytest.fixture
async def alone(tmp_path):
    """A validator that agrees with itself, and a port for its page."""
    keys = [make_keys()]
    async with running(tmp_path / "node", make_network(keys), keys) as (node, _):
        with trio.fail_after(WAIT_S_MAX):
            while node.executor.final.height < 3:
                await trio.sleep(0.05)
        yield node


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return probe.getsockname()[1]


async def read_page(port: int) -> dict:
    """Families by name, once the page is there."""
    with trio.fail_after(WAIT_S_MAX):
        while True:
            try:
                answer = await trio.to_thread.run_sync(httpx.get, f"http://{HOST}:{port}/metrics")
                return {family.name: family for family in text_string_to_metric_families(answer.text)}
            except httpx.TransportError:
                await trio.sleep(0.1)


def value(families, name, **labels) -> float:
    (found,) = [sample.value for sample in families[name].samples if sample.labels == labels]
    return found


async def test_the_page_says_what_the_node_says(alone, nursery, monkeypatch):
    monkeypatch.setattr("validator.metrics.BEGIN_S", 0)
    port, before = free_port(), alone.service.status()
    nursery.start_soon(NodeMetrics(alone, alone._disk, alone._signer, alone._clocks).run, HOST, port)
    page = await read_page(port)
    after = alone.service.status()
    assert before.height <= value(page, "hansa_consensus_height") <= after.height
    assert value(page, "hansa_consensus_validators") == 1 and value(page, "hansa_consensus_is_member") == 1
    assert value(page, "hansa_consensus_missing_validators") == 0
    for name in ("hansa_engine_block_seconds", "hansa_fsync_seconds", "hansa_consensus_finality_seconds"):
        counts = [sample.value for sample in page[name].samples if sample.name == name + "_bucket"]
        assert counts == sorted(counts) and counts[-1] >= 3, name
    assert {family.labels["index"] for family in page["hansa_oracle_age_seconds"].samples} == {"BTC", "ETH"}
    assert value(page, "hansa_build_info", **page["hansa_build_info"].samples[0].labels) == 1
    assert value(page, "hansa_settlement_endpoint_up", endpoint="127.0.0.1:1") == 0
    assert value(page, "hansa_state_root_mismatch", seat="0") == 0
    assert "hansa_clock_offset_seconds" not in page  # nobody else was heard
    assert "hansa_escape_seconds_left" not in page  # nobody could be asked
    assert all(re.match("hansa_|process_|python_", name) for name in page)
    listed = {family.name.removesuffix("_total"): family for family in list_families()}
    for name in filter(lambda name: name.startswith("hansa_"), page):
        assert listed[name].kind == page[name].type
        labels = {label for sample in page[name].samples for label in sample.labels} - {"le"}
        assert labels <= set(listed[name].labels), name


async def test_a_port_that_is_taken_costs_the_page_and_not_the_validator(alone, nursery, monkeypatch, caplog):
    monkeypatch.setattr("validator.metrics.BEGIN_S", 0)
    with socket.socket() as taken:
        taken.bind((HOST, 0))
        taken.listen()
        await NodeMetrics(alone, alone._disk, alone._signer, alone._clocks).run(HOST, taken.getsockname()[1])
    assert "metrics.unavailable" in caplog.text
    height = alone.executor.final.height
    with trio.fail_after(WAIT_S_MAX):
        while alone.executor.final.height <= height:
            await trio.sleep(0.05)


def test_a_histogram_counts_up_to_and_with_its_bounds():
    seen = Histogram((1.0, 2.0))
    for item in (0.5, 1.0, 1.5, 9.0):
        seen.observe(item)
    seen.observe(2.0, 3)
    assert list(seen.buckets()) == [("1.0", 2), ("2.0", 6), ("+Inf", 7)]
    assert seen.total == 18.0
