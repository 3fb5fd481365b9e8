"""`hansa follow`: prints what `validator.follow` has verified."""

import json
import signal
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import trio

from consensus.messages import Commitment, compute_domain
from net.public.host import parse_address
from net.public.messages import CheckpointNote, PublicError
from validator.causes import find_first_cause
from validator.config import ConfigError, address_bytes, load_network
from validator.follow import CertifiedHeader, ChainBroken, Follower
from validator.light import LightChain
from validator.logs import begin_logs

EXIT_BROKEN = 1
EXIT_USAGE = 2
HEAD = f"{'height':>9} {'epoch':>5} {'view':>9}  {'time':<23}  {'signed by':<16} {'hash':<18} state root"


@dataclass(slots=True)
class Printer:
    """One line a block, on stdout; ends the run after `count_max` of them, if that is not 0."""

    is_json: bool
    count_max: int
    scope: trio.CancelScope
    count: int = 0

    def on_block(self, certified: CertifiedHeader) -> None:
        if self.count_max and self.count == self.count_max:
            return  # a whole range came at once
        header, signers = certified.header, certified.signers
        commitment = Commitment.decode(header.commitment)
        if self.is_json:
            line = json.dumps(
                {
                    "height": header.height, "epoch": header.epoch, "view": header.view, "time_ms": header.timestamp_ms,
                    "proposer": header.proposer, "signers": list(signers), "hash": "0x" + header.hash().hex(),
                    "state_root": "0x" + commitment.state_root.hex(),
                    "account_root": "0x" + commitment.account_root.hex(),
                }
            )  # fmt: skip
        else:
            time = datetime.fromtimestamp(header.timestamp_ms / 1000, UTC).strftime("%Y-%m-%d %H:%M:%S.%f")[:-3]
            names = " ".join(map(str, signers))
            hash_, root = header.hash().hex()[:16], commitment.state_root.hex()[:16]
            line = f"{header.height:>9} {header.epoch:>5} {header.view:>9}  {time:<23}  {names:<16} 0x{hash_} 0x{root}"
        print(line, flush=True)
        self.count += 1
        if self.count == self.count_max:
            self.scope.cancel()

    def on_checkpoint(self, note: CheckpointNote) -> None:
        """To people only: it is a member's word, and the settlement chain tells it better."""
        print(
            f"checkpoint: member {note.number} says that the contract has height {note.height} "
            f"(settlement chain's block {note.chain_block})",
            file=sys.stderr,
        )


def run_follow(genesis: Path, bootstrap: Sequence[str], from_height: int, count_max: int, is_json: bool) -> int:
    """0 after a signal or `count_max` blocks, 1 when something certified is wrong, 2 for the user's mistake."""
    try:
        network = load_network(genesis)
        for text in bootstrap:
            parse_address(text)
    except (ConfigError, PublicError) as error:
        print(f"hansa: {error}", file=sys.stderr)
        return EXIT_USAGE
    begin_logs("warning", "console")
    domain = compute_domain(network.chain_id, address_bytes(network.contract))
    scope = trio.CancelScope()
    printer = Printer(is_json, count_max, scope)
    follower = Follower(
        LightChain(domain, network.founders()), network.digest(), bootstrap, printer.on_block, printer.on_checkpoint,
        from_height,
    )  # fmt: skip
    if not is_json:
        print(HEAD, file=sys.stderr)
    exit_code = 0
    try:
        trio.run(_main, follower, scope)
    except* ChainBroken as group:
        print(f"hansa: {find_first_cause(group)}", file=sys.stderr)
        exit_code = EXIT_BROKEN
    return exit_code


async def _main(follower: Follower, scope: trio.CancelScope) -> None:
    with scope:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(follower.run)
            with trio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals:
                async for _ in signals:
                    nursery.cancel_scope.cancel()
                    return
