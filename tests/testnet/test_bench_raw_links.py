"""The measuring stick for libp2p: bare TCP links carry the same frames between the same committees."""

from contextlib import AsyncExitStack

import trio

from net.committee import CommitteeLimits, Inbound, MemberAddress, PeerUp
from net.identity import derive_network_key
from net.link import HelloState
from net.wire import BlockRequest
from testnet.bench_net.raw_links import open_committee
from testnet.ports import PortLease

SEEDS = (bytes([1]) * 32, bytes([2]) * 32)


async def test_two_members_link_over_bare_tcp_and_hear_each_other() -> None:
    lease = PortLease()
    ports = lease.choose(24_600, 2)
    members = [
        MemberAddress(index, derive_network_key(seed), "127.0.0.1", port)
        for index, (seed, port) in enumerate(zip(SEEDS, ports, strict=True))
    ]
    with trio.fail_after(20):
        async with AsyncExitStack() as stack:
            committees = [
                await stack.enter_async_context(
                    open_committee(
                        seed=seed, me=index, members=members, network_id=bytes(32), listen_host="127.0.0.1",
                        listen_port=ports[index], hello=lambda: HelloState(7, 8), limits=CommitteeLimits(),
                    )
                )
                for index, seed in enumerate(SEEDS)
            ]  # fmt: skip
            for index, committee in enumerate(committees):
                assert await committee.events.receive() == PeerUp(1 - index, 7, 8)
            committees[0].broadcast(BlockRequest(bytes(32)))
            assert await committees[1].events.receive() == Inbound(0, BlockRequest(bytes(32)))
            assert committees[1].statistics()[0].connected
    lease.close()
