"""What is warmed really runs: a governor's actions that are refused would compile nothing."""

import engine.governance as governance
import engine.simulate as simulate
from validator.warming import warm_everything, warm_governance


def test_the_governors_actions_are_accepted() -> None:
    assert warm_governance() == [0, 0, 0]


def test_no_kernel_of_governance_is_left_to_the_first_listing() -> None:
    warm_everything()
    kernels = [governance._open, governance._set_phase, governance._halt, governance._notify]
    assert all(len(kernel.signatures) == 1 for kernel in kernels)
    questions = [simulate._move_and_value, simulate.compute_greeks, simulate.value_scenarios]
    assert all(len(kernel.signatures) == 1 for kernel in questions)
