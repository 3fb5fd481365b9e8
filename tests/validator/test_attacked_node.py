"""The attackers of `make bench-hostile`, each for a moment against a running validator: they do what they say, and it
goes on. What it costs the validator is the campaign's business.
"""

from collections import Counter
from pathlib import Path

import pytest
import trio
from test_peer_frames import TRAITOR, make_keys, make_network, running

from testnet.hostile.attacker import ATTACKS
from testnet.hostile.phases import PHASES, Phase
from testnet.hostile.scene import Scene

ATTACK_S_MAX = 20.0
ON_COMMITTEE_PORT = [phase for phase in PHASES if phase.attack and not phase.attack.startswith(("api", "gossip"))]


@pytest.mark.parametrize("phase", ON_COMMITTEE_PORT, ids=lambda phase: phase.attack)
async def test_an_attack_happens_and_the_validator_goes_on(phase: Phase, tmp_path: Path) -> None:
    keys = [make_keys() for _ in range(TRAITOR + 1)]
    network = make_network(keys)
    async with running(tmp_path / "node", network, keys) as (node, address):
        scene = Scene((address,), (), network.digest(), keys[TRAITOR], node.domain)
        done: Counter[str] = Counter()

        def count(name: str, times: int) -> None:
            done[name] += times

        def is_done() -> bool:
            has_happened = all(done[name] for name in phase.proofs)
            is_banned = node._committee.statistics()[TRAITOR].banned_for_s > 0
            return has_happened and (is_banned or not 0 < phase.ban_s_max < ATTACK_S_MAX)

        async with trio.open_nursery() as nursery:
            nursery.start_soon(ATTACKS[phase.attack], scene, count)
            with trio.move_on_after(ATTACK_S_MAX):
                while not is_done():
                    await trio.sleep(0.05)
            nursery.cancel_scope.cancel()
        assert is_done(), done
