"""How many message delays agreement takes, and how many frames: real cores, links of one fixed delay, no other cost.

With every link as slow as every other, and nothing else taking time, the latency divided by the delay is the protocol's
own number: 3 to finality and 2 between blocks; with collectors 5 and 2, for a fraction of the frames.
"""

from collections import Counter
from dataclasses import dataclass, field

from consensus.core import CoreConfig
from consensus.messages import COMMITMENT_BYTES, ZERO_HASH, Block, Header, Proposal, Vote, compute_domain
from testnet.sim.cores import PROPOSAL_HEAD, Host, Lab, Watch
from testnet.sim.keys import Keys, decode

GENESIS = Header(1, 0, 0, ZERO_HASH, 0, 0, 0, ZERO_HASH, ZERO_HASH, bytes(COMMITMENT_BYTES))
DOMAIN = compute_domain(31337, bytes(20))
WARM_UP_BLOCKS = 2
ALL_TO_ALL = 255  # a threshold that no committee is above


@dataclass
class Stopwatch(Watch):
    """When each block was first sent, and when each member had it final."""

    proposed_ms: dict[bytes, int] = field(default_factory=dict)
    final_ms: dict[int, list[int]] = field(default_factory=dict)  # by height
    hashes: dict[int, bytes] = field(default_factory=dict)  # by height

    def on_sent(self, host: Host, data: bytes, durable: dict[Vote, None]) -> None:
        if data[:2] == PROPOSAL_HEAD:
            message = decode(data)
            assert isinstance(message, Proposal)
            self.proposed_ms.setdefault(message.block.hash(), host.lab.now_ms)

    def on_final(self, host: Host, block: Block) -> None:
        self.final_ms.setdefault(block.header.height, []).append(host.lab.now_ms)
        self.hashes[block.header.height] = block.hash()


@dataclass(frozen=True, slots=True)
class Delays:
    """All of it in multiples of the link's delay, over every measured block; finality over every member, too."""

    finality: tuple[float, ...]
    between_blocks: tuple[float, ...]
    frames_per_view: float


def measure_delays(member_count: int, blocks: int, collector_threshold: int = 32, delay_ms: int = 40) -> Delays:
    """A committee without faults, from its third block on."""
    frames: Counter[int] = Counter()

    def find_delays_ms(source: Host, target: Host, view: int) -> list[int]:
        frames[view] += 1
        return [delay_ms]

    config = CoreConfig(
        domain=DOMAIN, epoch=1, member_count=member_count, me=None, genesis=GENESIS, delta_ms=20 * delay_ms,
        min_interval_ms=0, collector_threshold=collector_threshold,
    )  # fmt: skip
    watch = Stopwatch()
    leaders = tuple(range(member_count))
    lab = Lab(Keys(0, member_count, DOMAIN), leaders, (1,) * member_count, config, find_delays_ms, watch)
    lab.start()
    last = WARM_UP_BLOCKS + blocks
    while len(watch.final_ms.get(last, ())) < member_count:
        lab.step()
    heights = range(WARM_UP_BLOCKS + 1, last + 1)
    proposed_ms = {height: watch.proposed_ms[watch.hashes[height]] for height in range(WARM_UP_BLOCKS, last + 1)}
    return Delays(
        tuple((at_ms - proposed_ms[height]) / delay_ms for height in heights for at_ms in watch.final_ms[height]),
        tuple((proposed_ms[height] - proposed_ms[height - 1]) / delay_ms for height in heights),
        sum(frames[height] for height in heights) / blocks,  # without faults, heights are views
    )
