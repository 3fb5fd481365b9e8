"""A devnet inside another program: in a thread of its own, for tests of bots and for scripts.

with open_handle() as devnet:
    client = devnet.client(0)
    client.buy("BTC-PERPETUAL", "0.1")
    devnet.increase_time(hours=8)
"""

import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import trio

from net.client import Client
from testnet.devnet.plan import TRADER_COUNT, Plan
from testnet.devnet.wallet import Wallet, derive_wallets
from validator.compilecache import prepare_compile_cache

# Time stands still, and only perpetuals are listed: half the time a block, and nothing happens unasked.
TEST_PLAN = Plan(port=0, block_interval_ms=0, has_options=False)
# Commands stay good wherever time is moved.
EXPIRY_S = 100 * 365 * 86_400
ANSWER_S_MAX = 600.0


@dataclass(frozen=True, slots=True, eq=False)
class Handle:
    """What a test holds. `accounts`: the ten funded ones; `genesis`: for `validator.verifier.open_verifier`."""

    url: str
    accounts: list[Wallet]
    genesis: Path

    def client(self, number: int = 0, **account: Any) -> Client:
        """The SDK for one of the accounts; `account` as for `Client`."""
        client = Client(self.url, **{"key": self.accounts[number].key_text} | account)
        client.operations.signer.expiry_s = EXPIRY_S
        return client

    def call(self, method: str, **params: Any) -> Any:
        """Any method of the API, the devnet's own among them."""
        with Client(self.url, timeout_s=ANSWER_S_MAX) as client:
            return client.call(method, **params)

    def mine(self, blocks: int = 1) -> dict[str, Any]:
        found: dict[str, Any] = self.call("dev_mine", blocks=blocks)
        return found

    def increase_time(self, seconds: int = 0, *, minutes: int = 0, hours: int = 0, days: int = 0) -> dict[str, Any]:
        whole_s = seconds + 60 * (minutes + 60 * (hours + 24 * days))
        found: dict[str, Any] = self.call("dev_increaseTime", seconds=whole_s)
        return found

    def set_oracle(self, underlying: str, price_usd: str) -> dict[str, Any]:
        found: dict[str, Any] = self.call("dev_setOracle", underlying=underlying, price=price_usd)
        return found

    def set_balance(self, owner: str, amount_usdc: str, subaccount: int = 0) -> dict[str, Any]:
        found: dict[str, Any] = self.call("dev_setBalance", owner=owner, subaccount=subaccount, amount=amount_usdc)
        return found

    def snapshot(self) -> str:
        name: str = self.call("dev_snapshot")
        return name

    def revert(self, name: str) -> None:
        self.call("dev_revert", id=name)


class _Thread:
    """Runs a devnet until it is told to end."""

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._is_ready = threading.Event()
        self._error: BaseException | None = None
        self._end: tuple[trio.lowlevel.TrioToken, trio.CancelScope] | None = None
        self.url = ""
        self._thread = threading.Thread(target=self._run, name="hansa-devnet", daemon=True)

    def start(self) -> None:
        """Returns when it serves. Raises what kept it from that."""
        self._thread.start()
        self._is_ready.wait()
        if self._error is not None:
            raise self._error

    def _run(self) -> None:
        try:
            trio.run(self._main)
        except BaseException as error:
            self._error = error
            self._is_ready.set()

    async def _main(self) -> None:
        # Only now: numba reads where its cache is when it is imported.
        from testnet.devnet.run import open_devnet

        with trio.CancelScope() as scope:
            async with open_devnet(self._plan, lambda _: None) as (_, self.url):
                self._end = trio.lowlevel.current_trio_token(), scope
                self._is_ready.set()
                await trio.sleep_forever()

    def stop(self) -> None:
        """Raises what ended it before."""
        if self._end is not None and self._thread.is_alive():
            token, scope = self._end
            token.run_sync_soon(scope.cancel)
        self._thread.join()
        if self._error is not None:
            raise self._error


@contextmanager
def open_handle(plan: Plan = TEST_PLAN) -> Iterator[Handle]:
    """A devnet of its own, for as long as the block lasts."""
    prepare_compile_cache()
    with tempfile.TemporaryDirectory(prefix="hansa-devnet-") as folder:
        genesis = plan.genesis_out or Path(folder) / "genesis.toml"
        thread = _Thread(replace(plan, genesis_out=genesis))
        thread.start()
        try:
            yield Handle(thread.url, derive_wallets(0, TRADER_COUNT), genesis)
        finally:
            thread.stop()
