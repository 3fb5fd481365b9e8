"""One network for all tests of a file: it takes a while to come up, and some files end it."""

from collections.abc import Iterator

import pytest

from tests.network.harness import LocalNetwork


@pytest.fixture(scope="module")
def network(tmp_path_factory) -> Iterator[LocalNetwork]:
    with LocalNetwork(tmp_path_factory.mktemp("network")) as running:
        yield running
