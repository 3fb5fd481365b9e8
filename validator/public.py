"""`hansa public`: the public side of a validator, in a process of its own.

It reads the validator's feed and speaks to everybody else. The validator knows nothing of it: whatever the public does
here costs other processors, or at worst this process. While the validator is away the host stays, relays what others
publish, and tries the feed again for ever.
"""

import logging
from collections import OrderedDict, deque
from dataclasses import dataclass
from pathlib import Path

import trio

from consensus.messages import ZERO_HASH, Block, Certificate, Header, decode_message
from net.feed.client import Feed, FeedEnded, open_feed
from net.feed.protocol import (
    BATCHES,
    BLOCKS,
    CHECKPOINTS,
    FEED_SOCKET,
    HISTORY_BLOCKS_MAX,
    BatchEvent,
    CheckpointEvent,
    CommitteeEvent,
    FinalEvent,
)
from net.peers import TokenBucket
from net.public.host import Answers, PublicHost, PublicLimits, PublicSetup
from net.public.messages import (
    BLOCKS_PROTOCOL,
    BUNDLE_BATCHES_MAX,
    COMMITTEE_PROTOCOL,
    MESSAGE_BYTES_MAX,
    RUN_BLOCKS_MAX,
    CheckpointNote,
    CommitteeProof,
    Item,
    Run,
    Topics,
    cut_run,
    decode_request,
    encode_bundle,
    encode_checkpoint,
    encode_committee,
    encode_run,
)
from net.public.turns import Turns
from validator.config import NetworkConfig, PublicConfig
from validator.gossip import Gossip, Listener
from validator.light import LightChain
from validator.public_submit import SUBMIT_BYTES_MAX, SUBMIT_PROTOCOL, Submitting
from validator.roster import Seats

RETRY_S = 1.0
RECENT_MAX = 512
BUNDLE_INTERVAL_S = 0.5
TURN_STEP_S = 0.15
CHECKPOINT_STEP_S = 1.0
# Reading the store costs the validator's processor: so many pieces of history a second, for everybody together.
PIECES_PER_S = 10.0
PIECES_BURST = 40.0
ANSWERS_KEPT = 16
STATUS_INTERVAL_S = 60.0

log = logging.getLogger("hansa.public")


class WrongNetwork(Exception):
    """The feed is that of another network than genesis.toml."""


@dataclass(frozen=True, slots=True)
class _Final:
    """A block of the feed."""

    item: Item
    certificate: Certificate
    is_direct: bool


class PublicNode:
    """Feed on one side, host on the other."""

    def __init__(self, home: Path, network: NetworkConfig, config: PublicConfig, seed: bytes, domain: bytes) -> None:
        self._feed_path = home / FEED_SOCKET
        self._network_id = network.digest()
        self._batch_bytes_per_s = config.batch_bytes_per_s
        limits = PublicLimits(config.slots, config.slots_per_address, config.neighbours)
        setup = PublicSetup(
            seed, self._network_id, config.listen_host, config.listen_port, config.advertise, config.bootstrap, limits
        )
        self._light = LightChain(domain, network.founders())
        self._topics = Topics.of(self._network_id)
        listener = Listener(on_run=self._on_run, report=self._report)
        self._gossip = Gossip(self._light, self._topics, listener)
        answers = {
            BLOCKS_PROTOCOL: Answers(self._answer_blocks),
            COMMITTEE_PROTOCOL: Answers(self._answer_committee),
        }
        if config.submit_url:
            answers[SUBMIT_PROTOCOL] = Answers(Submitting(config.submit_url).answer, SUBMIT_BYTES_MAX)
        self.host = PublicHost(setup, self._gossip.receive, answers)
        self._feed: Feed | None = None
        self._number: int | None = None
        self._turns = Turns(None, 1, config.interval_ms / 1000, TURN_STEP_S)
        self._recent: deque[_Final] = deque(maxlen=RECENT_MAX)
        self._batches: list[bytes] = []
        self._wake = trio.Event()
        self._pieces = TokenBucket(PIECES_PER_S, PIECES_BURST, PIECES_BURST, 0)
        self._answers: OrderedDict[bytes, bytes] = OrderedDict()
        self.published_count = 0

    async def run(self) -> None:
        """Until cancelled. Raises `OSError` when the port is taken, `WrongNetwork`."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self.host.run)
            await self.host.ready.wait()
            log.info("public.ready address=%s", self.host.address)
            nursery.start_soon(self._publish_blocks)
            nursery.start_soon(self._publish_batches)
            nursery.start_soon(self._tell_status)
            await self._follow_feed(nursery)

    # the feed

    async def _follow_feed(self, nursery: trio.Nursery) -> None:
        is_told = False
        while True:
            try:
                async with open_feed(self._feed_path, BLOCKS | BATCHES | CHECKPOINTS) as feed:
                    is_told = False
                    await self._read_feed(feed, nursery)
            except* FeedEnded as group:
                if not is_told:
                    log.warning("public.feed_lost error=%s (trying again for ever)", group.exceptions[0])
                is_told = True
            self._feed = None
            await trio.sleep(RETRY_S)

    async def _read_feed(self, feed: Feed, nursery: trio.Nursery) -> None:
        hello = feed.hello
        assert hello is not None, "an open feed has greeted"
        if (hello.network_id, hello.domain) != (self._network_id, self._light.domain):
            raise WrongNetwork(f"{self._feed_path} is of network {hello.network_id.hex()[:16]}, not of genesis.toml's")
        log.info("public.feed number=%d height=%d", hello.number, hello.head_height)
        self._feed, self._number = feed, hello.number
        # What was final before is history: nobody waits for it on the topic.
        self._recent.clear()
        self._turns.on_published(hello.head_height, hello.head_height, trio.current_time())
        while True:
            match await feed.next_event():
                case FinalEvent() as event:
                    self._on_final(event)
                case BatchEvent(batch):
                    self._batches.append(batch)
                case CommitteeEvent(seats):
                    self._learn(Seats.decode(seats))
                case CheckpointEvent() as event:
                    nursery.start_soon(self._publish_checkpoint, event)
                case _:
                    pass

    def _learn(self, seats: Seats) -> None:
        self._light.learn(seats)
        if seats.epoch == self._light.newest_epoch:
            self._turns.index = None if self._number is None else seats.find(self._number)
            self._turns.count = len(seats.numbers)
            log.info("public.committee epoch=%d members=%d", seats.epoch, len(seats.numbers))

    def _on_final(self, event: FinalEvent) -> None:
        block, certificate = decode_message(event.block), decode_message(event.certificate)
        if not isinstance(block, Block) or not isinstance(certificate, Certificate):
            raise FeedEnded("the node says something else than blocks")
        self._light.trust(certificate)
        self._recent.append(_Final(Item(block.header, block.payload), certificate, event.is_direct))
        self._turns.on_block(event.height, trio.current_time())
        self._awake()

    def _awake(self) -> None:
        self._wake.set()
        self._wake = trio.Event()

    # publishing

    def _on_run(self, run: Run, _forwarder: bytes) -> None:
        head_height = self._recent[-1].item.header.height if self._recent else 0
        self._turns.on_published(run.final_items()[-1].header.height, head_height, trio.current_time())
        self._awake()

    def _report(self, peer: bytes, offence: str) -> None:
        self.host.report(peer, offence)

    async def _publish_blocks(self) -> None:
        while True:
            due_s = self._turns.due_s()
            wait_s = RETRY_S if due_s is None else due_s - trio.current_time()
            if wait_s > 0:
                with trio.move_on_after(wait_s):
                    await self._wake.wait()
                continue
            run = await self._next_run()
            if run is None:  # a certificate is still to come
                with trio.move_on_after(RETRY_S):
                    await self._wake.wait()
                continue
            self._gossip.note_run(run)
            self._on_run(run, b"")
            self.published_count += 1
            await self.host.publish(self._topics.blocks, encode_run(run))

    async def _next_run(self) -> Run | None:
        """Everything of one epoch that is not published yet and has a certificate."""
        waiting = [final for final in self._recent if final.item.header.height > self._turns.published_height]
        waiting = waiting[:RUN_BLOCKS_MAX]
        ends = [at for at, final in enumerate(waiting, 1) if final.item.header.next_committee_hash != ZERO_HASH]
        if ends and not waiting[ends[0] - 1].is_direct:
            items = [final.item for final in waiting[: ends[0]]]
            return await self._end_of_epoch(items)
        while waiting and not waiting[-1].is_direct:
            waiting.pop()
        if ends:
            waiting = waiting[: ends[0]]
        return cut_run([final.item for final in waiting], waiting[-1].certificate) if waiting else None

    async def _end_of_epoch(self, items: list[Item]) -> Run | None:
        """A run that ends with its epoch, and the trailing blocks that its certificate needs."""
        sealing = items[-1].header
        proof = await self._read_committee(sealing.epoch + 1)
        if proof is None or proof.certificate is None or not proof.headers or proof.headers[0] != sealing:
            return None
        return cut_run([*items, *(Item(header, b"") for header in proof.headers[1:])], proof.certificate)

    async def _publish_batches(self) -> None:
        budget = TokenBucket(self._batch_bytes_per_s, self._batch_bytes_per_s, self._batch_bytes_per_s, 0)
        while True:
            await trio.sleep(BUNDLE_INTERVAL_S)
            batches, self._batches = self._batches[:BUNDLE_BATCHES_MAX], []
            size_bytes = sum(map(len, batches))
            while batches and (size_bytes > MESSAGE_BYTES_MAX - 4096 or size_bytes > budget.tokens + budget.rate):
                size_bytes -= len(batches.pop())
            if batches and budget.take(0, trio.current_time()) == 0:
                budget.take(size_bytes, trio.current_time())
                await self.host.publish(self._topics.batches, encode_bundle(batches))

    async def _publish_checkpoint(self, event: CheckpointEvent) -> None:
        """By one member first; by others only if it has not been heard of."""
        place = (
            self._turns.count if self._turns.index is None else (self._turns.index - event.height) % self._turns.count
        )
        await trio.sleep(place * CHECKPOINT_STEP_S)
        note = CheckpointNote(event.number, event.height, event.header_hash, event.chain_block, event.signature)
        if note.height > self._gossip.checkpoint_height:
            self._gossip.note_checkpoint(note)
            await self.host.publish(self._topics.checkpoints, encode_checkpoint(note))

    # requests

    async def _answer_blocks(self, _peer: bytes, request: bytes) -> bytes:
        """A run from exactly the height asked for, of height 0 the newest; nothing when this node lacks it."""
        from_height, limit, has_bodies = decode_request(request, 3)
        if not from_height:
            newest = next((final for final in reversed(self._recent) if final.is_direct), None)
            return b"" if newest is None else encode_run(Run((newest.item,), newest.certificate))
        known = self._answers.get(request)
        if known is not None:
            return known
        run = await self._read_run(from_height, max(1, min(limit, HISTORY_BLOCKS_MAX)), bool(has_bodies))
        data = b"" if run is None else encode_run(run)
        if run is not None and len(run.items) >= limit:
            self._answers[request] = data
            if len(self._answers) > ANSWERS_KEPT:
                self._answers.popitem(last=False)
        return data

    async def _read_run(self, from_height: int, limit: int, has_bodies: bool) -> Run | None:
        finals: list[FinalEvent] = []
        last_direct = 0
        while not last_direct and len(finals) + HISTORY_BLOCKS_MAX <= RUN_BLOCKS_MAX:
            piece = await self._read_piece(from_height + len(finals), limit, has_bodies)
            if not piece:
                return None
            for event in piece:
                if finals and event.epoch != finals[0].epoch:
                    break
                finals.append(event)
                if event.is_direct:
                    last_direct = len(finals)
            header = _read_header(finals[-1])
            if header.next_committee_hash != ZERO_HASH and not finals[-1].is_direct:
                return await self._end_of_epoch([_make_item(event) for event in finals])
        certificate = decode_message(finals[last_direct - 1].certificate) if last_direct else None
        if not isinstance(certificate, Certificate):
            return None
        return Run(tuple(_make_item(event) for event in finals[:last_direct]), certificate)

    async def _read_piece(self, from_height: int, limit: int, has_bodies: bool) -> tuple[FinalEvent, ...]:
        pause_s = self._pieces.take(1, trio.current_time())
        await trio.sleep(pause_s)
        if self._feed is None:
            return ()
        try:
            return await self._feed.history(from_height, limit, has_bodies)
        except FeedEnded:
            return ()

    async def _answer_committee(self, _peer: bytes, request: bytes) -> bytes:
        (epoch,) = decode_request(request, 1)
        proof = await self._read_committee(epoch)
        return encode_committee(CommitteeProof(b"", (), None) if proof is None else proof)

    async def _read_committee(self, epoch: int) -> CommitteeProof | None:
        if self._feed is None:
            return None
        try:
            answer = await self._feed.seal(epoch)
        except FeedEnded:
            return None
        if answer is None:
            return None
        certificate = decode_message(answer.certificate) if answer.certificate else None
        headers = tuple(Header.decode(header) for header in answer.headers)
        return CommitteeProof(answer.seats, headers, certificate if isinstance(certificate, Certificate) else None)

    async def _tell_status(self) -> None:
        while True:
            await trio.sleep(STATUS_INTERVAL_S)
            verdicts = " ".join(f"{verdict.value}={count}" for verdict, count in self.host.verdicts.items())
            log.info(
                "public.status peers=%d published=%d height=%d banned=%d verdicts=%s", len(self.host.peer_ids),
                self.published_count, self._turns.published_height, self.host.banned_count, verdicts,
            )  # fmt: skip


def _read_header(event: FinalEvent) -> Header:
    return _make_item(event).header


def _make_item(event: FinalEvent) -> Item:
    block = decode_message(event.block)
    if not isinstance(block, Block):
        raise FeedEnded("the node says something else than blocks")
    return Item(block.header, block.payload, event.bodies)
