"""The engine is integers only, and the same with and without the compiler."""

import os
import subprocess
import sys

import numpy as np
import pytest
from engine.kernel import apply_commands, find_account
from engine.liquidation import liquidate_accounts
from numba import njit
from numba.core.dispatcher import Dispatcher

from engine.apply import _allocate
from engine.intake import encode_commands, gather, order_actions
from engine.invariants import check_orders, check_tables
from engine.leaves import update_tree
from engine.root import list_orders
from engine.state import genesis
from engine.warm import warm
from tests.engine.blocks import START_MS, block, make_params, place, trader

CODE = """
import numpy as np
np.seterr(over="raise")
from engine.warm import warm
print(warm().hex())
"""


def test_without_the_compiler_the_root_is_the_same() -> None:
    """Plain Python runs the same kernels with overflow and bounds checks."""
    environment = {**os.environ, "NUMBA_DISABLE_JIT": "1"}
    answer = subprocess.run(
        [sys.executable, "-c", CODE], env=environment, capture_output=True, text=True, timeout=100, check=False
    )
    assert answer.returncode == 0, answer.stderr
    assert answer.stdout.strip() == warm().hex()


def kernels() -> list:
    state = genesis(make_params(), START_MS)
    made = block(state, batches=[place(trader(1), 1, 0, 1, 1)])
    intake = gather(made.batches)
    commands = encode_commands(intake)
    outputs = _allocate(state, 1)
    return [
        (apply_commands, (state.tables, outputs, commands, order_actions(made, intake), made.time_ms)),
        (liquidate_accounts, (state.tables, outputs)),
        (update_tree, (state.tables, True)),
        (check_tables, (state.tables,)),
        (check_orders, (state.tables,)),
        (find_account, (state.tables, 4, 1, 2, 3)),
        (list_orders, (state.tables, 0, np.empty(0, dtype=np.int64))),
    ]


@pytest.mark.slow
def test_no_kernel_computes_with_floats() -> None:
    """The optimised code of every compiled function, for every signature in use, names no floating-point type."""
    for kernel, arguments in kernels():
        njit(kernel.py_func)(*arguments)  # a fresh compile registers the signatures of its callees
    modules = [module for name, module in sorted(sys.modules.items()) if name.startswith("engine.")]
    functions = {id(item): item for module in modules for item in vars(module).values() if isinstance(item, Dispatcher)}
    checked: set = set()
    while waiting := [(f, s) for f in functions.values() for s in f.signatures if (f, s) not in checked]:
        for function, signature in waiting:
            fresh = njit(function.py_func)
            fresh.compile(signature)
            code = fresh.inspect_llvm(signature)
            lines = [line for line in code.splitlines() if " double" in line or " float" in line]
            assert lines == [], function.__name__
            checked.add((function, signature))
    names = {function.__name__ for function, _ in checked}
    assert {"match_order", "compute_demand", "_hash_leaf", "keccak_into", "link_order"} <= names
