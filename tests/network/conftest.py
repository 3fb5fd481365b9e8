"""One network for all tests of this folder: it takes a while to come up."""

from collections.abc import Iterator

import pytest

from tests.network.harness import LocalNetwork


@pytest.fixture(scope="session")
def network(tmp_path_factory) -> Iterator[LocalNetwork]:
    with LocalNetwork(tmp_path_factory.mktemp("network")) as running:
        yield running
