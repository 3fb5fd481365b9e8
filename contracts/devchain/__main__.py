"""`python -m contracts.devchain`: runs the development chain until SIGTERM or SIGINT."""

import argparse
import signal
import sys
import threading
from pathlib import Path

from contracts.devchain.chain import Chain
from contracts.devchain.rpc import Rpc
from contracts.devchain.server import Server, Ticker


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m contracts.devchain", description=__doc__)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=8545, help="0 takes a free one")
    parser.add_argument("--data", type=Path, help="folder of the chain's state; without it nothing is kept")
    parser.add_argument("--block-time", type=float, default=1.0, help="seconds between empty blocks; 0 mines none")
    parser.add_argument("--chain-id", type=int, default=31337)
    parser.add_argument("--finality", type=int, default=1, help="blocks between `latest` and `finalized`")
    options = parser.parse_args()

    # Set first: a signal that arrives during the start must still end the process cleanly.
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    try:
        chain = Chain(options.data, options.chain_id)
        rpc = Rpc(chain, options.finality)
        server = Server(rpc, options.host, options.port)
    except (OSError, ValueError) as error:
        print(f"devchain: {error}", file=sys.stderr)
        return 1
    threading.Thread(target=server.serve_forever, name="devchain-http", daemon=True).start()
    ticker = Ticker(rpc, options.block_time) if options.block_time > 0 else None
    if ticker is not None:
        ticker.start()
    print(
        f"devchain ready at http://{options.host}:{server.server_address[1]} chain {chain.chain_id}"
        f" block {chain.head.block_number}",
        flush=True,
    )
    stop.wait()
    if ticker is not None:
        ticker.stop()
    server.shutdown()
    server.server_close()
    chain.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
