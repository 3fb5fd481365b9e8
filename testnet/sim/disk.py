"""A disk that forgets what was not synced, in the middle of a record if it likes."""

import random

from consensus.guard import Allowed, GuardState, Refusal, check, decode_slots, encode_slot
from consensus.journal import CORRUPT_MIDDLE, encode_record, scan
from consensus.messages import Block, Certificate, Proposal, Vote
from testnet.sim.keys import decode


class Disk:
    """Journal, chain store and guard file of one node."""

    def __init__(self, epoch: int, has_guard: bool) -> None:
        self._synced = bytearray()
        self._waiting = bytearray()
        self._waiting_chain: list[tuple[Block, Certificate]] = []
        self._has_guard = has_guard
        self._guard = GuardState.new(epoch)
        self._generation = 0
        self._sequence = 0
        self.chain: list[tuple[Block, Certificate]] = []
        self.durable_votes: dict[Vote, None] = {}  # surely on disk, for the check of D1
        self._waiting_records: list[bytes] = []

    def append(self, record: bytes) -> None:
        self._sequence += 1
        self._waiting += encode_record(self._sequence, 1, record)
        self._waiting_records.append(record)

    def append_final(self, block: Block, certificate: Certificate) -> None:
        self._waiting_chain.append((block, certificate))

    @property
    def head(self) -> tuple[Block, Certificate] | None:
        whole = self._waiting_chain or self.chain
        return whole[-1] if whole else None

    def sync(self) -> None:
        if not self._waiting and not self._waiting_chain:
            return
        self._synced += self._waiting
        self.durable_votes.update(dict.fromkeys(find_votes(self._waiting_records)))
        self.chain += self._waiting_chain
        self._waiting, self._waiting_records, self._waiting_chain = bytearray(), [], []

    def crash(self, rng: random.Random) -> None:
        """A part of the unsynced bytes may have reached the disk."""
        self._synced += self._waiting[: rng.randint(0, len(self._waiting))]
        self._waiting, self._waiting_records, self._waiting_chain = bytearray(), [], []

    def read(self) -> list[bytes]:
        """The journal after a restart; the torn tail is cut off."""
        records, valid_length, status = scan(bytes(self._synced))
        assert status != CORRUPT_MIDDLE
        del self._synced[valid_length:]
        self._sequence = records[-1].sequence if records else 0
        bodies = [record.body for record in records]
        self.durable_votes = dict.fromkeys(find_votes(bodies))
        if self._generation:
            slots = bytearray(encode_slot(self._guard, self._generation) * 2)
            slots[10:20] = b"torn write"  # the older slot; the newer one must win
            decoded = decode_slots(bytes(slots))
            assert decoded == (self._guard, self._generation)
        return bodies

    def allow(self, kind: int, epoch: int, view: int, header_hash: bytes) -> str:
        """Empty if the guard allows the statement; it is durable at once."""
        if not self._has_guard:
            return ""
        answer = check(self._guard, kind, epoch, view, header_hash)
        if isinstance(answer, Refusal):
            return answer.reason
        if isinstance(answer, Allowed):
            self._guard = answer.state
            self._generation += 1
        return ""


def find_votes(records: list[bytes]) -> list[Vote]:
    """The votes that these records hold, alone or in a proposal."""
    votes: list[Vote] = []
    for record in records:
        if record[:2] in (b"\x82\x01", b"\x82\x03"):
            message = decode(record)
            if isinstance(message, Proposal):
                votes.append(message.vote)
            elif isinstance(message, Vote):
                votes.append(message)
    return votes
