"""Before any test imports the engine: compiled kernels come from a cache that belongs to exactly these sources."""

from hypothesis import settings

from validator.compilecache import prepare_compile_cache

prepare_compile_cache()
# An example may be the first to load a kernel, or run on a busy machine: its time says nothing about the code.
settings.register_profile("hansa", deadline=None)
settings.load_profile("hansa")
