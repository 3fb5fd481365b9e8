"""How much a peer may say, by kind: three times what an honest member needs at the loads the network is made for.

A link counts frames and bytes of each kind before it decodes them; whoever overdraws is not read for as long as the
debt lasts, so a flood waits in the flooder's own socket. Kinds have budgets of their own because they cost differently:
a price report is a signature check for a hundred bytes, a batch one for each message in it, which are counted when they
have been checked, an answer to a question of ours hardly anything.
"""

from dataclasses import dataclass
from enum import IntEnum

from net.wire import FrameType


class Kind(IntEnum):
    """What a frame is paid from."""

    AGREEMENT = 0
    BATCHES = 1
    PRICES = 2
    EVIDENCE = 3
    QUESTIONS = 4
    ANSWERS = 5
    SIGNATURES = 6


KINDS: dict[FrameType, Kind] = {
    FrameType.HELLO: Kind.AGREEMENT,
    FrameType.PING: Kind.AGREEMENT,
    FrameType.PONG: Kind.AGREEMENT,
    FrameType.VOTE: Kind.AGREEMENT,
    FrameType.CERTIFICATE: Kind.AGREEMENT,
    FrameType.PROPOSAL: Kind.AGREEMENT,
    FrameType.EVIDENCE: Kind.EVIDENCE,
    FrameType.READY: Kind.EVIDENCE,
    FrameType.BATCH: Kind.BATCHES,
    FrameType.PRICE: Kind.PRICES,
    FrameType.BLOCK_REQUEST: Kind.QUESTIONS,
    FrameType.BATCH_REQUEST: Kind.QUESTIONS,
    FrameType.RANGE_REQUEST: Kind.QUESTIONS,
    FrameType.SNAPSHOT_REQUEST: Kind.QUESTIONS,
    FrameType.CHUNK_REQUEST: Kind.QUESTIONS,
    FrameType.BLOCK: Kind.ANSWERS,
    FrameType.RANGE_RESPONSE: Kind.ANSWERS,
    FrameType.NOT_FOUND: Kind.ANSWERS,
    FrameType.SNAPSHOT_OFFER: Kind.ANSWERS,
    FrameType.CHUNK: Kind.ANSWERS,
}


@dataclass(frozen=True, slots=True)
class Rate:
    """Frames and bytes a second, and as many seconds' worth at once."""

    frames_per_s: float
    bytes_per_s: float
    burst_s: float


MIB = 1024.0 * 1024.0
# Agreement: 50 views a second (the shortest interval of blocks) with a proposal of 40 KB, a vote and a certificate for
# each of three statements and a relay of each; bursts when a link comes up again.
# Batches: 50,000 actions a second that all come to one member, in batches of 512, are 100 a second; sealed more often
# at low load, 30 a second; a full batch has 65 KB.
# Signatures of traders in those batches: 4,000 messages a second, signed one by one, that all come to one member.
# Prices: one report a second. Evidence and readiness: a few a day.
# Questions: a member that has missed batches asks for each once in 250 ms. Answers: what we ask for, chunks of 1 MiB.
MEMBER: dict[Kind, Rate] = {
    Kind.AGREEMENT: Rate(1_500, 8 * MIB, 4),
    Kind.BATCHES: Rate(320, 20 * MIB, 2),
    Kind.PRICES: Rate(3, 3 * 1024, 8),
    Kind.EVIDENCE: Rate(3, 6 * 1024, 20),
    Kind.QUESTIONS: Rate(500, MIB, 4),
    Kind.ANSWERS: Rate(500, 64 * MIB, 2),
    Kind.SIGNATURES: Rate(12_000, 64 * MIB, 2),
}
# Who only listens may ask, and say that it is there.
STRANGER: dict[Kind, Rate] = {
    Kind.AGREEMENT: Rate(20, 8 * 1024, 4),
    Kind.BATCHES: Rate(1, 1024, 1),
    Kind.PRICES: Rate(1, 1024, 1),
    Kind.EVIDENCE: Rate(1, 1024, 1),
    Kind.QUESTIONS: Rate(50, 64 * 1024, 4),
    Kind.ANSWERS: Rate(1, 1024, 1),
    Kind.SIGNATURES: Rate(1, 1024, 1),
}
UNLIMITED: dict[Kind, Rate] = {kind: Rate(1e9, 1e12, 1) for kind in Kind}
