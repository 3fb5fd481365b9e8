"""`hansa public`: reads its files and runs until a signal ends it."""

import logging
import os
import secrets
import signal
import sys
from pathlib import Path

import trio

from consensus.messages import compute_domain
from validator.causes import find_first_cause
from validator.config import ConfigError, Home, address_bytes, load_network, load_public
from validator.logs import begin_logs, name_process
from validator.public import PublicNode, WrongNetwork

EXIT_CONFIG = 2
PUBLIC_KEY = "public.key"
PUBLIC_TOML = "public.toml"

log = logging.getLogger("hansa.public")


def run_public(path: Path) -> int:
    """0 after a signal, 2 for the operator's mistake."""
    try:
        network, config = load_network(Home(path).genesis), load_public(path / PUBLIC_TOML)
        seed = load_public_seed(path / PUBLIC_KEY)
    except ConfigError as error:
        print(f"hansa: {error}", file=sys.stderr)
        return EXIT_CONFIG
    begin_logs(config.log_level, config.log_format)
    name_process(chain=network.name)
    domain = compute_domain(network.chain_id, address_bytes(network.contract))
    exit_code = 0
    try:
        trio.run(_main, PublicNode(path, network, config, seed, domain))
    except* (OSError, WrongNetwork) as group:
        print(f"hansa: {find_first_cause(group)}", file=sys.stderr)
        exit_code = EXIT_CONFIG
    return exit_code


def load_public_seed(path: Path) -> bytes:
    """The host's own identity, made at the first start: it speaks to strangers, so it is none of the validator's keys.
    Raises `ConfigError`.
    """
    if not path.exists():
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w") as handle:
            handle.write(secrets.token_hex(32) + "\n")
    try:
        seed = bytes.fromhex(path.read_text().strip())
    except ValueError:
        seed = b""
    if len(seed) != 32:
        raise ConfigError(f"{path} must hold 64 hexadecimal digits; remove it to have another one made")
    return seed


async def _main(node: PublicNode) -> None:
    async with trio.open_nursery() as nursery:
        nursery.start_soon(node.run)
        with trio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals:
            async for number in signals:
                log.info("process.stopping reason=%s", signal.Signals(number).name)
                nursery.cancel_scope.cancel()
                return
