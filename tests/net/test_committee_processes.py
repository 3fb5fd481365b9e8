"""A member in a process of its own that is stopped, continued, killed and started again under the same identity."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from test_committee import FAST, make_members, make_seed, next_event, open_member, until

from net.committee import MemberAddress, PeerDown

ROOT = Path(__file__).parent.parent.parent
CHILD = 1
CHILD_SOURCE = """
import ast, sys, trio
from net.committee import CommitteeLimits, Inbound, MemberAddress, open_committee
from net.link import HelloState, LinkLimits

async def main(seed, network_id, members):
    async with open_committee(
        seed=seed, me=1, members=[MemberAddress(*member) for member in members], network_id=network_id,
        listen_host="127.0.0.1", hello=lambda: HelloState(1, 1),
        limits=CommitteeLimits(link=LinkLimits(heartbeat_s=0.1, dead_after_s=1.0)),
    ) as committee:
        async for event in committee.events:
            if isinstance(event, Inbound):
                committee.send(event.peer, event.frame)

trio.run(main, *ast.literal_eval(sys.argv[1]))
"""


@contextmanager
def start_child(members: list[MemberAddress]) -> Iterator[subprocess.Popen]:
    arguments = (make_seed(CHILD), bytes([9]) * 32, [(m.index, m.network_key, m.host, m.port) for m in members])
    child = subprocess.Popen(
        [sys.executable, "-c", CHILD_SOURCE, repr(arguments)], cwd=ROOT, stderr=subprocess.PIPE, text=True
    )
    try:
        yield child
    finally:
        child.kill()
        child.wait()
        errors = child.stderr.read()
        child.stderr.close()
    assert errors == "", "the library writes to stderr"


@pytest.mark.slow
async def test_stop_continue_kill_and_start_again() -> None:
    """Members 0 and 2 are here, so that the child is dialed by one and dials the other."""
    members = make_members(3)
    async with open_member(members, 0) as low, open_member(members, 2) as high:

        def linked() -> bool:
            return CHILD in low.peers() and CHILD in high.peers()

        def unlinked() -> bool:
            return CHILD not in low.peers() and CHILD not in high.peers()

        with start_child(members) as child:
            await until(linked, 30)
            os.kill(child.pid, signal.SIGSTOP)
            assert await until(unlinked) < FAST.link.dead_after_s + 1
            os.kill(child.pid, signal.SIGCONT)
            assert await until(linked) < 5
            os.kill(child.pid, signal.SIGKILL)
            assert await until(unlinked) < 1
        with start_child(members):
            await until(linked, 30)
            assert low.statistics()[CHILD].links == 3
            assert low.statistics()[2].links == 1
        assert (await next_event(low, PeerDown)).reason.startswith("silent for 1 s")
        assert (await next_event(low, PeerDown)).reason
