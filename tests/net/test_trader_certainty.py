"""What the gateway takes for proven: a quorum's certificate of the block, or of the first descendant that has one."""

from typing import Any, cast

import pytest
from certified_answers import BLOCKS, CertifiedAnswers
from certified_chain import DOMAIN, make_keyring

from net.client.protocol import Call, HansaError
from net.gateway.errors import ApiError
from net.trader.certainty import Prover
from net.trader.pool import Pool
from net.trader.upstream import NodeRefused
from validator.light import LightChain
from validator.verifier import ChainVerifier

KEYRINGS = (make_keyring(4), make_keyring(7, epoch=2))
ASK = "public/x_get_certificate"


class Nodes(CertifiedAnswers):
    """As the gateway asks them."""

    async def call(self, method: str, params: dict[str, Any]) -> Any:
        try:
            return self.answer(Call(method, params))
        except HansaError as error:
            raise NodeRefused({"code": 13020, "message": error.message, "data": {"code": error.code}}) from None


def make_prover(nodes: Nodes) -> Prover:
    return Prover(cast(Pool, nodes), ChainVerifier(LightChain(DOMAIN, KEYRINGS[0].seats)))


def final(height: int) -> dict[str, Any]:
    return {"x_height": height, "x_is_final": True}


async def test_a_block_is_proven_by_its_own_certificate_and_asked_for_once() -> None:
    nodes = Nodes(KEYRINGS[:1])
    prover = make_prover(nodes)
    for _ in range(2):
        assert (await prover.check(final(3)))["x_certificate"] == "proven"
    assert nodes.asked == [(ASK, 3)]


async def test_a_block_without_one_is_proven_by_that_of_a_descendant() -> None:
    nodes = Nodes(KEYRINGS[:1])
    prover = make_prover(nodes)
    for height in (1, 2, 3):
        assert (await prover.check(final(height)))["x_certificate"] == "proven"
    assert nodes.asked == [(ASK, 1), (ASK, 2), (ASK, 3)]


async def test_a_committee_that_changed_is_followed() -> None:
    nodes = Nodes(KEYRINGS)
    prover = make_prover(nodes)
    for height in (BLOCKS + 3, BLOCKS + 6, 3):
        assert (await prover.check(final(height)))["x_certificate"] == "proven"
    assert nodes.asked == [(ASK, BLOCKS + 3), ("public/x_get_committee", 2), (ASK, BLOCKS + 6), (ASK, 3)]


async def test_a_node_that_has_the_block_a_moment_later_is_waited_for(autojump_clock: object) -> None:
    nodes = Nodes(KEYRINGS[:1])
    nodes.late = 3
    assert (await make_prover(nodes).check(final(6)))["x_certificate"] == "proven"


@pytest.mark.parametrize("height", [1, 2])
async def test_a_descendant_of_another_block_proves_nothing(height: int) -> None:
    nodes = Nodes(KEYRINGS[:1])
    nodes.headers[height] = nodes.headers[height]._replace(timestamp_ms=9)
    with pytest.raises(ApiError) as refused:
        await make_prover(nodes).check(final(1))
    assert refused.value.fault.number == 905


async def test_what_no_node_certifies_is_not_proven(autojump_clock: object) -> None:
    with pytest.raises(ApiError) as refused:
        await make_prover(Nodes(KEYRINGS[:1])).check(final(BLOCKS))
    assert refused.value.fault.number == 905


async def test_answers_that_are_not_final_are_not_judged() -> None:
    nodes = Nodes(KEYRINGS[:1])
    assert await make_prover(nodes).check({"x_height": 1, "x_is_final": False}) == {
        "x_height": 1, "x_is_final": False,
    }  # fmt: skip
    assert nodes.asked == []
