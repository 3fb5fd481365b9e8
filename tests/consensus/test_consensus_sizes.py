"""Every committee size from 1 to 100, with fake signatures: it agrees, with f members down too; observers follow."""

import pytest

from consensus.core import Core
from consensus.effects import Send, Sign
from consensus.events import PeerConnected, TimerFired
from consensus.leaders import compute_leaders
from consensus.messages import fault_bound, quorum
from testnet.sim.fleet import Fleet, Host, make_committee, make_config

LARGE = (31, 64, 100)


def run(members: int, height: int, down: int = 0) -> Fleet:
    numbers = list(range(members))
    fleet = Fleet(numbers, make_committee(1, numbers), config=make_config(min_interval_ms=100))
    fleet.down = [number * members // max(down, 1) for number in range(down)]
    fleet.run_until_height(height, limit_ms=30_000)
    return fleet


def check(fleet: Fleet) -> None:
    longest = max(fleet.up(), key=lambda host: len(host.chain)).chain
    assert [block.header.height for block in longest] == list(range(1, len(longest) + 1))
    for host in fleet.up():
        core = host.holder.current.core
        assert host.chain == longest[: len(host.chain)]
        assert all(size <= bound for size, bound in core.sizes().values())
        assert not core.is_halted


@pytest.mark.parametrize("members", range(1, 17))
def test_small_committees_agree_with_and_without_faults(members: int) -> None:
    check(run(members, 8))
    check(run(members, 4, fault_bound(members)))


@pytest.mark.parametrize("members", [size for size in range(17, 101) if size not in LARGE])
def test_every_size_agrees_on_a_block(members: int) -> None:
    check(run(members, 1))


@pytest.mark.parametrize("members", LARGE)
def test_large_committees_agree_for_some_views(members: int) -> None:
    check(run(members, 3))


@pytest.mark.parametrize("members", [4, 7, 34])
def test_below_a_quorum_nothing_is_final(members: int) -> None:
    numbers = list(range(members))
    down = numbers[: members - quorum(members) + 1]
    fleet = Fleet(numbers, make_committee(1, numbers), down=down)
    fleet.run(2_000)
    assert all(not host.chain for host in fleet.up())


@pytest.mark.parametrize("members", [1, 4, 34])
def test_observers_follow_verify_execute_and_never_speak(members: int) -> None:
    observers = [members, members + 1]
    numbers = list(range(members))
    fleet = Fleet([*numbers, *observers], make_committee(1, numbers), config=make_config(min_interval_ms=100))
    spoken: list[Host] = []
    transmit = fleet.transmit

    def listen(host: Host, number: int, data: bytes) -> None:
        spoken.append(host)
        transmit(host, number, data)

    fleet.transmit = listen  # type: ignore[method-assign]
    fleet.run_until_height(4)
    check(fleet)
    for number in observers:
        host = fleet.hosts[number]
        assert host.holder.current.core.config.me is None
        assert len(host.bodies) >= 4  # checked and executed here
        assert (host.signed, host in spoken) == ([], False)
    assert spoken


def test_an_observer_stays_silent_whatever_happens() -> None:
    core = Core(make_config(member_count=4), compute_leaders(b"seed", 1, 4))
    effects = core.start(0)
    for name in ("leader", "advance", "retry", "propose", "forward", "collect"):
        effects += core.handle(10_000, TimerFired((name, 1)))
    effects += core.handle(20_000, TimerFired(("standstill", 0)))
    effects += core.handle(20_000, PeerConnected(1))
    assert not [effect for effect in effects if isinstance(effect, Send | Sign)]
