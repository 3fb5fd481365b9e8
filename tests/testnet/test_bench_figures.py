"""What `make bench-net` makes of counters: a goal can be missed, and a rate that is not kept up is called so."""

from collections import Counter
from dataclasses import replace

from testnet.bench_net.figures import Clients, Figures, compute_figures, read_percentile
from testnet.bench_net.nodes import Counted, subtract
from testnet.bench_net.profiler import parse_stacks
from testnet.bench_net.rounds import KINDS
from testnet.bench_net.table import judge

KIND = KINDS["20"]
BEFORE = Counted(
    1_000, 5_000_000, 100, Counter({0: 10}), Counter({20: 3}), 10, 5, 1_000, 3, Counter({"loop": 1.0}), 400
)


def after(commands: int, finality_ms: int) -> Counted:
    """Ten seconds and a hundred blocks later."""
    return Counted(
        11_000, 15_000_000, 200, Counter({0: 10 + commands, 308: 5}), Counter({20: 3, finality_ms: 100}), 1_510, 905,
        1_000_000, 3, Counter({"loop": 9.0}), 410,
    )  # fmt: skip


def figures(rates: tuple[int, int], sent: int, load: str = "full", finality_ms: int = 30) -> Figures:
    nodes = [subtract(after(10 * rate - 5, finality_ms), BEFORE) for rate in rates]
    clients = Clients(sent, 0, 0, {}, 1.0, [40.0, 50.0])
    return compute_figures("here", KIND.name, load, nodes, clients, KIND.actions_per_message, 10.0)


def test_rates_are_of_the_slowest_node_and_costs_of_one() -> None:
    found = figures((25_000, 26_000), sent=12_500)
    assert (found.offered_per_s, found.executed_per_s) == (25_000, 25_000)
    assert found.is_sustained
    assert (found.blocks_per_s, found.frames_per_block_and_link, found.finality_p50_ms) == (10, 5, 30)
    assert round(found.node_cpu_us_per_command, 1) == 39.2
    assert found.codes == {0: 249_995, 308: 5}


def test_a_rate_that_is_not_kept_up_meets_no_goal() -> None:
    assert not figures((24_000, 26_000), sent=12_500).is_sustained
    rows = [figures((25_000, 25_000), 12_500), figures((25_000, 25_000), 12_800)]
    assert [goal.is_met for goal in judge(rows, "here")] == [True, False]


def test_finality_is_judged_at_half_load_only() -> None:
    rows = [figures((12_500,) * 2, 6_250, load="half", finality_ms=ms) for ms in (60, 61, 201)]
    assert [goal.is_met for goal in judge(rows, "here")] == [True, True, False, True, False, False]
    assert judge([replace(row, setup="elsewhere") for row in rows], "here") == []


def test_percentiles_of_a_histogram() -> None:
    counts = Counter({10: 98, 300: 1, 20: 1})
    assert [read_percentile(counts, percent) for percent in (50, 98, 99, 100)] == [10, 10, 20, 300]
    assert read_percentile(Counter(), 50) == 0


def test_a_sample_belongs_to_the_innermost_module_that_has_a_group() -> None:
    profile = parse_stacks(
        "x",
        "run (/x/trio/_core/_run.py:1);beat (/x/validator/node.py:5);encode (/x/consensus/messages.py:7) 3\n"
        "run (/x/trio/_core/_run.py:1);put (/x/validator/store.py:9) 1\n"
        "run (/x/threading.py:1);WorkerThread._work (/x/trio/_core/_thread_cache.py:9) 50\n",
    )
    assert profile.samples == 4
    assert profile.groups == {"agreement: consensus": 3, "history": 1}
    assert profile.functions == {"encode (consensus/messages.py)": 3, "put (validator/store.py)": 1}
