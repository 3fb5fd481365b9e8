"""Where compiled kernels are kept: a folder named by everything that went into them.

Numba keeps a cached caller after an edit of its callee in another file, so the default cache can hold code that no
source says. Must run before numba is imported.
"""

import contextlib
import hashlib
import os
import sys
from importlib.metadata import version
from pathlib import Path

from llvmlite import binding

# What numba reads from the environment and compiles by.
_SETTINGS = ("NUMBA_CPU_NAME", "NUMBA_CPU_FEATURES", "NUMBA_OPT", "NUMBA_BOUNDSCHECK", "NUMBA_LOOP_VECTORIZE")


def describe_target() -> str:
    """The processor that code is compiled for here, and the settings that change what numba makes of it."""
    settings = "/".join(f"{name}={os.environ.get(name, '')}" for name in _SETTINGS)
    return (
        f"{sys.version_info[:2]}/{binding.get_host_cpu_name()}/{binding.get_host_cpu_features().flatten()}/{settings}"
    )


def compute_key(engine: Path) -> str:
    """Digest of everything that decides the machine code: every source of the engine, numba, LLVM, numpy, processor."""
    versions = "/".join(version(name) for name in ("numba", "llvmlite", "numpy"))
    digest = hashlib.sha256(f"{versions} {describe_target()}".encode())
    for source in sorted(engine.glob("*.py")):
        text = source.read_bytes()
        digest.update(f"{source.name} {len(text)} ".encode() + text)
    return digest.hexdigest()[:16]


def prepare_compile_cache() -> Path:
    """Set `NUMBA_CACHE_DIR` (unless the environment has it) below `HANSA_CACHE` or the user's cache folder, and put
    there what `HANSA_KERNELS` holds compiled already.
    """
    root = Path(os.environ.get("HANSA_CACHE") or Path.home() / ".cache" / "hansa")
    folder = root / "kernels" / compute_key(Path(__file__).parent.parent / "engine")
    shipped = os.environ.get("HANSA_KERNELS")
    if shipped:
        link_kernels(Path(shipped) / folder.name, folder)
    os.environ.setdefault("NUMBA_CACHE_DIR", str(folder))
    return folder


def link_kernels(shipped: Path, folder: Path) -> None:
    """Numba uses no cache that it may not write to, and an image's files are read-only: links to them, which numba
    replaces and never writes through. Nothing where the kernels were compiled for another processor.
    """
    for path in sorted(shipped.rglob("*")):
        if path.is_file():
            link = folder / path.relative_to(shipped)
            link.parent.mkdir(parents=True, exist_ok=True)
            # Another process of the same node may do the same now.
            with contextlib.suppress(FileExistsError):
                link.symlink_to(path)
