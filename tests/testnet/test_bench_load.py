"""The load of `make bench-net`: who sends what, that it is signed, and that it never fills the book."""

import numpy as np
import pytest

from engine.commands import CANCEL, CANCEL_ALL, PLACE, POST_ONLY, Command, is_well_formed, recover_signer
from testnet.bench_net.accounts import TRADERS_PER_CLIENT, derive_traders
from testnet.bench_net.signing import sign_messages
from testnet.bench_net.traffic import PLACED_PER_CYCLE, schedule

SEPARATOR = bytes(range(32))


def test_takers_send_three_messages_of_twenty_and_everybody_gets_his_turn() -> None:
    traders = derive_traders(0, [0, 2])
    turns = schedule(traders, 20 * TRADERS_PER_CLIENT)
    taking = sum(not traders[at].is_maker for at in turns.tolist())
    assert taking == 3 * TRADERS_PER_CLIENT
    assert set(turns.tolist()) == set(range(TRADERS_PER_CLIENT))
    rest = schedule(traders, 20 * TRADERS_PER_CLIENT - 7, first=7)
    assert np.array_equal(turns[7:], rest)


def test_every_message_is_well_formed_signed_by_its_owner_and_has_a_new_nonce() -> None:
    traders = derive_traders(1, [0])
    seen = set()
    for actions_per_message, first in ((1, 0), (20, 200), (100, 400)):
        signed = sign_messages(traders, 200, actions_per_message, SEPARATOR, 1_000, first)
        for record in signed.records:
            command = Command.decode(record.tobytes())
            assert is_well_formed(command) and recover_signer(command, SEPARATOR) == command.owner
            seen.add((command.owner, command.subaccount, command.nonce))
    assert len(seen) == 600


@pytest.mark.parametrize(("actions_per_message", "cycles"), [(1, 1), (20, 1), (100, 2)])
def test_whatever_a_maker_places_it_cancels_in_a_later_message(actions_per_message: int, cycles: int) -> None:
    maker = next(trader for trader in derive_traders(0, [0]) if trader.is_maker)
    live: dict[int, int] = {}
    for message in range(4_000 // actions_per_message):
        for action in maker.draw(actions_per_message, actions_per_message):
            if action["kind"] == PLACE:
                assert action["time_in_force"] == POST_ONLY
                live[int(action["client_id"])] = message
            elif action["kind"] == CANCEL:
                assert live.pop(int(action["client_id"]), -1) < message
            elif action["kind"] == CANCEL_ALL:
                live.clear()
        assert len(live) <= cycles * PLACED_PER_CYCLE + actions_per_message
    assert live
