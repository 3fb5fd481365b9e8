"""What taking, sealing and checking orders costs a node: `make bench-ingress`.

A gateway with its ingress in this process, a client in another; figures are CPU time of this process, everything that
a message needs until it waits for a batch included: WebSocket, decoding, the signature, the rules, the receipt. A
message that is not taken, or a receipt that does not hold, ends with exit code 1.
"""

import json
import os
import sys
from pathlib import Path

from validator.compilecache import prepare_compile_cache

RESULTS = Path("build/results/bench-ingress.json")


def main() -> int:
    """0, or 1 when something was refused."""
    prepare_compile_cache()
    from tests.validator.bench_ingress_node import run

    try:
        rows = run()
    except* ValueError as refused:
        sys.exit(f"bench-ingress: {refused.exceptions[0]}")
    RESULTS.parent.mkdir(parents=True, exist_ok=True)
    load = [round(value, 1) for value in os.getloadavg()]
    RESULTS.write_text(json.dumps({"load": load, "rows": rows}, indent=1) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
