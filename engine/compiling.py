"""How kernels are compiled: by four decorators, without reference counting, and each line of code once.

Kernels work on arrays that the shell owns and make none of their own, so counting references inside them protects
nothing. It is not free either: each count is an atomic operation, and in the order book they took three quarters of the
time. Without it, numba refuses to compile whatever would allocate, which is the proof that a kernel does not.

Numba optimises and translates every function with everything it calls, so the innermost ones are done again for each
caller on each level above: minutes for an engine. Here only entry points are optimised, each together with all kernels
below it; a kernel's own code waits, as LLVM's intermediate form, until an entry point asks for it (`_Library`). When
Python calls a kernel, which tests and views do, an entry point is made of it first.
"""

import ctypes
from collections.abc import Callable
from typing import Any, TypeVar

from numba import _dynfunc, config, njit  # type: ignore[attr-defined]
from numba.core import codegen, cpu
from numba.core.registry import CPUDispatcher

Function = TypeVar("Function", bound=Callable[..., Any])

_INNER = {"no_cpython_wrapper": True, "no_cfunc_wrapper": True}


_kernel_names: dict[str, None] = {}


def _compile_inner(function: Function, **options: Any) -> Function:
    """What other kernels call, lowered when one of them is compiled; with the compiler switched off, the function."""
    if config.DISABLE_JIT:  # type: ignore[attr-defined]
        return function
    _kernel_names[function.__qualname__] = None
    dispatcher: Any = _Kernel(function, targetoptions={"nopython": True, **_INNER, **options})
    return dispatcher  # type: ignore[no-any-return]


def kernel(function: Function) -> Function:
    """Compile a function that other kernels call."""
    return _compile_inner(function, _nrt=False)


def allocating(function: Function) -> Function:
    """A kernel that makes arrays of its own: it counts references."""
    return _compile_inner(function)


def inlined(function: Function) -> Function:
    """Compile a small function into whatever calls it."""
    return _compile_inner(function, _nrt=False, forceinline=True)


def entry_point(function: Function) -> Function:
    """Compile a function that the shell calls, and keep the machine code on disk for the next start."""
    compiled: Function = njit(_nrt=False, cache=True)(function)  # type: ignore[call-overload]
    return compiled


def _has_wrapper(library: Any) -> bool:
    """Whether Python can call what a library defines."""
    return any(
        item.name.startswith("_ZN7cpython") for item in library._final_module.functions if not item.is_declaration
    )


class _Library(codegen.JITCodeLibrary):
    """The code of one function. A kernel's stays as it was lowered."""

    _is_kernel = False

    def finalize(self) -> None:
        self._raise_if_finalized()
        self._is_kernel = self.name in _kernel_names and not _has_wrapper(self)
        if self._is_kernel:
            self._finalized = True
            return
        below: list[_Library] = []
        self._collect(below)
        self._linking_libraries = below
        super().finalize()

    def _optimize_functions(self, ll_module: Any) -> None:
        """Not one by one: the entry point's pass over everything does the same."""
        ll_module.data_layout = self._codegen._data_layout

    def _optimize_final_module(self) -> None:
        """Once. Numba's other pass before prepares the removal of reference counts."""
        if not any(library._is_kernel for library in self._linking_libraries):
            super()._optimize_final_module()
            return
        passes, builder = self._codegen._module_pass_manager()
        passes.run(self._final_module, builder)

    def _collect(self, below: list["_Library"]) -> None:
        """All libraries that this one needs, each once."""
        for library in self._linking_libraries:
            if library not in below:
                below.append(library)
                if library._is_kernel:
                    library._collect(below)


_twins: dict[str, Any] = {}
_make_executable = cpu.CPUContext.get_executable


class _Kernel(CPUDispatcher):
    """A kernel for other kernels. Called from Python, it has an entry point made of itself first."""

    def __call__(self, *arguments: Any, **named: Any) -> Any:
        function = self.py_func
        name = f"{function.__module__}.{function.__qualname__}"
        if name not in _twins:
            _twins[name] = njit(_nrt=self.targetoptions.get("_nrt", True), cache=True)(function)  # type: ignore[call-overload]
        return _twins[name](*arguments, **named)


def _get_executable(context: Any, library: Any, description: Any, environment: Any) -> Any:
    """The compiled wrapper for Python; of a kernel something that is never called."""
    library._ensure_finalized()
    if not library._is_kernel:
        return _make_executable(context, library, description, environment)
    address = ctypes.cast(ctypes.pythonapi.PyErr_BadInternalCall, ctypes.c_void_p).value
    module = description.lookup_module()
    return _dynfunc.make_function(module, description.qualname, "", address, environment, (library,))


if not config.DISABLE_JIT:  # type: ignore[attr-defined]
    codegen.JITCPUCodegen._library_class = _Library
    cpu.CPUContext.get_executable = _get_executable  # type: ignore[method-assign]
