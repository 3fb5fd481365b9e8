"""What a node makes of the public topics: judged once, relayed only if new and proven.

A message that is late, seen, or of a committee that is not known yet is dropped silently; one that is malformed or
forged is held against whoever passed it on, who could have known.
"""

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field

from engine.payload import Batch
from net.hardening_gossip import Verdict
from net.identity import verify_batch, verify_checkpoint
from net.public.messages import (
    CheckpointNote,
    PublicError,
    Run,
    Topics,
    decode_bundle,
    decode_checkpoint,
    decode_run,
)
from validator.light import Forged, LightChain, Unknown

SEEN_MAX = 4096
# How far behind the highest block a message may come and still be relayed.
LATE_BLOCKS_MAX = 256
LATE_BATCHES_MAX = 1024


@dataclass(slots=True)
class Listener:
    """Who is told of what was accepted; the last argument is the peer id of the forwarder."""

    on_run: Callable[[Run, bytes], None] = lambda _run, _peer: None
    on_batches: Callable[[tuple[Batch, ...]], None] = lambda _batches: None
    on_checkpoint: Callable[[CheckpointNote], None] = lambda _note: None
    on_unknown_epoch: Callable[[int, bytes], None] = lambda _epoch, _peer: None
    report: Callable[[bytes, str], None] = lambda _peer, _offence: None


@dataclass(slots=True)
class _Seen:
    """The last few thousand names."""

    names: OrderedDict[bytes, None] = field(default_factory=OrderedDict)

    def __contains__(self, name: bytes) -> bool:
        return name in self.names

    def add(self, name: bytes) -> None:
        self.names[name] = None
        if len(self.names) > SEEN_MAX:
            self.names.popitem(last=False)


class Gossip:
    """`height`: the highest block seen on the topic; `checkpoint_height`: that of the last checkpoint."""

    def __init__(self, light: LightChain, topics: Topics, listener: Listener) -> None:
        self._light, self._listener = light, listener
        self._judges = {
            topics.blocks: self._judge_run,
            topics.batches: self._judge_bundle,
            topics.checkpoints: self._judge_checkpoint,
        }
        self.height = 0
        self.checkpoint_height = 0
        self._seen = _Seen()
        self._sequences: dict[int, int] = {}

    def receive(self, topic: str, data: bytes, forwarder: bytes) -> Verdict:
        """What becomes of a message."""
        try:
            return self._judges[topic](data, forwarder)
        except (PublicError, Forged) as error:
            self._listener.report(forwarder, str(error))
            return Verdict.REJECT

    def note_run(self, run: Run) -> None:
        """A run that we publish ourselves, or have accepted."""
        self._seen.add(run.certificate.header_hash)
        self.height = max(self.height, run.last.height)

    def note_checkpoint(self, note: CheckpointNote) -> None:
        """A note that we publish ourselves, or have accepted."""
        self.checkpoint_height = max(self.checkpoint_height, note.height)

    def _judge_run(self, data: bytes, forwarder: bytes) -> Verdict:
        run = decode_run(data)
        if run.certificate.header_hash in self._seen or run.last.height + LATE_BLOCKS_MAX < self.height:
            return Verdict.IGNORE
        try:
            self._light.verify(run.certificate)
        except Unknown:
            self._listener.on_unknown_epoch(run.certificate.epoch, forwarder)
            return Verdict.IGNORE
        self.note_run(run)
        self._listener.on_run(run, forwarder)
        return Verdict.ACCEPT

    def _judge_bundle(self, data: bytes, _forwarder: bytes) -> Verdict:
        batches = decode_bundle(data)
        roster, epoch = self._light.roster, self._light.newest_epoch
        fresh = [batch for batch in batches if self._is_fresh(batch)]
        if not fresh:
            return Verdict.IGNORE
        for batch in fresh:
            network_key = roster.network_key(batch.author)
            if network_key is None or not roster.may_author(batch.author, epoch):
                return Verdict.IGNORE
            if not verify_batch(batch, network_key, self._light.domain):
                raise Forged("a batch with a wrong signature")
        for batch in fresh:
            self._seen.add(batch.hash())
            self._sequences[batch.author] = max(self._sequences.get(batch.author, 0), batch.sequence)
        self._listener.on_batches(tuple(fresh))
        return Verdict.ACCEPT

    def _is_fresh(self, batch: Batch) -> bool:
        newest = self._sequences.get(batch.author, 0)
        return batch.sequence + LATE_BATCHES_MAX > newest and batch.hash() not in self._seen

    def _judge_checkpoint(self, data: bytes, _forwarder: bytes) -> Verdict:
        note = decode_checkpoint(data)
        roster = self._light.roster
        network_key = roster.network_key(note.number)
        is_member = network_key is not None and roster.may_author(note.number, self._light.newest_epoch)
        if note.height <= self.checkpoint_height or network_key is None or not is_member:
            return Verdict.IGNORE
        if not verify_checkpoint(
            network_key,
            self._light.domain,
            note.number,
            note.height,
            note.header_hash,
            note.chain_block,
            note.signature,
        ):
            raise Forged("a checkpoint with a wrong signature")
        self.note_checkpoint(note)
        self._listener.on_checkpoint(note)
        return Verdict.ACCEPT
