"""Epochs follow each other (EP1-EP7): one `Core` each, and a holder that opens, closes and feeds them.

Theory of operation
-------------------
The settlement chain's registry fixes who agrees in the next epoch (EP1). Each of those members, once it follows the
chain, tells everybody that it is ready; a quorum of that is an approval (EP2, `approvals.py`). From the epoch's end on,
a leader that holds the approval seals the epoch with its block (EP3), trailing blocks carry the views on until a
finalisation covers the seal (EP4), and the core closes (EP5, `sealing.py`). The next core begins at view 1 with the
sealing block as its root (EP6), and the old one stays for a while to answer stragglers. Without an approval the epoch
goes on; after `EXTENSIONS_MAX` extensions the operator is told (EP7).

The host's contract, beyond that of `effects.py`
- Effects come as `Tagged(epoch, effect)`, answers and timers go back through `handle` with the same epoch. Timers,
  tokens, the signer's guard and `Send` (indices of that epoch's committee, `None`: all of it) are per epoch.
- Everything persisted may go into one journal: records of other epochs are skipped when it is read.
- `Execute`, `Finalized` and `CheckPayload` of a new epoch's first blocks have the sealing block as parent.
- `EpochSealed` is durable before anything of the next epoch is sent. At a restart its block is the root of the
  new holder, and the registry's committee of the next epoch its `committee` (found by epoch, checked by hash, because
  the same members may follow themselves); `resume_previous` gives the stragglers an ear.
- A node that will join (its key is in the next committee only) runs the same holder as an observer until then; it must
  be given certificates and blocks, because nobody addresses an observer.
- A member whose guard of the epoch it starts in is lost has no seat in that epoch and its seat in those that follow.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from consensus.approvals import AggregateReady, Approvals, ReadyAggregated
from consensus.committee import Committee
from consensus.core import Core
from consensus.effects import Effect, EpochSealed, Finalized, SetTimer
from consensus.events import Approved, Event, NextCommittee, Received, Synced, TimerFired
from consensus.leaders import compute_leaders
from consensus.messages import DecodeError, Header, Message, Ready, decode_message, encode_message, read_epoch
from consensus.timeouts import CoreConfig

EXTENSIONS_MAX = 3
EARLY_MESSAGES_MAX = 32
READY_TIMER = ("ready", 0)
GRACE_TIMER = ("grace", 0)


@dataclass(frozen=True, slots=True)
class Schedule:
    """`length_ms` and `extension_ms` are times of the chain, the others times of the clock of `now_ms`."""

    length_ms: int  # from an epoch's root to the time from which it may be sealed; 0: an epoch has no end
    extension_ms: int  # each such time without a seal after that is one extension
    ready_lead_ms: int = 60_000  # how long before its end the next members are asked to be ready
    ready_retry_ms: int = 2_000
    grace_ms: int = 60_000  # how long a closed core is kept


@dataclass(frozen=True, slots=True)
class SignReady:
    """Sign `ready_digest(domain, epoch, committee_hash)` as a member of that committee; answered by `ReadySigned`."""

    epoch: int
    committee_hash: bytes
    signer: int


@dataclass(frozen=True, slots=True)
class Announce:
    """To every member of this epoch's committee and of the next one."""

    data: bytes


@dataclass(frozen=True, slots=True)
class EpochOpened:
    """EP6: from here on the committee of this epoch agrees, on top of `root`."""

    committee: Committee
    root: Header


@dataclass(frozen=True, slots=True)
class EpochDropped:
    """EP6: the instance is gone, and its timers mean nothing any more."""


@dataclass(frozen=True, slots=True)
class EpochOverdue:
    """EP7: an alarm. The next committee is not ready, or nobody seals."""

    extensions: int


@dataclass(frozen=True, slots=True)
class EpochBehind:
    """A peer speaks of a later epoch than ours. Unproven: a reason to ask the registry or for a range, no more.

    Repeated while it lasts, at most once per standstill interval, so it must be idempotent.
    """

    later_epoch: int


@dataclass(frozen=True, slots=True)
class ReadySigned:
    """Answer to `SignReady`."""

    ready: Ready


CoreFactory = Callable[[CoreConfig, tuple[int, ...], Sequence[bytes]], Core]
HolderEffect = SignReady | AggregateReady | Announce | EpochOpened | EpochDropped | EpochOverdue | EpochBehind
HolderEvent = ReadySigned | ReadyAggregated


@dataclass(frozen=True, slots=True)
class Tagged:
    """Something to be done in the name of an epoch."""

    epoch: int
    effect: Effect | HolderEffect


@dataclass(frozen=True, slots=True)
class Instance:
    """One epoch that is alive here."""

    committee: Committee
    core: Core

    @property
    def epoch(self) -> int:
        return self.committee.epoch


def count_extensions(timestamp_ms: int, end_ms: int, extension_ms: int) -> int:
    """EP7: how many whole extensions an epoch has lasted at this time of the chain."""
    return max(timestamp_ms - end_ms, 0) // extension_ms


class Instances:
    """The current epoch and, for a while, the one before."""

    def __init__(
        self,
        template: CoreConfig,
        schedule: Schedule,
        network_key: bytes | None,
        committee: Committee,
        root: Header,
        durable: Sequence[bytes] = (),
        *,
        observes_first: bool = False,
        make_core: CoreFactory = Core,
        decode: Callable[[bytes], Message] = decode_message,
    ) -> None:
        """`template`: the domain and all that is equal in every epoch. `network_key`: the own one, None: observe.
        `observes_first`: no seat in the epoch it begins with, whoever the key belongs to.
        """
        self._template = template
        self._make_core = make_core
        self._decode = decode
        self._schedule = schedule
        self._network_key = network_key
        self._now_ms = 0
        self._out: list[Tagged] = []
        self._early: dict[bytes, list[Message]] = {}  # network key -> messages of the epoch that comes next
        self._next: Approvals | None = None
        self._own_ready: Ready | None = None
        self._alarms = EXTENSIONS_MAX - 1
        self._behind_ms: int | None = None
        self.current = self._make(committee, root, durable, None if observes_first else network_key)
        self.previous: Instance | None = None

    @property
    def next_committee(self) -> Committee | None:
        """EP1: whose keys approvals are verified with."""
        return None if self._next is None else self._next.committee

    def committee(self, epoch: int) -> Committee | None:
        """Whose keys the messages of an epoch are verified with, while it is alive here."""
        instance = self._find(epoch)
        return None if instance is None else instance.committee

    def core(self, epoch: int) -> Core | None:
        instance = self._find(epoch)
        return None if instance is None else instance.core

    def sizes(self) -> dict[str, tuple[int, int]]:
        """For every structure of the holder: its size and the bound it keeps. The cores have their own."""
        senders = len(self.current.committee.members) + (0 if self._next is None else len(self._next.committee.members))
        return {
            "early": (sum(len(held) for held in self._early.values()), EARLY_MESSAGES_MAX * senders),
            "readies": (0 if self._next is None else len(self._next.readies), senders),
        }

    def start(self, now_ms: int) -> list[Tagged]:
        self._now_ms = now_ms
        self._take(self.current, self.current.core.start(now_ms))
        return self._finish()

    def resume_previous(self, now_ms: int, committee: Committee, root: Header, seal: Synced) -> list[Tagged]:
        """EP6, after a restart: the epoch before, closed by `seal` (block, certificate and trailing blocks)."""
        self._now_ms = max(now_ms, self._now_ms)
        self.previous = self._make(committee, root, (), self._network_key)
        self.previous.core.handle(now_ms, seal)
        self.previous.core.start(now_ms)
        self._emit(committee.epoch, SetTimer(GRACE_TIMER, now_ms + self._schedule.grace_ms))
        return self._finish()

    def learn_committee(self, now_ms: int, committee: Committee) -> list[Tagged]:
        """EP1: the registry's committee of the next epoch, from a final block of the settlement chain."""
        self._now_ms = max(now_ms, self._now_ms)
        if committee.epoch != self.current.epoch + 1:
            return []
        committee_hash = committee.hash()
        if self._next is None or self._next.committee_hash != committee_hash:
            self._next, self._own_ready = Approvals(committee, committee_hash), None
            self._handle(self.current, NextCommittee(committee_hash, committee.weights))
            self._say_ready()
        if self.current.core.is_closed:
            self._open_next(self.current.core.final_header)
        return self._finish()

    def receive(self, now_ms: int, network_key: bytes, data: bytes) -> list[Tagged]:
        """A raw message from an authenticated link."""
        self._now_ms = max(now_ms, self._now_ms)
        try:
            message = self._decode(data)
        except DecodeError:
            peer = self.current.committee.find(network_key)
            if peer is not None:
                self._handle(self.current, Received(peer, data))  # the core holds it against the sender
            return self._finish()
        self._route(network_key, message)
        return self._finish()

    def handle(self, now_ms: int, epoch: int, event: Event | HolderEvent) -> list[Tagged]:
        """An answer, a timer or a report for one epoch; of an epoch that is gone it is ignored."""
        self._now_ms = max(now_ms, self._now_ms)
        instance = self._find(epoch)
        match event:
            case ReadySigned(ready):
                self._on_own_ready(ready)
            case ReadyAggregated():
                self._on_approval(event)
            case TimerFired(timer_id) if timer_id == READY_TIMER:
                self._say_ready()
            case TimerFired(timer_id) if timer_id == GRACE_TIMER:
                self._drop_previous(epoch)
            case _ if instance is not None:
                self._handle(instance, event)
            case _:
                pass
        return self._finish()

    def _route(self, network_key: bytes, message: Message) -> None:
        """EP6: a message counts in the epoch it names and in no other."""
        if isinstance(message, Ready):
            self._on_ready(network_key, message)
            return
        epoch = read_epoch(message)
        instance = self._find(epoch)
        if instance is not None:
            peer = instance.committee.find(network_key)
            if peer is not None:
                self._take(instance, instance.core.receive(self._now_ms, peer, message))
        elif epoch > self.current.epoch:
            self._keep_early(network_key, epoch, message)

    def _keep_early(self, network_key: bytes, epoch: int, message: Message) -> None:
        """Members that are ahead: what they say of the next epoch waits for it, within limits."""
        is_known = self.current.committee.find(network_key) is not None
        is_known = is_known or (self._next is not None and self._next.committee.find(network_key) is not None)
        if not is_known:
            return
        interval_ms = self._template.standstill_deltas * self._template.delta_ms
        if self._behind_ms is None or self._now_ms - self._behind_ms >= interval_ms:
            self._behind_ms = self._now_ms
            self._emit(self.current.epoch, EpochBehind(epoch))
        held = self._early.setdefault(network_key, [])
        if epoch == self.current.epoch + 1 and len(held) < EARLY_MESSAGES_MAX:
            held.append(message)

    def _say_ready(self) -> None:
        """EP2: while the end is near and we belong to the next committee and keep up: say so, again and again."""
        if self._next is None or self.current.core.is_closed:
            return
        signer = self._next.committee.find(self._network_key)
        if signer is None:
            return
        self._emit(self.current.epoch, SetTimer(READY_TIMER, self._now_ms + self._schedule.ready_retry_ms))
        end_ms = self.current.core.config.epoch_end_ms
        is_near = end_ms is not None and (
            self.current.core.final_header.timestamp_ms + self._schedule.ready_lead_ms >= end_ms
        )
        if not is_near or not self.current.core.is_following:
            return
        if self._own_ready is None:
            statement = SignReady(self._next.committee.epoch, self._next.committee_hash, signer)
            self._emit(self.current.epoch, statement)
        else:
            self._emit(self.current.epoch, Announce(encode_message(self._own_ready)))

    def _on_own_ready(self, ready: Ready) -> None:
        if self._next is None or (ready.epoch, ready.committee_hash) != (
            self._next.committee.epoch,
            self._next.committee_hash,
        ):
            return
        self._own_ready = ready
        self._emit(self.current.epoch, Announce(encode_message(ready)))
        if self._network_key is not None:
            self._on_ready(self._network_key, ready)

    def _on_ready(self, network_key: bytes, ready: Ready) -> None:
        if self._next is None:
            return
        request = self._next.take(self._next.committee.find(network_key), ready)
        if request is not None:
            self._emit(self.current.epoch, request)

    def _on_approval(self, event: ReadyAggregated) -> None:
        if self._next is None:
            return
        request = self._next.on_aggregated(event)
        if request is not None:
            self._emit(self.current.epoch, request)
        if self._next.approval is not None:
            self._handle(self.current, Approved(self._next.approval))

    def _handle(self, instance: Instance, event: Event) -> None:
        self._take(instance, instance.core.handle(self._now_ms, event))

    def _take(self, instance: Instance, effects: list[Effect]) -> None:
        """Pass a core's effects on, and act on those that concern the epoch."""
        for effect in effects:
            self._emit(instance.epoch, effect)
        if instance is not self.current:
            return
        for effect in effects:
            if isinstance(effect, Finalized):
                self._watch_extensions(effect.block.header)
            elif isinstance(effect, EpochSealed):
                self._open_next(effect.block.header)
                return

    def _watch_extensions(self, header: Header) -> None:
        """EP7: an alarm for each whole extension from the third on."""
        end_ms = self.current.core.config.epoch_end_ms
        if end_ms is None:
            return
        extensions = count_extensions(header.timestamp_ms, end_ms, self._schedule.extension_ms)
        if extensions > self._alarms:
            self._alarms = extensions
            self._emit(self.current.epoch, EpochOverdue(extensions))

    def _open_next(self, sealing: Header) -> None:
        """EP6: begin with the committee that the seal names, once the own view of the registry knows it."""
        if self._next is None or self._next.committee_hash != sealing.next_committee_hash:
            return
        if self.previous is not None:
            self._drop_previous(self.previous.epoch)
        self.previous, committee = self.current, self._next.committee
        self.current = self._make(committee, sealing, (), self._network_key)
        self._next, self._own_ready, self._alarms = None, None, EXTENSIONS_MAX - 1
        self._behind_ms = None
        self._emit(self.previous.epoch, SetTimer(GRACE_TIMER, self._now_ms + self._schedule.grace_ms))
        self._emit(committee.epoch, EpochOpened(committee, sealing))
        self._take(self.current, self.current.core.start(self._now_ms))
        early, self._early = self._early, {}
        for network_key, messages in early.items():
            for message in messages:
                self._route(network_key, message)

    def _drop_previous(self, epoch: int) -> None:
        if self.previous is not None and self.previous.epoch == epoch:
            self.previous = None
            self._emit(epoch, EpochDropped())

    def _make(
        self, committee: Committee, root: Header, durable: Sequence[bytes], network_key: bytes | None
    ) -> Instance:
        config = replace(
            self._template,
            epoch=committee.epoch,
            member_count=len(committee.members),
            me=committee.find(network_key),
            genesis=root,
            weights=committee.weights,
            epoch_end_ms=None if not self._schedule.length_ms else root.timestamp_ms + self._schedule.length_ms,
        )
        leaders = compute_leaders(root.hash(), committee.epoch, len(committee.members))
        return Instance(committee, self._make_core(config, leaders, durable))

    def _find(self, epoch: int) -> Instance | None:
        if epoch == self.current.epoch:
            return self.current
        return self.previous if self.previous is not None and self.previous.epoch == epoch else None

    def _emit(self, epoch: int, effect: Effect | HolderEffect) -> None:
        self._out.append(Tagged(epoch, effect))

    def _finish(self) -> list[Tagged]:
        out, self._out = self._out, []
        return out
