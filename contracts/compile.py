"""Compiles the contracts of `src/` into `artifacts/`. For developers: needs vyper, which the network itself does not.

`python -m contracts.compile` rewrites the artefacts; with `--check` it only tells whether they are fresh (exit
status 1 if not).
"""

import argparse
import json
import sys
from pathlib import Path

CONTRACTS = ("Council", "Evidence", "Payouts", "Registry", "Settlement", "TestUSDC")
SOURCE_FOLDER = Path(__file__).parent / "src"
ARTIFACT_FOLDER = Path(__file__).parent / "artifacts"


def compile_artifact(name: str) -> str:
    """The artefact's text. Raises `SystemExit` with advice if vyper is missing."""
    try:
        import vyper
        from vyper.cli.vyper_compile import compile_files
        from vyper.compiler.settings import Settings
    except ImportError as error:
        raise SystemExit("vyper is not installed: install the development dependencies (uv sync)") from error
    path = SOURCE_FOLDER / f"{name}.vy"
    # Metadata at the end of the bytecode would make it depend on more than the source.
    outputs = compile_files(
        [path], ["abi", "bytecode", "bytecode_runtime"], paths=[SOURCE_FOLDER], no_bytecode_metadata=True,
        settings=Settings(),
    )  # fmt: skip
    (output,) = outputs.values()
    artifact = {"contract": name, "compiler": f"vyper {vyper.__version__}", **output}
    return json.dumps(artifact, indent=1) + "\n"


def stale_artifacts() -> list[str]:
    """Names of the contracts whose committed artefact differs from a fresh one."""
    stale = []
    for name in CONTRACTS:
        path = ARTIFACT_FOLDER / f"{name}.json"
        if not path.exists() or path.read_text() != compile_artifact(name):
            stale.append(name)
    return stale


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing, fail if an artefact is stale")
    if parser.parse_args().check:
        stale = stale_artifacts()
        if stale:
            print(f"stale: {', '.join(stale)}; run `python -m contracts.compile`", file=sys.stderr)
        return 1 if stale else 0
    ARTIFACT_FOLDER.mkdir(exist_ok=True)
    for name in CONTRACTS:
        (ARTIFACT_FOLDER / f"{name}.json").write_text(compile_artifact(name))
    return 0


if __name__ == "__main__":
    sys.exit(main())
