"""A second of `make fuzz-wire`, and that it would find something."""

import random

from tests.net.fuzz_wire import Target, list_targets, run, try_once


def test_no_decoder_raises_anything_but_its_own_error() -> None:
    tried, accepted, findings = run(1.0, seed=1)
    assert findings == []
    assert set(tried) == {target.name for target in list_targets()} and sum(accepted.values())


def test_a_decoder_that_raises_something_else_is_found() -> None:
    def careless(data: bytes) -> int:
        return data[40]

    target = Target("careless", lambda draw: draw.randbytes(41), careless, (ValueError,))
    draw = random.Random(1)
    assert any("IndexError" in try_once(target, draw)[1] for _ in range(50))
