"""How this process gets large blocks of memory: always from the system, page by page.

The engine's tables have their full size from the start and count on zeroed pages that nobody has touched costing
nothing (`engine/memory.py`). The GNU allocator keeps that promise only at first: once a large block was given back, it
raises its limit and serves later ones from its own heap, where each must be zeroed and stays resident. A copy of the
state then costs tens of milliseconds and sixty megabytes. Setting the limit keeps it where it is.
"""

import ctypes
import sys

_M_MMAP_THRESHOLD = -3  # from <malloc.h>
MAPPED_BYTES_MIN = 1 << 20


def keep_large_blocks_mapped() -> bool:
    """Whether the allocator took the limit; False where there is no GNU allocator, which only costs speed."""
    if sys.platform != "linux":
        return False
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    return mallopt is not None and mallopt(_M_MMAP_THRESHOLD, MAPPED_BYTES_MIN) == 1
