"""`python -m tests.foundry.run`: forge drives the committed bytecode of the contracts with random calls.

Forge and a Solidity compiler are no dependencies of anything else here: what is on the PATH is used, else npm fetches
both into `.cache/foundry`, and where there is no npm either this says so and ends well. The harness is Solidity (src/,
test/); what is tested is the Vyper bytecode of contracts/artifacts.
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Annotated

import cyclopts
from cyclopts import Parameter

FOLDER = Path(__file__).resolve().parent
CACHE = FOLDER.parents[1] / ".cache" / "foundry"
PACKAGES = ("@foundry-rs/forge@1.7.1", "solc@0.8.37")
NO_FORGE = "forge is not on the PATH and there is no npm to fetch it with: the contracts were not fuzzed by it"


def find_tools(may_fetch: bool) -> tuple[str, dict[str, str]] | None:
    """Path of forge, and what its environment needs; None, with the reason said, where it cannot be had."""
    modules = CACHE / "node_modules"
    forge = shutil.which("forge") or str(modules / ".bin" / "forge")
    solc = shutil.which("solc")
    if not Path(forge).exists() or (solc is None and not (modules / "solc").is_dir()):
        npm = shutil.which("npm") if may_fetch else None
        if npm is None:
            print(NO_FORGE, file=sys.stderr)
            return None
        CACHE.mkdir(parents=True, exist_ok=True)
        print(f"fetching {', '.join(PACKAGES)} into {CACHE}", file=sys.stderr)
        command = [npm, "install", "--no-audit", "--no-fund", "--prefix", str(CACHE), *PACKAGES]
        if subprocess.run(command, stdout=sys.stderr, check=False).returncode != 0:
            print(f"npm could not fetch them: {NO_FORGE}", file=sys.stderr)
            return None
        forge, solc = str(modules / ".bin" / "forge"), None
    return forge, {"NODE_PATH": str(modules), "FOUNDRY_SOLC": solc or str(FOLDER / "solc")}


def fuzz(
    *,
    runs: Annotated[int, Parameter(help="sequences of calls, each from a new network")] = 32,
    depth: Annotated[int, Parameter(help="calls in a sequence")] = 128,
    seed: Annotated[int | None, Parameter(help="repeat the calls of an earlier time")] = None,
) -> int:
    """Exit code 0 if every invariant held, or forge cannot be had here."""
    tools = find_tools(may_fetch=True)
    if tools is None:
        return 0
    forge, needed = tools
    environment = os.environ | needed | {
        "FOUNDRY_INVARIANT_RUNS": str(runs), "FOUNDRY_INVARIANT_DEPTH": str(depth),
    }  # fmt: skip
    command = [forge, "test", "--root", str(FOLDER), *([] if seed is None else ["--fuzz-seed", str(seed)])]
    return subprocess.run(command, env=environment, check=False).returncode


if __name__ == "__main__":
    sys.exit(cyclopts.App(default_command=fuzz)())
