"""How kernels are compiled: three decorators, all without reference counting.

Kernels work on arrays that the shell owns and make none of their own, so counting references inside them protects
nothing. It is not free either: each count is an atomic operation, and in the order book they took three quarters of the
time. Without it, numba refuses to compile whatever would allocate, which is the proof that a kernel does not.
"""

from collections.abc import Callable
from typing import Any, TypeVar

from numba import njit

Function = TypeVar("Function", bound=Callable[..., Any])


def kernel(function: Function) -> Function:
    """Compile a function that other kernels call. What it costs to compile is paid once per types of arguments."""
    compiled: Function = njit(_nrt=False)(function)  # type: ignore[call-overload]
    return compiled


def inlined(function: Function) -> Function:
    """Compile a small function into whatever calls it."""
    compiled: Function = njit(_nrt=False, forceinline=True)(function)  # type: ignore[call-overload]
    return compiled


def entry_point(function: Function) -> Function:
    """Compile a function that the shell calls, and keep the machine code on disk for the next start."""
    compiled: Function = njit(_nrt=False, cache=True)(function)  # type: ignore[call-overload]
    return compiled
