"""All checkpoints of a contract are read, in order, as web3 would read them."""

from collections.abc import Iterator
from dataclasses import replace

import pytest
from settlement_world import HeaderFields, World
from trader_desk import served

from contracts import checkpoint_log
from contracts.chain_reader import ask_over_http
from contracts.records import ChainError


@pytest.fixture
def url(world: World) -> Iterator[str]:
    with served(world) as url:
        yield url


def test_every_checkpoint_is_read_once_whatever_the_pages(
    world: World, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for height in (3, 8, 9):
        world.post(replace(HeaderFields(), height=height, state_root=bytes([height]) * 32))
        world.pass_time(5)
    ask, contract = ask_over_http(url), world.deployment.settlement
    expected = [world.contract.checkpoint_at(height) for height in (3, 8, 9)]
    assert list(checkpoint_log.read_checkpoints(ask, contract)) == expected
    monkeypatch.setattr(checkpoint_log, "PAGE_BLOCKS", 2)
    assert list(checkpoint_log.read_checkpoints(ask, contract)) == expected


def test_no_contract_and_no_answer_are_told(world: World, url: str) -> None:
    with pytest.raises(ChainError, match="wrong address"):
        list(checkpoint_log.read_checkpoints(ask_over_http(url), "0x" + "12" * 20))
    with pytest.raises(ChainError, match="did not answer"):
        list(checkpoint_log.read_checkpoints(ask_over_http("http://127.0.0.1:1"), world.deployment.settlement))
