"""`python -m testnet.compile`: compiles the engine into its cache, once, before several validators start."""

import sys

from validator.compilecache import prepare_compile_cache


def main() -> int:
    prepare_compile_cache()
    # Numba reads where its cache is when it is imported.
    from validator.warming import warm_everything

    warm_everything()
    return 0


if __name__ == "__main__":
    sys.exit(main())
