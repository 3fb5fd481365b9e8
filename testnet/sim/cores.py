"""Real cores on perfect machines: no disk, no engine, no processor time. Only links and clocks are left to go wrong.

For campaigns about agreement alone (Twins, forks), in which one run has to cost milliseconds. A key may have several
machines (twins): each runs a core of its own. Execution is a hash chain and answers at once, as do keys.
"""

import heapq
from collections import deque
from collections.abc import Callable
from typing import Any

from consensus.core import Core, CoreConfig
from consensus.effects import (
    Aggregate,
    Build,
    CancelTimer,
    CheckPayload,
    Effect,
    Execute,
    FetchBlock,
    Finalized,
    Halt,
    Persist,
    PublishEvidence,
    Send,
    SetTimer,
    Sign,
    VerifyCertificates,
)
from consensus.events import (
    Aggregated,
    Built,
    CertificatesVerified,
    Event,
    Executed,
    PayloadChecked,
    Received,
    Signed,
    TimerFired,
    TimerId,
)
from consensus.leaders import get_leader
from consensus.messages import Block, Certificate, Evidence, Header, Proposal, Vote, encode_message
from testnet.sim.hashchain import execute, execute_block
from testnet.sim.keys import KeyRing, decode

CERTIFICATE_HEAD = b"\x82\x02"
PROPOSAL_HEAD = b"\x82\x03"


class Host:
    """One core. `index` is its key's place in the committee, `name` is its own."""

    def __init__(self, lab: "Lab", index: int, name: int, is_honest: bool) -> None:
        self.lab = lab
        self.index = index
        self.name = name
        self.is_honest = is_honest
        self.core = Core(lab.make_config(index), lab.leaders)
        # A scenario chooses its leaders; the core knows only permutations.
        self.core._state.leader = lab.get_leader  # type: ignore[method-assign]
        self.timers: dict[TimerId, int] = {}
        self.chain: list[Block] = []
        self.certificates: dict[bytes, Certificate] = {}  # all it believes, by their bytes
        self.evidence: list[Evidence] = []
        self.halt_reason = ""
        self._durable: dict[Vote, None] = {}
        self._queue: deque[Event] = deque()

    def find_block(self, block_hash: bytes) -> Block | None:
        return self.core.block(block_hash) or next(
            (block for block in reversed(self.chain) if block.hash() == block_hash), None
        )

    def turn(self, event: Event | None) -> None:
        """One event (None: start) and all that follows at once."""
        now_ms = self.lab.now_ms
        outbox: list[Send] = []
        self.perform_all(self.core.start(now_ms) if event is None else self.core.handle(now_ms, event), outbox)
        while self._queue:
            self.perform_all(self.core.handle(now_ms, self._queue.popleft()), outbox)
        for send in outbox:
            if self.is_honest:
                self.lab.watch.on_sent(self, send.data, self._durable)
            self.lab.send(self, send.peer, send.data)

    def perform_all(self, effects: list[Effect], outbox: list[Send]) -> None:
        for effect in effects:
            if isinstance(effect, Send):
                outbox.append(effect)
            else:
                self.perform(effect)

    def perform(self, effect: Effect) -> None:
        lab = self.lab
        match effect:
            case Persist(record):
                self.persist(record)
            case SetTimer(timer_id, at_ms):
                self.timers[timer_id] = max(at_ms, lab.now_ms)
                lab.post(self.timers[timer_id], self, "timer", timer_id)
            case CancelTimer(timer_id):
                self.timers.pop(timer_id, None)
            case Sign(kind, view, header_hash):
                self._queue.append(Signed(lab.keys.sign(self.index, kind, lab.epoch, view, header_hash)))
            case Aggregate(token, votes=votes):
                self._queue.append(Aggregated(token, *lab.keys.aggregate(votes)))
            case VerifyCertificates(token, certificates):
                ok = all(lab.keys.is_genuine(certificate) for certificate in certificates)
                self._queue.append(CertificatesVerified(token, ok))
            case Build():
                self.build(effect)
            case CheckPayload(block):
                self._queue.append(PayloadChecked(block.hash(), True))
            case Execute(block):
                parent = lab.headers[block.header.parent_hash]
                self._queue.append(Executed(block.hash(), execute_block(parent, block)))
            case FetchBlock(block_hash, peers):
                for peer in peers:
                    lab.ask(self, peer, block_hash)
            case _:
                self.perform_outcome(effect)

    def perform_outcome(self, effect: Effect) -> None:
        match effect:
            case Finalized(block):
                self.chain.append(block)
                if self.is_honest:
                    self.lab.watch.on_final(self, block)
            case PublishEvidence(evidence):
                self.evidence.append(evidence)
                if self.is_honest:
                    self.lab.watch.on_evidence(self, evidence)
            case Halt(reason):
                self.halt_reason = reason
                if self.is_honest:
                    self.lab.watch.on_halt(self, reason)
            case _:
                pass  # bans, and falling behind: the fetches go on

    def persist(self, record: bytes) -> None:
        if record[:2] == CERTIFICATE_HEAD:
            certificate = decode(record)
            assert isinstance(certificate, Certificate)
            self.certificates[record] = certificate
            if self.is_honest:
                self.lab.watch.on_certificate(self, certificate, record)
        elif record[:2] in (b"\x82\x01", PROPOSAL_HEAD):
            message = decode(record)
            assert isinstance(message, Vote | Proposal)
            self._durable[message if isinstance(message, Vote) else message.vote] = None

    def build(self, request: Build) -> None:
        """Every machine's payload is its own, so twins contradict each other."""
        payload = b"%d in %d" % (self.name, request.view)
        timestamp_ms = max(request.parent_header.timestamp_ms + 1, self.lab.now_ms)
        commitment = execute(request.parent_header.commitment, timestamp_ms, payload)
        self._queue.append(Built(request.view, request.parent_hash, payload, timestamp_ms, commitment))


class Watch:
    """What a campaign wants to see of the honest. The base looks away."""

    def on_sent(self, host: Host, data: bytes, durable: dict[Vote, None]) -> None:
        """About to be sent; `durable`: the votes persisted so far."""

    def on_certificate(self, host: Host, certificate: Certificate, data: bytes) -> None:
        """Believed and persisted."""

    def on_final(self, host: Host, block: Block) -> None:
        """Delivered."""

    def on_evidence(self, host: Host, evidence: Evidence) -> None:
        """Published."""

    def on_halt(self, host: Host, reason: str) -> None:
        """Stopped for good."""


# Delays of the copies that arrive, in ms. The view is the one the message speaks of; for a fetch, the asker's.
Links = Callable[[Host, Host, int], list[int]]


class Lab:
    """Cores, their links, and the heap of what will happen."""

    epoch = 1

    def __init__(
        self,
        keys: KeyRing,
        leaders: tuple[int, ...],
        copies: tuple[int, ...],
        config: CoreConfig,
        links: Links,
        watch: Watch,
        first_leaders: tuple[int, ...] = (),
    ) -> None:
        """`copies`: how many machines each key has; more than one makes it a liar. `config` is the same for all.

        `first_leaders` lead the first views; afterwards `leaders` take their turns.
        """
        self.keys = keys
        self.leaders = leaders
        self.first_leaders = first_leaders
        self.links = links
        self.watch = watch
        self.now_ms = 0
        self.headers: dict[bytes, Header] = {config.genesis.hash(): config.genesis}
        self._config = config
        self._heap: list[tuple[int, int, Host, str, Any]] = []
        self._post_count = 0
        self.members: list[list[Host]] = []
        name_count = len(copies)
        for index, count in enumerate(copies):
            names = [index, *range(name_count, name_count + count - 1)]
            name_count += count - 1
            self.members.append([Host(self, index, name, count == 1) for name in names])
        self.hosts = sorted((host for group in self.members for host in group), key=lambda host: host.name)

    @property
    def honest(self) -> list[Host]:
        return [host for host in self.hosts if host.is_honest]

    def get_leader(self, view: int) -> int:
        return self.first_leaders[view - 1] if view <= len(self.first_leaders) else get_leader(self.leaders, view)

    def make_config(self, index: int) -> CoreConfig:
        return CoreConfig(**{**vars(self._config), "me": index})

    def post(self, at_ms: int, host: Host, what: str, data: Any) -> None:
        self._post_count += 1
        heapq.heappush(self._heap, (at_ms, self._post_count, host, what, data))

    def send(self, source: Host, peer: int | None, data: bytes) -> None:
        message = decode(data)
        header = message.block.header if isinstance(message, Proposal) else None
        if header is not None:
            self.headers[header.hash()] = header
        match message:
            case Block():
                view = message.header.view
            case Proposal():
                view = message.block.header.view
            case Evidence():
                view = message.first.view
            case Vote() | Certificate():
                view = message.view
        for host in self.hosts if peer is None else self.members[peer]:
            if host.index != source.index:
                for delay_ms in self.links(source, host, view):
                    self.post(self.now_ms + delay_ms, host, "message", (source.index, data))

    def ask(self, source: Host, peer: int, block_hash: bytes) -> None:
        for host in self.members[peer]:
            for delay_ms in self.links(source, host, source.core.view):
                self.post(self.now_ms + delay_ms, host, "fetch", (source, block_hash))

    def start(self) -> None:
        for host in self.hosts:
            self.post(0, host, "start", None)

    def is_idle(self) -> bool:
        return not self._heap

    def step(self) -> tuple[int, Host, str, Any]:
        """The next event; also what it was, for an audit."""
        at_ms, _, host, what, data = heapq.heappop(self._heap)
        self.now_ms = at_ms
        match what:
            case "message":
                host.turn(Received(*data))
            case "timer":
                if host.timers.get(data) == at_ms:
                    del host.timers[data]
                    host.turn(TimerFired(data))
            case "start":
                host.turn(None)
            case _:
                asker, block_hash = data
                block = host.find_block(block_hash)
                if block is not None:
                    for delay_ms in self.links(host, asker, asker.core.view):
                        self.post(at_ms + delay_ms, asker, "message", (host.index, encode_message(block)))
        return at_ms, host, what, data
