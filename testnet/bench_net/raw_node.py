"""`python -m testnet.bench_net.raw_node start --home HOME`: a validator whose links are bare TCP, to be measured beside
the real one. No configuration leads here.
"""

import sys

from validator.compilecache import prepare_compile_cache
from validator.left_out import leave_out


def main() -> int:
    # Both before what they are about is imported.
    prepare_compile_cache()
    leave_out()
    from testnet.bench_net import raw_links
    from validator import node
    from validator.__main__ import app

    vars(node)["open_committee"] = raw_links.open_committee
    return int(app())


if __name__ == "__main__":
    sys.exit(main())
