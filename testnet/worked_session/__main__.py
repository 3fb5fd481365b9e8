"""Print the worked session, or write page and pictures, or check that the committed ones are fresh.

Runs the kernels as plain Python unless told otherwise, so that nothing is compiled for a page; the bytes are the same.
"""

import argparse
import os
import sys
from pathlib import Path

os.environ.setdefault("NUMBA_DISABLE_JIT", "1")

from testnet.worked_session.verdict import make_files

DOCS = Path(__file__).resolve().parents[2] / "docs"


def main() -> int:
    parser = argparse.ArgumentParser(prog="testnet.worked_session", description=__doc__)
    parser.add_argument("--write", action="store_true", help="write docs/worked-session.md and its pictures")
    parser.add_argument(
        "--check", action="store_true", help="fail unless the committed files are what would be written"
    )
    options = parser.parse_args()
    files = make_files()
    if options.write:
        (DOCS / "img").mkdir(exist_ok=True)
        for name, text in files.items():
            (DOCS / name).write_text(text)
    elif options.check:
        stale = [
            name for name, text in files.items() if not (DOCS / name).exists() or (DOCS / name).read_text() != text
        ]
        for name in stale:
            print(f"docs/{name} is not what the engine does now: run make docs", file=sys.stderr)
        return int(bool(stale))
    else:
        sys.stdout.write(files["worked-session.md"])
    return 0


if __name__ == "__main__":
    sys.exit(main())
