"""`hansa_devnet` for tests of bots: one devnet a session, and every test finds it as the first one did.

# conftest.py
pytest_plugins = ["testnet.devnet.pytest_plugin"]

# test_bot.py
def test_my_bot_survives_a_crash(hansa_devnet):
    bot = MyBot(hansa_devnet.url, key=hansa_devnet.accounts[0].key_text)
    ...
    hansa_devnet.set_oracle("BTC", "45000")
"""

from collections.abc import Iterator

import pytest

from testnet.devnet.handle import Handle, open_handle


@pytest.fixture(scope="session")
def hansa_devnet_session() -> Iterator[Handle]:
    """The one of the session, as the tests leave it."""
    with open_handle() as handle:
        yield handle


@pytest.fixture
def hansa_devnet(hansa_devnet_session: Handle) -> Iterator[Handle]:
    """What a test does to it is gone afterwards."""
    name = hansa_devnet_session.snapshot()
    yield hansa_devnet_session
    hansa_devnet_session.revert(name)
