"""The walks of `make fuzz-contracts`, a few steps long, where forge is there already; nothing is fetched for a test."""

import pytest

from tests.foundry import run


@pytest.mark.slow
@pytest.mark.skipif(run.find_tools(may_fetch=False) is None, reason="no forge: make fuzz-contracts fetches it by npm")
def test_forge_finds_nothing_and_what_is_planted() -> None:
    assert run.fuzz(runs=2, depth=30, seed=1) == 0
