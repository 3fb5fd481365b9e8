"""What a newcomer's commands say is understood, and a command that ends without a root is not taken for an arrival."""

import sys

import pytest

from testnet import newcomer
from testnet.up import FIRST_ROOT

SAYS = "import sys, time; print({text!r}, file=sys.stderr, flush=True); time.sleep({rest_s})"


def say(text, rest_s):
    return [sys.executable, "-c", SAYS.format(text=text, rest_s=rest_s)]


def test_steps_are_read_until_the_first_root_and_then_it_is_stopped(tmp_path):
    lines = ("ok settlement chain 1.4 s", "else", "ok image a, 6 MB 30.0 s", f"ok {FIRST_ROOT} 6.2 s", "ok late 1.0 s")
    text = "\n".join(lines)
    steps = list(newcomer.watch_network(say(text, 600), tmp_path, {}))
    assert steps == [("settlement chain", 1.4), ("image a, 6 MB", 30.0), (FIRST_ROOT, 6.2)]


def test_an_end_without_a_root_is_told_with_its_last_words(tmp_path):
    with pytest.raises(newcomer.NeverArrived, match=r"no certified root[\s\S]*no free ports"):
        list(newcomer.watch_network(say("hansa testnet: no free ports", 0), tmp_path, {}))
    with pytest.raises(newcomer.NeverArrived, match="ended with 3"):
        newcomer.run_to_end([sys.executable, "-c", "raise SystemExit(3)"], tmp_path, {})
