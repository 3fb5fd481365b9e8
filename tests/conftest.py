"""Before any test imports the engine: compiled kernels come from a cache that belongs to exactly these sources."""

from validator.compilecache import prepare_compile_cache

prepare_compile_cache()
