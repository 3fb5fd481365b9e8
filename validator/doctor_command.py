"""`hansa doctor`: one checklist of everything about a node that can be wrong."""

import json
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

EXIT_FAILED = 1


def doctor(
    *,
    home: Annotated[Path, Parameter(help="The node's folder; the node may run or not")],
    as_json: Annotated[bool, Parameter(name="--json", help="Print JSON", negative="")] = False,
) -> int:
    """Check everything about a node that can be wrong, and tell the cure of what is.

    Files and their modes, keys, store, guard, journal, snapshots; disk, memory, compiler, ports; the settlement chain,
    its endpoints, gas, clock, prices, peers. It changes nothing. The exit status is 1 if anything is wrong.

    For example:

        hansa doctor --home ~/.hansa
        hansa doctor --home ~/.hansa --json
    """
    from validator.doctor import examine

    wrong, checks = 0, []
    for check in examine(home):
        wrong += not check.is_ok
        checks.append(asdict(check))
        if not as_json:
            print(f"{'ok' if check.is_ok else 'NO':4}{check.name:12}{check.words}", flush=True)
    if as_json:
        print(json.dumps({"checks": checks}, indent=2))
    elif wrong:
        print(f"hansa: {wrong} of {len(checks)} need attention", file=sys.stderr)
    return EXIT_FAILED if wrong else 0
