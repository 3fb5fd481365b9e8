"""`python -m testnet.devnet`, which is also `hansa devnet`."""

import json
import sys
import time
from pathlib import Path
from typing import Annotated

import cyclopts
from cyclopts import Parameter

from testnet.devnet.plan import DEFAULT_PORT, Plan

EXIT_DONE, EXIT_FAILED, EXIT_USAGE = range(3)
CHOICE = """hansa devnet: say which of the two you mean.

  hansa devnet --single   one process without a network: seconds to start, time and prices that you move, snapshots.
                          For writing and testing bots and pages.
  hansa testnet up        four validators that agree, a settlement chain, traders. For everything about the network:
                          finality, proofs on chain, deposits and withdrawals, nodes that fail.
"""
EXAMPLES = """Examples:

  hansa devnet --single

  hansa devnet --single --with-makers

  hansa devnet --single --block-time 0 --state devnet.zip

  hansa devnet --single --record run.hansa

  hansa devnet --single --from .hansa-testnet/node0

  hansa devnet replay run.hansa --until 120
"""


app = cyclopts.App(name="hansa devnet", help="An exchange for developers on this machine.", help_epilogue=EXAMPLES)


@app.default
def devnet(
    *,
    single: Annotated[bool, Parameter(help="one process, no committee", negative="")] = False,
    host: Annotated[str, Parameter(help="where the API listens; who reaches it owns the devnet")] = "127.0.0.1",
    port: Annotated[int, Parameter(help="of the API; 0: any free one")] = DEFAULT_PORT,
    block_time: Annotated[
        float, Parameter(help="seconds between blocks without commands; 0: time stands still and moves with blocks")
    ] = 1.0,
    seed: Annotated[int, Parameter(help="of the only validator's keys and of moving prices")] = 1,
    options: Annotated[bool, Parameter(help="list futures and options beside the perpetuals")] = True,
    with_makers: Annotated[
        bool, Parameter(help="bots make a market in everything, and prices move", negative="")
    ] = False,
    state: Annotated[Path | None, Parameter(help="begin with this file if there is one; written at the end")] = None,
    dump_state: Annotated[Path | None, Parameter(help="write the state into this file at the end")] = None,
    config_out: Annotated[Path | None, Parameter(help="write URL, accounts and markets into this file as JSON")] = None,
    genesis_out: Annotated[
        Path | None, Parameter(help="write genesis.toml into this file, for who verifies certificates")
    ] = None,
    record: Annotated[Path | None, Parameter(help="write all blocks into this file, for `hansa devnet replay`")] = None,
    from_: Annotated[
        Path | None, Parameter(name="--from", help="begin with the state of a validator's folder, or of a snapshot")
    ] = None,
    genesis: Annotated[Path | None, Parameter(help="of the network that a snapshot of --from is of")] = None,
    json: Annotated[bool, Parameter(help="print URL, accounts and markets as a line of JSON", negative="")] = False,
) -> int:
    """One exchange in one process, with ten funded traders and time and prices that you move.

    The real engine, ledger and API; blocks come for every command at once, each with a certificate of a committee of
    one, which verifies like any. docs/develop.md has its own methods: dev_increaseTime, dev_setOracle, dev_snapshot ...
    """
    if not single:
        print(CHOICE, file=sys.stderr, end="")
        return EXIT_USAGE
    if not 0 <= block_time <= 60 or seed < 0:
        print("hansa devnet: --block-time is from 0 to 60 seconds, --seed not below 0", file=sys.stderr)
        return EXIT_USAGE
    if state is not None and from_ is not None and state.exists():
        print(f"hansa devnet: {state} is there already: begin with it or with --from, not with both", file=sys.stderr)
        return EXIT_USAGE
    from validator.compilecache import prepare_compile_cache

    prepare_compile_cache()
    from testnet.devnet.run import run_devnet

    plan = Plan(
        host, port, round(block_time * 1000), seed, options, with_makers, state, dump_state, config_out, genesis_out,
        record, from_, genesis,
    )  # fmt: skip
    return run_devnet(plan, json)


@app.command
def replay(
    file: Annotated[Path, Parameter(help="what `hansa devnet --single --record` wrote")],
    *,
    until: Annotated[int, Parameter(help="stop at this height; 0: at the end")] = 0,
    as_json: Annotated[bool, Parameter(name="--json", help="print JSON", negative="")] = False,
) -> int:
    """Execute a recorded run again and compare every root and every certificate.

    Exits 1 at the first block that differs, 2 for a file that is no record. A validator's folder is replayed by
    `hansa audit`.

    For example:

        hansa devnet replay run.hansa
        hansa devnet replay run.hansa --until 120 --json
    """
    from validator.compilecache import prepare_compile_cache

    prepare_compile_cache()
    from testnet.devnet.record import RecordError
    from testnet.devnet.record import replay as replay_record

    began_s = time.monotonic()
    try:
        found = replay_record(file, until)
    except (RecordError, OSError) as error:
        print(f"hansa devnet: {error}", file=sys.stderr)
        return EXIT_USAGE
    root = "0x" + found.state_root.hex()
    facts = {"height": found.height, "blocks": found.block_count, "state_root": root, "fault": found.fault}
    if as_json:
        print(json.dumps(facts))
    else:
        took_s = time.monotonic() - began_s
        print(f"{found.block_count} blocks up to height {found.height}, root {root}, in {took_s:.1f} s")
        print(found.fault or "every root and certificate is as recorded")
    return EXIT_FAILED if found.fault else EXIT_DONE


def main() -> None:
    sys.exit(app())


if __name__ == "__main__":
    main()
