"""Notices: what happened in a block that is nobody's order. A row of `Outputs.notices` each, in order of execution.

What subject and values mean is said where a notice is written; `engine.tables` numbers the kinds.
"""

from engine.compiling import kernel
from engine.tables import NOTICE_COUNT, Number, Outputs, Tables


@kernel
def notify(
    t: Tables,
    out: Outputs,
    kind: Number,
    subject: Number,
    value_a: Number,
    value_b: Number,
    value_c: Number,
    value_d: Number,
) -> None:
    """Append one notice."""
    count = t.counters[NOTICE_COUNT]
    row = out.notices[count]
    row["kind"] = kind
    row["subject"] = subject
    row["value_a"] = value_a
    row["value_b"] = value_b
    row["value_c"] = value_c
    row["value_d"] = value_d
    t.counters[NOTICE_COUNT] = count + 1
