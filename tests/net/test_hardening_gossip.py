"""A public host between an honest follower and one attacker: whatever arrives, the host goes on and the follower hears.

Each attack ended, filled or deafened a host of py-libp2p 0.8.1 as it comes.
"""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, cast

import pytest
import trio
from certified_chain import Chain, make_keyring
from libp2p.crypto.ed25519 import create_new_key_pair as create_ed25519_key_pair
from libp2p.crypto.rsa import create_new_key_pair as create_rsa_key_pair
from libp2p.custom_types import TProtocol
from libp2p.network.swarm import Swarm
from libp2p.peer.id import ID
from libp2p.protocol_muxer.multiselect import Multiselect
from libp2p.protocol_muxer.multiselect_client import MultiselectClient
from libp2p.protocol_muxer.multiselect_communicator import MultiselectCommunicator
from libp2p.pubsub.pb import rpc_pb2
from libp2p.tools.anyio_service import background_trio_service
from libp2p.utils import encode_varint_prefixed
from multiaddr import Multiaddr
from public_scene import HOST, Validator, open_public, until

from consensus.messages import HEADER_BYTES
from net.hardening import close_swarm, open_swarm
from net.hardening_gossip import (
    FRAME_BYTES_MAX,
    MESSAGES_PER_FRAME_MAX,
    UNKNOWN_WANTED_MAX,
    WANTED_PER_FRAME_MAX,
    BoundedQueue,
    _Frames,
)
from net.peer_identity import derive_key_pair
from net.public.host import parse_address
from net.public.messages import BLOCKS_PROTOCOL, COMMITTEE_PROTOCOL, PEERS_PROTOCOL
from validator.public import PublicNode

MESHSUB = TProtocol("/meshsub/1.1.0")
ROGUE_SEED = b"\x66" * 32
ROGUE = derive_key_pair(ROGUE_SEED)
ROGUE_ID = ID.from_pubkey(ROGUE.public_key)


class Rogue:
    """Says what it likes to one host."""

    def __init__(self, swarm: Swarm, node: PublicNode) -> None:
        self.swarm, self.node = swarm, node
        self.topic = node._topics.blocks

    async def open(self, protocol: TProtocol) -> Any:
        address, peer_id = parse_address(self.node.host.address)
        connections = self.swarm.get_connections(peer_id)
        if not connections:
            self.swarm.unblock_peer(peer_id)
            with trio.fail_after(5):
                await self.swarm.dial_addr(address, peer_id)
            connections = self.swarm.get_connections(peer_id)
        stream = await connections[0].new_stream()
        await MultiselectClient().select_one_of([protocol], MultiselectCommunicator(stream))
        return stream

    async def gossip(self, *rpcs: rpc_pb2.RPC | bytes) -> None:
        stream = await self.open(MESHSUB)
        for rpc in rpcs:
            data = rpc if isinstance(rpc, bytes) else encode_varint_prefixed(rpc.SerializeToString())
            await stream.write(data)

    def message(self, data: bytes, number: int = 1, **changes: Any) -> rpc_pb2.Message:
        fields: dict[str, Any] = {
            "data": data, "topicIDs": [self.topic], "from_id": ROGUE_ID.to_bytes(), "seqno": number.to_bytes(8, "big"),
        }  # fmt: skip
        message = rpc_pb2.Message(**(fields | changes))
        message.signature = ROGUE.private_key.sign(b"libp2p-pubsub:" + message.SerializeToString())
        return message


@asynccontextmanager
async def open_rogue(node: PublicNode) -> AsyncIterator[Rogue]:
    async def ignore(stream: Any) -> None:
        """Agrees to gossip, and reads none."""
        await Multiselect({MESHSUB: None}).negotiate(MultiselectCommunicator(stream), 5)
        await trio.sleep_forever()

    swarm = open_swarm(ROGUE, Multiaddr(f"/ip4/{HOST}/tcp/0"), lambda _: True, lambda _: True, ignore)
    async with background_trio_service(swarm):
        try:
            yield Rogue(swarm, node)
        finally:
            with trio.move_on_after(2, shield=True):
                await close_swarm(swarm)


def make_chain() -> Chain:
    chain = Chain(make_keyring(1))
    for height in range(1, 9):
        chain.grow()
        chain.certificate(height)
    return chain


CHAIN = make_chain()


async def say_junk(rogue: Rogue) -> None:
    await rogue.gossip(encode_varint_prefixed(b"\xff" * 40))


async def announce_a_giant(rogue: Rogue) -> None:
    await rogue.gossip(b"\xff\xff\xff\xff\x7f" + bytes(100))


async def say_strange_keys(rogue: Rogue) -> None:
    rsa = create_rsa_key_pair(1024)
    rsa_id = ID.from_pubkey(rsa.public_key).to_bytes()
    messages = [
        rogue.message(b"x", from_id=rsa_id, key=b"\x01\x02garbage"),
        rogue.message(b"x", from_id=b"", key=b"garbage"),
        rogue.message(b"x", from_id=b"\x00\x24\x08\x07\x12\x20" + bytes(32)),
    ]
    for message in messages:
        await rogue.gossip(rpc_pb2.RPC(publish=[message]))


async def forge_a_signature(rogue: Rogue) -> None:
    for number in range(3):
        message = rogue.message(b"x", number)
        message.signature = bytes(64)
        await rogue.gossip(rpc_pb2.RPC(publish=[message]))


async def publish_nonsense(rogue: Rogue) -> None:
    await rogue.gossip(rpc_pb2.RPC(publish=[rogue.message(b"\xff" * 1000)]))


async def publish_what_only_looks_right(rogue: Rogue) -> None:
    """It begins as a run of one block does, so that its signature is checked, and it is decoded."""
    junk = b"\x82\x81\x82\x59" + HEADER_BYTES.to_bytes(2, "big") + bytes(100_000)
    await rogue.gossip(rpc_pb2.RPC(publish=[rogue.message(junk)]))


async def relay_nonsense(rogue: Rogue) -> None:
    """Of others, who may be to blame for it: the second time it is the relay's fault."""
    for number in range(2):
        author = create_ed25519_key_pair()
        message = rpc_pb2.Message(
            data=b"\xff" * 1000, topicIDs=[rogue.topic], seqno=number.to_bytes(8, "big"),
            from_id=ID.from_pubkey(author.public_key).to_bytes(),
        )  # fmt: skip
        message.signature = author.private_key.sign(b"libp2p-pubsub:" + message.SerializeToString())
        await rogue.gossip(rpc_pb2.RPC(publish=[message]))


async def relay_nonsense_once(rogue: Rogue) -> None:
    author = create_ed25519_key_pair()
    message = rogue.message(b"\xff" * 1000, from_id=ID.from_pubkey(author.public_key).to_bytes())
    await rogue.gossip(rpc_pb2.RPC(publish=[message]))


async def publish_on_a_topic_of_its_own(rogue: Rogue) -> None:
    await rogue.gossip(rpc_pb2.RPC(publish=[rogue.message(b"spam", topicIDs=["spam"])]))


async def ask_for_what_nobody_told_it_of(rogue: Rogue) -> None:
    names = [number.to_bytes(40, "big").hex().encode() for number in range(UNKNOWN_WANTED_MAX + 1)]
    control = rpc_pb2.ControlMessage(iwant=[rpc_pb2.ControlIWant(messageIDs=names)])
    await rogue.gossip(rpc_pb2.RPC(control=control))


async def fill_a_frame(rogue: Rogue) -> None:
    messages = [rogue.message(b"x", number) for number in range(200)]
    await rogue.gossip(rpc_pb2.RPC(publish=messages), rpc_pb2.RPC(publish=messages))


async def subscribe_to_everything(rogue: Rogue) -> None:
    for part in range(3):
        topics = [rpc_pb2.RPC.SubOpts(subscribe=True, topicid=f"t{part}-{at}") for at in range(500)]
        await rogue.gossip(rpc_pb2.RPC(subscriptions=topics))


async def name_topics_and_ids(rogue: Rogue) -> None:
    control = rpc_pb2.ControlMessage(
        prune=[rpc_pb2.ControlPrune(topicID=f"x{at}", backoff=1 << 40) for at in range(20)],
        graft=[rpc_pb2.ControlGraft(topicID=f"y{at}") for at in range(20)],
        ihave=[rpc_pb2.ControlIHave(topicID=rogue.topic, messageIDs=[b"zz", b"00" * 4000, b"ff" * 40])],
        iwant=[rpc_pb2.ControlIWant(messageIDs=[b"no hex", b"ab" * 40])],
    )
    await rogue.gossip(rpc_pb2.RPC(control=control), rpc_pb2.RPC(control=control))


async def stop_within_a_frame(rogue: Rogue) -> None:
    stream = await rogue.open(MESHSUB)
    await stream.write(b"\x80\x80\x04" + bytes(10))
    await stream.reset()


async def ask_nonsense(rogue: Rogue) -> None:
    for protocol in (BLOCKS_PROTOCOL, COMMITTEE_PROTOCOL, PEERS_PROTOCOL):
        for said in (b"\xff\xff\xff\xff", b"\x00\x00\x00\x04junk", b"\x00\x00\x00\x40" + bytes(5)):
            stream = await rogue.open(TProtocol(protocol))
            await stream.write(said)


async def never_read(rogue: Rogue) -> None:
    stream = await rogue.open(MESHSUB)
    subscription = rpc_pb2.RPC.SubOpts(subscribe=True, topicid=rogue.topic)
    await stream.write(encode_varint_prefixed(rpc_pb2.RPC(subscriptions=[subscription]).SerializeToString()))


async def open_many_streams(rogue: Rogue) -> None:
    for _ in range(40):
        await rogue.open(MESHSUB)


ATTACKS: list[tuple[Callable[[Rogue], Awaitable[None]], bool]] = [
    (say_junk, True),
    (announce_a_giant, False),
    (say_strange_keys, True),
    (forge_a_signature, True),
    (publish_nonsense, True),
    (publish_what_only_looks_right, True),
    (relay_nonsense, True),
    (relay_nonsense_once, False),
    (publish_on_a_topic_of_its_own, True),
    (ask_for_what_nobody_told_it_of, True),
    (fill_a_frame, True),
    (subscribe_to_everything, True),
    (name_topics_and_ids, False),
    (stop_within_a_frame, False),
    (ask_nonsense, True),
    (never_read, False),
    (open_many_streams, False),
]


@pytest.mark.parametrize(("attack", "is_banned"), ATTACKS, ids=lambda value: getattr(value, "__name__", ""))
async def test_the_host_goes_on_and_the_honest_hear(
    tmp_path: Path, attack: Callable[[Rogue], Awaitable[None]], is_banned: bool
) -> None:
    async with open_public(tmp_path, [CHAIN], count=2) as ((validator, node), (_, honest)):
        await until(lambda: bool(honest.host.peer_ids) and _is_meshed(node, honest))
        restarted = honest.host.ready  # set once; a host that was built anew would have lost its neighbours
        async with open_rogue(node) as rogue:
            with trio.move_on_after(20):
                try:
                    await attack(rogue)
                except (TypeError, ValueError, AssertionError):
                    raise  # the attack itself is wrong
                except Exception:
                    pass  # the host has thrown the attacker out
            await _tell(validator, honest, 1)
            if is_banned:
                await until(lambda: node.host.banned_count == 1)
                await until(lambda: ROGUE_ID.to_bytes() not in node.host.peer_ids)
            else:
                assert not node.host.banned_count
            assert honest.host.banned_count == 0 and restarted.is_set()
            await _tell(validator, honest, 2)
        gossip: Any = node.host._gossip
        assert set(gossip.router.back_off) <= set(node._topics.all())
        assert set(gossip.peer_topics) <= set(node._topics.all())


def _is_meshed(node: PublicNode, other: PublicNode) -> bool:
    gossip: Any = node.host._gossip
    mesh = gossip.router.mesh.get(node._topics.blocks, set())
    return any(peer_id.to_bytes() in node.host.peer_ids for peer_id in mesh) and bool(other.host.peer_ids)


async def _tell(validator: Validator, honest: PublicNode, height: int) -> None:
    validator.tell(height)
    await until(lambda: honest._gossip.height == height)


async def test_a_subscriber_that_never_reads_loses_its_connection(tmp_path: Path) -> None:
    chain = Chain(make_keyring(1))
    for height in range(1, 9):
        chain.grow(payload=bytes(100 * 1024))
        chain.certificate(height)
    async with open_public(tmp_path, [chain], count=2) as ((validator, node), (_, honest)):
        await until(lambda: bool(honest.host.peer_ids) and _is_meshed(node, honest))
        async with open_rogue(node) as rogue:
            await never_read(rogue)
            gossip: Any = node.host._gossip
            await until(lambda: ROGUE_ID in gossip.router.mesh[rogue.topic])
            for height in range(1, 9):
                await _tell(validator, honest, height)
            await until(lambda: ROGUE_ID.to_bytes() not in node.host.peer_ids, 30)
            assert honest.host.peer_ids


async def test_a_restarted_host_is_heard(tmp_path: Path) -> None:
    """Its sequence numbers go on where nobody has seen any."""
    async with open_public(tmp_path, [CHAIN], count=2) as ((validator, node), (_, honest)):
        await until(lambda: bool(honest.host.peer_ids) and _is_meshed(node, honest))
        await _tell(validator, honest, 1)
        gossip: Any = node.host._gossip
        first = gossip.counter
        for connection in gossip.host.get_network().get_connections():
            gossip.forget(connection.muxed_conn.peer_id)
        gossip.manager.cancel()  # the service ends, and the host is built anew around another one
        await until(lambda: node.host._gossip not in (None, gossip))
        again: Any = node.host._gossip
        assert again.counter > first
        await until(lambda: _is_meshed(node, honest), 30)
        await _tell(validator, honest, 2)


async def test_of_a_control_message_only_what_concerns_us_is_left(tmp_path: Path) -> None:
    async with open_public(tmp_path, [CHAIN]) as ((_, node),):
        gossip: Any = node.host._gossip
        topic = node._topics.blocks
        named = rpc_pb2.PeerInfo(peerID=ROGUE_ID.to_bytes(), signedPeerRecord=b"an address that we shall dial")
        control = rpc_pb2.ControlMessage(
            prune=[rpc_pb2.ControlPrune(topicID=name, peers=[named]) for name in (topic, "another")],
            ihave=[rpc_pb2.ControlIHave(topicID=topic, messageIDs=[b"ab"] * 5_000) for _ in range(2)],
            idontwant=[rpc_pb2.ControlIDontWant(messageIDs=[b"ab"])],
        )
        rpc = rpc_pb2.RPC(control=control)
        gossip._trim(ROGUE_ID, rpc)
        assert [(prune.topicID, len(prune.peers)) for prune in rpc.control.prune] == [(topic, 0)]
        assert [len(ihave.messageIDs) for ihave in rpc.control.ihave] == [WANTED_PER_FRAME_MAX, 0]
        assert not rpc.control.idontwant


async def test_who_asks_for_much_gets_it_in_frames_that_the_others_accept(tmp_path: Path) -> None:
    async with open_public(tmp_path, [CHAIN]) as ((_, node),):
        gossip: Any = node.host._gossip
        topic = node._topics.blocks
        for number in range(40):
            gossip.router.mcache.put(rpc_pb2.Message(from_id=b"a", seqno=number.to_bytes(8, "big"), topicIDs=[topic]))
        names = [(b"a" + number.to_bytes(8, "big")).hex().encode() for number in range(40)]
        lost = [b"ff" * 9] * UNKNOWN_WANTED_MAX  # a peer may be told of a name long before it asks
        rpc = rpc_pb2.RPC(control=rpc_pb2.ControlMessage(iwant=[rpc_pb2.ControlIWant(messageIDs=3 * names + lost)]))
        gossip._trim(ROGUE_ID, rpc)
        asked = [list(request.messageIDs) for request in rpc.control.iwant]
        assert [name for part in asked for name in part] == names and len(asked) == 3
        assert max(map(len, asked)) == MESSAGES_PER_FRAME_MAX
        assert not node.host.banned_count
        known = [b"ee" * 9] * (UNKNOWN_WANTED_MAX + 1)
        gossip.seen_messages.add(b"\xee" * 9)  # forgotten since, and yet nobody's fault
        gossip._trim(ROGUE_ID, rpc_pb2.RPC(control=rpc_pb2.ControlMessage(iwant=[{"messageIDs": known}])))
        assert not node.host.banned_count


class Pieces:
    """A stream that gives what it was given, piece by piece, and then ends."""

    def __init__(self, *pieces: bytes) -> None:
        self._pieces = [*pieces, b""]

    async def read(self, _count: int) -> bytes:
        return self._pieces.pop(0)


async def read_frames(*pieces: bytes) -> list[bytes]:
    frames, found = _Frames(cast(Any, Pieces(*pieces))), []
    with pytest.raises(ValueError, match="ended within"):
        while True:
            found.append(await frames.next())
    return found


async def test_frames_are_the_same_however_they_are_cut() -> None:
    told = [b"", b"x", bytes(127), bytes(128), b"\xff" * 300, b"y"]
    data = b"".join(map(encode_varint_prefixed, told))
    assert await read_frames(data) == told
    assert await read_frames(*(data[at : at + 1] for at in range(len(data)))) == told
    for cut in range(1, len(data)):
        assert await read_frames(data[:cut], data[cut:]) == told
    large = b"z" * FRAME_BYTES_MAX
    assert await read_frames(encode_varint_prefixed(large)) == [large]


@pytest.mark.parametrize("head", [b"\x81\x80\x30", b"\xff" * 9 + b"\x01", b"\x80" * 10, b"\xff\xff\xff\xff\x7f"])
async def test_a_length_that_is_not_allowed_is_not_waited_for(head: bytes) -> None:
    with pytest.raises(ValueError, match=r"too long|does not end"):
        await _Frames(cast(Any, Pieces(head))).next()


def test_a_queue_is_bounded_by_bytes() -> None:
    queue = BoundedQueue()
    large = rpc_pb2.RPC(publish=[rpc_pb2.Message(data=bytes(FRAME_BYTES_MAX - 100))])
    taken = 0
    while queue.push(large):
        taken += 1
    assert 0 < taken < 10
