"""The simulator: virtual time, one heap, the real node, faults drawn from one seed."""

from validator.compilecache import prepare_compile_cache

prepare_compile_cache()  # whatever of the simulator is imported: before the engine is
