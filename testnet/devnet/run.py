"""A devnet from a plan to the end of the process: found or loaded, warmed, served, kept."""

import json
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import trio
from rich.console import Console

from net.gateway.app import GatewayConfig, serve
from net.gateway.limits import Limits
from testnet.devnet.banner import describe, show
from testnet.devnet.current import make_backend
from testnet.devnet.devnet import Devnet
from testnet.devnet.fork import ForkError, fork
from testnet.devnet.founding import INSURANCE_OWNER, INSURANCE_QUOTE, TRADER_QUOTE, found
from testnet.devnet.images import Image, ImageError, load_image, save_image
from testnet.devnet.methods import make_methods
from testnet.devnet.plan import TRADER_COUNT, Plan
from testnet.devnet.record import Recorder
from testnet.devnet.wallet import derive_wallets
from validator.allocator import keep_large_blocks_mapped, spare_what_stays
from validator.causes import find_first_cause
from validator.config import ConfigError, save_toml
from validator.logs import begin_logs
from validator.store import StoreError

EXIT_DONE, EXIT_USAGE = 0, 2
# Whoever calls it is its owner: nobody has to be kept from taking too much.
LIMITS = Limits(
    requests_per_s=20_000,
    requests_burst=40_000,
    reads_per_s=20_000,
    reads_burst=40_000,
    handshakes_per_s=20_000,
    bad_endings_max=1_000_000,
    shutdown_s=0.1,
)


class PlanError(Exception):
    """A devnet cannot be made like that; the message says what to change."""


def run_devnet(plan: Plan, is_json: bool) -> int:
    """Until a signal. 0, or 2 for a plan that cannot be kept."""
    keep_large_blocks_mapped()
    begin_logs("warning", "console")
    exit_code = EXIT_DONE
    try:
        trio.run(_main, plan, is_json)
    except* (PlanError, ImageError, ForkError, ConfigError, StoreError, OSError) as group:
        print(f"hansa devnet: {find_first_cause(group)}", file=sys.stderr)
        exit_code = EXIT_USAGE
    return exit_code


async def _main(plan: Plan, is_json: bool) -> None:
    console, began_s = Console(stderr=True), time.monotonic()
    with console.status("starting") as status:
        async with open_devnet(plan, status.update) as (devnet, url):
            status.stop()
            facts = describe(devnet, plan, url)
            if plan.config_out is not None:
                plan.config_out.write_text(json.dumps(facts, indent=1) + "\n")
            print(json.dumps(facts) if is_json else show(facts, devnet, plan), flush=True)
            console.print(f"ready in {time.monotonic() - began_s:.1f} s; Ctrl-C ends it", style="dim")
            with trio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals:
                async for _ in signals:
                    return


@asynccontextmanager
async def open_devnet(plan: Plan, tell: Callable[[str], None]) -> AsyncIterator[tuple[Devnet, str]]:
    """A devnet that serves, and its URL. `tell` hears what is being done. Raises `PlanError`, `ImageError`,
    `ForkError`, `ConfigError`, `OSError`.
    """
    folder = Path(tempfile.mkdtemp(prefix="hansa-devnet-"))
    try:
        if plan.has_makers and not plan.block_interval_ms:
            raise PlanError("--with-makers needs time that runs: leave --block-time 0 out")
        tell("reading" if plan.source or plan.state else "founding")
        image, is_new = choose_image(plan, folder)
        recorder = None if plan.record is None else Recorder(plan.record, image.founding)
        devnet = Devnet(
            folder / "chains", image, block_interval_ms=plan.block_interval_ms, is_moving=plan.has_makers,
            recorder=recorder,
        )  # fmt: skip
        if plan.genesis_out is not None:
            save_toml(plan.genesis_out, image.founding.network)
        try:
            async with _serve(plan, devnet, is_new, tell) as url:
                yield devnet, url
        finally:
            _keep(plan, devnet)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def choose_image(plan: Plan, folder: Path) -> tuple[Image, bool]:
    """What to begin with, and whether its traders have no money yet. Raises as `open_devnet`."""
    if plan.state is not None and plan.state.exists():
        return load_image(plan.state, folder / "loaded"), False
    if plan.source is not None:
        return fork(plan.source, plan.genesis, plan.seed), True
    founding = found(plan.seed, time.time_ns() // 1_000_000, plan.has_options)
    return Image(founding, None, founding.state.time_ms, {}), True


@asynccontextmanager
async def _serve(plan: Plan, devnet: Devnet, is_new: bool, tell: Callable[[str], None]) -> AsyncIterator[str]:
    tell("loading the engine (the first time it is compiled, for about a minute)")
    if is_new:
        await devnet.deposit(list_deposits())
    async with trio.open_nursery() as nursery:
        backend = make_backend(lambda: devnet.chain.service)
        config = GatewayConfig(plan.host, plan.port, LIMITS, methods=make_methods(devnet))
        try:
            urls: list[str] = await nursery.start(serve, backend, config)
        except* OSError as group:
            cause = find_first_cause(group)
            raise PlanError(f"{plan.host}:{plan.port}: {cause}: choose another --port, or 0 for any") from None
        nursery.start_soon(devnet.run)
        if plan.has_makers:
            tell("letting makers in")
            from testnet.devnet.makers import run_makers

            await nursery.start(run_makers, devnet, urls[0], plan.seed)
        spare_what_stays()
        yield urls[0]
        nursery.cancel_scope.cancel()


def list_deposits() -> dict[bytes, int]:
    """Who has money at the beginning: the insurance fund and the ten traders; quote units."""
    return {INSURANCE_OWNER: INSURANCE_QUOTE} | {
        wallet.address: TRADER_QUOTE for wallet in derive_wallets(0, TRADER_COUNT)
    }


def _keep(plan: Plan, devnet: Devnet) -> None:
    """Write what the plan wants kept, and close."""
    for path in {plan.state, plan.dump_state} - {None}:
        assert path is not None
        save_image(path, devnet.take_image())
    devnet.close()
