"""Results are found by nonce and by client id, also by a node that has started again."""

from pathlib import Path

import numpy as np

from engine.commands import ACTION, CANCEL, MESSAGE, PLACE
from tests.validator.chainlet import MARK_TICKS, sign
from tests.validator.test_ledger import Teller, seal
from validator.command_keys import CommandKeys
from validator.ledger import Ledger
from validator.stats import Stats


def columns(*rows: tuple[int, int, int]) -> list[tuple[np.ndarray, np.ndarray]]:
    """A batch of messages with one action each: kind, nonce, client id."""
    messages, actions = np.zeros(len(rows), MESSAGE), np.zeros(len(rows), ACTION)
    messages["count"] = 1
    for at, (kind, nonce, client_id) in enumerate(rows):
        messages["nonce"][at], actions["kind"][at], actions["client_id"][at] = nonce, kind, client_id
    return [(messages, actions)]


def test_an_account_finds_its_own_and_the_oldest_are_forgotten() -> None:
    keys = CommandKeys(4)
    keys.add(columns((PLACE, 1, 5), (PLACE, 1, 5), (CANCEL, 2, 5)), np.array([64, 65, 64]), 100)
    assert keys.find_nonce(64, 1) == [100] and keys.find_nonce(65, 1) == [101]
    assert keys.find_client_id(64, 5) == [100], "a cancel names a label and carries none"
    assert keys.find_client_id(64, 0) == [] == keys.find_nonce(66, 1)
    keys.add(columns((PLACE, 3, 6), (PLACE, 1, 7)), np.array([64, 64]), 200)
    assert keys.find_nonce(64, 1) == [201] and keys.find_client_id(64, 6) == [200]
    keys.add(columns(*((PLACE, nonce, 0) for nonce in range(10, 20))), np.full(10, 64), 300)
    assert keys.find_nonce(64, 3) == [] and keys.find_nonce(64, 19) == [309]


def test_a_node_that_starts_again_still_knows(tmp_path: Path) -> None:
    teller = Teller(tmp_path)
    command = sign(0, PLACE, 44, price_ticks=MARK_TICKS - 5, size_lots=10, client_id=9)
    batch = seal(0, 1, [command.encode()])
    teller.store.put_batch(batch.batch_hash, 0, 1, batch.batch.encode())
    teller.run(batch)
    places = teller.ledger.keys.find_nonce(64, 44)
    assert len(places) == 1
    again = Ledger(teller.store, Stats(lambda: 0), teller.chain.executor.final.state)
    assert again.keys.find_nonce(64, 44) == again.keys.find_client_id(64, 9) == places
