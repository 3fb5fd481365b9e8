"""`hansa supervise`: a node that comes back after a crash, and changes its version when the time has come."""

import sys
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

EXIT_CONFIG = 2


def supervise(
    *,
    home: Annotated[Path, Parameter(help="The node's folder")],
    set_: Annotated[tuple[str, ...], Parameter(name="--set", help="name=value, as `hansa start` takes it")] = (),
) -> int:
    """Run `hansa start`, again after a crash, and a prepared version of it from its height on.

    A node that ended itself (exit code 2 or 3) is left alone. A version in DIR/upgrades/NAME takes over when the height
    in its plan.toml is final, the contract takes its engine, and it replays the stored blocks to the same roots; it is
    taken back if it does not follow the next ones.

    For example:

        hansa supervise --home ~/.hansa
    """
    from validator.config import ConfigError, Home, load_node
    from validator.logs import begin_logs
    from validator.supervising import run_supervisor

    try:
        node = load_node(Home(home).config, set_)
        begin_logs(node.log_level, node.log_format)
        return run_supervisor(Home(home), set_)
    except ConfigError as error:
        print(f"hansa: {error}", file=sys.stderr)
        return EXIT_CONFIG
