"""Everything that an operator can get wrong about a node, asked at once, with the cure of each thing that is wrong.

It reads and dials, and changes nothing: the node may run or not. What one question cannot find out is its own failure
and stops no other; only without genesis.toml or config.toml there is nothing more to ask.
"""

from collections.abc import Callable, Iterator
from pathlib import Path

from validator.config import ConfigError, Home, load_network, load_node
from validator.doctor_folder import FOLDER_QUESTIONS
from validator.doctor_machine import MACHINE_QUESTIONS
from validator.doctor_network import NETWORK_QUESTIONS
from validator.join_checks import Applicant, Check, ask_all


def examine(folder: Path) -> Iterator[Check]:
    """In the order in which one thing depends on another. Blocks, for seconds where somebody is away."""
    home = Home(folder)
    files = [
        _check_file("genesis", lambda: f"network {load_network(home.genesis).digest().hex()[:16]}"),
        _check_file("config", lambda: f"validator {load_node(home.config).index}"),
    ]
    yield from files
    if all(check.is_ok for check in files):
        yield from ask_all(Applicant(home), (*FOLDER_QUESTIONS, *MACHINE_QUESTIONS, *NETWORK_QUESTIONS))


def _check_file(name: str, read: Callable[[], str]) -> Check:
    try:
        return Check(name, True, read())
    except ConfigError as error:
        return Check(name, False, str(error))
