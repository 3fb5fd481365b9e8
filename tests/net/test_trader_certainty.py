"""What the gateway takes for proven: a quorum's certificate of the block, or of the first descendant that has one."""

from typing import Any, cast

import pytest
from certified_chain import DOMAIN, Chain, make_keyring

from consensus.messages import Certificate, Header
from net.gateway import present
from net.gateway.backend import FinalisedHeader
from net.gateway.errors import ApiError
from net.trader.certainty import Certainty
from net.trader.pool import Pool
from net.trader.upstream import NodeRefused
from validator.light import Forged, LightChain

KEYS = make_keyring(4)
EVERY = 3  # blocks to a certificate of one's own


class Answers:
    """What nodes answer about a chain in which every third block has a certificate of its own."""

    def __init__(self, height: int = 7) -> None:
        self.chain = Chain(KEYS)
        for _ in range(height):
            self.chain.grow()
        self.headers = {block.header.height: block.header for block in self.chain.blocks}
        self.asked: list[int] = []
        self.late = 0  # how often the node is asked before it knows the block

    async def call(self, method: str, params: dict[str, Any]) -> dict[str, Any]:
        assert method == "public/x_get_certificate"
        height = params["height"]
        self.asked.append(height)
        certified = -(-height // EVERY) * EVERY
        if certified not in self.headers or self.late > 0:
            self.late -= 1
            raise NodeRefused({"code": 10000, "message": "not_found", "data": {"reason": "not_found"}})
        return present.certificate(FinalisedHeader(self.headers[height], self.chain.certificate(certified)))


def make_certainty(answers: Answers) -> Certainty:
    light = LightChain(DOMAIN, KEYS.seats)

    def judge(header: Header, certificate: Certificate) -> None:
        try:
            light.verify(certificate)
        except Forged as error:
            raise ValueError(str(error)) from None

    return Certainty(cast(Pool, answers), judge)


def final(height: int) -> dict[str, Any]:
    return {"x_height": height, "x_is_final": True}


async def test_a_block_is_proven_by_its_own_certificate_and_asked_for_once() -> None:
    answers = Answers()
    certainty = make_certainty(answers)
    for _ in range(2):
        assert (await certainty.check(final(3)))["x_certificate"] == "proven"
    assert answers.asked == [3]


async def test_a_block_without_one_is_proven_by_that_of_a_descendant() -> None:
    answers = Answers()
    certainty = make_certainty(answers)
    for height in (1, 2, 3):
        assert (await certainty.check(final(height)))["x_certificate"] == "proven"
    assert answers.asked == [1, 2, 3]


async def test_a_node_that_has_the_block_a_moment_later_is_waited_for() -> None:
    answers = Answers()
    answers.late = 3
    assert (await make_certainty(answers).check(final(6)))["x_certificate"] == "proven"


@pytest.mark.parametrize("height", [1, 2])
async def test_a_descendant_of_another_block_proves_nothing(height: int) -> None:
    answers = Answers()
    answers.headers[height] = answers.headers[height]._replace(timestamp_ms=9)
    with pytest.raises(ApiError) as refused:
        await make_certainty(answers).check(final(1))
    assert refused.value.fault.number == 905


async def test_what_no_node_certifies_is_not_proven(autojump_clock: object) -> None:
    with pytest.raises(ApiError) as refused:
        await make_certainty(Answers()).check(final(7))
    assert refused.value.fault.number == 905


async def test_answers_that_are_not_final_are_not_judged() -> None:
    answers = Answers()
    assert await make_certainty(answers).check({"x_height": 1, "x_is_final": False}) == {
        "x_height": 1, "x_is_final": False,
    }  # fmt: skip
    assert answers.asked == []
