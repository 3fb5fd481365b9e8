"""How this process gets memory: large blocks always from the system, page by page, and the collector leaves alone what
stays for ever.

The engine's tables have their full size from the start and count on zeroed pages that nobody has touched costing
nothing, so they are mapped one by one (`engine/memory.py`). For everything else that is large the GNU allocator keeps
that promise only at first: once a large block was given back, it raises its limit and serves later ones from its own
heap, where each must be zeroed and stays resident. Setting the limit keeps it where it is. Huge pages break the
promise, too: the first byte of a table would zero two megabytes, and the system stops to find them in one piece.
"""

import ctypes
import gc
import sys

_M_MMAP_THRESHOLD = -3  # from <malloc.h>
_PR_SET_THP_DISABLE = 41  # from <linux/prctl.h>
MAPPED_BYTES_MIN = 1 << 20


def keep_large_blocks_mapped() -> bool:
    """Whether the allocator took the limit; False where there is no GNU allocator, which only costs speed."""
    if sys.platform != "linux":
        return False
    library = ctypes.CDLL(None)
    library.prctl(_PR_SET_THP_DISABLE, 1, 0, 0, 0)
    mallopt = getattr(library, "mallopt", None)
    return mallopt is not None and mallopt(_M_MMAP_THRESHOLD, MAPPED_BYTES_MIN) == 1


def spare_what_stays() -> None:
    """Half a million objects of compiler and libraries never become garbage: looking through them again and again stops
    everything for a tenth of a second each time. A start, with the collector off, leaves no garbage worth a look
    before; a node that ended in this process does.
    """
    if gc.isenabled():
        gc.collect()
    gc.freeze()
    gc.enable()
