"""Which of several RPC endpoints is believed, and how far. Pure: what they told goes in, what is agreed comes out.

Of n configured endpoints a majority must tell the same, so at least two where there are two or more; the others may be
dead, late or lying. Only finalised blocks count. What is agreed once is never taken back, whatever an endpoint says
later. Whoever tells something else than the majority is named (`fault`), and asked again for what it told wrongly until
it tells the same.
"""

from dataclasses import dataclass, field

from contracts.chain_reader import PAGE_BLOCKS, News, SeenCheckpoint, find_break
from contracts.records import InboxRecord

HISTORY_MAX = 1_024
LIE = "tells another inbox or other checkpoints than the majority, from block {} on"


def count_needed(endpoint_count: int) -> int:
    """How many endpoints must tell the same."""
    return endpoint_count // 2 + 1


@dataclass(frozen=True, slots=True)
class Agreed:
    """The chain up to finalised block `block`: it has `entry_count` inbox entries with hash chain `entry_hash`."""

    block: int
    entry_count: int
    entry_hash: bytes


@dataclass(slots=True)
class EndpointView:
    """What one endpoint has told beyond what is agreed. `read_block`: up to there its logs are known."""

    name: str
    is_checked: bool = False  # right chain, right contract
    is_answering: bool = False
    fault: str = ""
    final_block: int = 0
    read_block: int = 0
    posted_height: int = 0
    page_blocks: int = PAGE_BLOCKS  # how many blocks' logs it gives at once
    entries: list[InboxRecord] = field(default_factory=list)
    checkpoints: list[SeenCheckpoint] = field(default_factory=list)

    @property
    def counts(self) -> bool:
        return self.is_checked and self.is_answering

    def told_by(self, block: int) -> News:
        """What happened beyond the agreed block up to `block`."""
        return _cut(News(tuple(self.entries), tuple(self.checkpoints)), 0, block)


class Endpoints:
    """See the module's text."""

    def __init__(self, names: list[str], agreed: Agreed) -> None:
        self.views = [EndpointView(name) for name in names]
        self.needed = count_needed(len(names))
        self.agreed = agreed
        self.is_disputed = False  # too many tell different things for any of them to be believed
        # What was agreed last, all of it that is younger than block `_history_from`: the late are compared with it.
        self._history = News((), ())
        self._history_from = agreed.block

    # what an endpoint said

    def on_checked(self, view: EndpointView, deployed_block: int) -> None:
        """It shows the right chain and contract."""
        view.is_checked = True
        self._reset(view)
        if not self.agreed.block:  # nothing happened before the contract was there
            view.read_block = max(0, deployed_block - 1)
        else:  # a page of what is agreed shows whether it tells the truth
            view.read_block = view.final_block = max(self._history_from, self.agreed.block - PAGE_BLOCKS)

    def on_failure(self, view: EndpointView, reason: str) -> None:
        """It did not answer, or nothing that makes sense."""
        view.is_answering, view.fault = False, reason

    def on_final(self, view: EndpointView, final_block: int, posted_height: int) -> bool:
        """Its last finalised block; False if that is earlier than before, which no honest chain says."""
        if final_block < view.final_block:
            self.on_failure(view, f"went back in time: block {final_block} was {view.final_block} before")
            return False
        view.posted_height = posted_height
        if not view.is_answering:
            view.is_answering, view.fault = True, ""
        return True

    def next_page(self, view: EndpointView, final_block: int) -> tuple[int, int] | None:
        """First and last block of the logs to be asked for next; None when it has told all of them."""
        if view.read_block >= final_block:
            view.final_block = final_block
            return None
        return view.read_block + 1, min(view.read_block + view.page_blocks, final_block)

    def on_refused_page(self, view: EndpointView, first_block: int, last_block: int) -> None:
        """It gives no logs of so many blocks at once: providers differ. Half of it, next time."""
        view.page_blocks = max(1, (last_block - first_block + 1) // 2)
        view.fault = f"gives no logs of {last_block - first_block + 1} blocks at once"

    def on_news(self, view: EndpointView, last_block: int, news: News) -> bool:
        """The logs of a page; False if they contradict themselves or what is agreed."""
        known_block = min(last_block, self.agreed.block)
        if not self._is_true(view, _cut(news, 0, known_block), view.read_block, known_block):
            return False
        news = _cut(news, self.agreed.block, last_block)
        count, entry_hash = self.agreed.entry_count, self.agreed.entry_hash
        fresh = tuple(entry for entry in news.entries if entry.index >= count)
        if view.entries:
            count, entry_hash = view.entries[-1].index + 1, view.entries[-1].hash
        reason = find_break(fresh, count, entry_hash)
        if reason:
            self._reset(view)
            self.on_failure(view, f"its inbox has {reason}")
            return False
        view.page_blocks = min(2 * view.page_blocks, PAGE_BLOCKS)
        view.entries += fresh
        view.checkpoints += news.checkpoints
        view.read_block = view.final_block = last_block
        return True

    # what is believed

    def agree(self) -> News | None:
        """Move on as far as enough endpoints tell the same; what is new, None if nowhere new."""
        counting = [view for view in self.views if view.counts]
        blocks = sorted({view.final_block for view in counting if view.final_block > self.agreed.block}, reverse=True)
        self.is_disputed = False
        for block in blocks:
            reaching = [view for view in counting if view.final_block >= block]
            if len(reaching) < self.needed:
                continue
            believed = max((self._agreeing(view, reaching, block) for view in reaching), key=len)
            if len(believed) >= self.needed:
                return self._move(block, believed)
            # Those that have not told so much yet may decide it.
            self.is_disputed |= len(believed) + len(counting) - len(reaching) < self.needed
        if self.is_disputed:
            for view in counting:
                self._reset(view)
        return None

    @property
    def posted_height(self) -> int:
        """Height of the last checkpoint as enough endpoints see it in their youngest blocks; the chain may take it
        back.
        """
        heights = sorted((view.posted_height for view in self.views if view.counts), reverse=True)
        return heights[self.needed - 1] if len(heights) >= self.needed else 0

    def _agreeing(self, one: EndpointView, views: list[EndpointView], block: int) -> list[EndpointView]:
        told = one.told_by(block)
        return [view for view in views if view.told_by(block) == told]

    def _move(self, block: int, believed: list[EndpointView]) -> News:
        truth = believed[0].told_by(block)
        before = self.agreed.block
        count, entry_hash = self.agreed.entry_count, self.agreed.entry_hash
        if truth.entries:
            count, entry_hash = truth.entries[-1].index + 1, truth.entries[-1].hash
        self.is_disputed = False
        self.agreed = Agreed(block, count, entry_hash)
        self._remember(truth)
        for view in self.views:
            told_block = min(view.read_block, block)
            if self._is_true(view, view.told_by(told_block), before, told_block):
                view.entries = [entry for entry in view.entries if entry.block_number > block]
                view.checkpoints = [item for item in view.checkpoints if item.block_number > block]
        return truth

    def _remember(self, truth: News) -> None:
        entries, checkpoints = self._history.entries + truth.entries, self._history.checkpoints + truth.checkpoints
        for dropped in (entries[:-HISTORY_MAX], checkpoints[:-HISTORY_MAX]):
            if dropped:
                self._history_from = max(self._history_from, dropped[-1].block_number)
        self._history = News(entries[-HISTORY_MAX:], checkpoints[-HISTORY_MAX:])

    def _is_true(self, view: EndpointView, told: News, after_block: int, last_block: int) -> bool:
        """Whether an endpoint told what is agreed of the blocks above `after_block`. If not it is named, and asked
        again from where it was wrong.
        """
        after_block = max(after_block, self._history_from)
        if last_block <= after_block:
            return True
        told, truth = _cut(told, after_block, last_block), _cut(self._history, after_block, last_block)
        if told == truth:
            if view.is_answering:
                view.fault = ""
            return True
        entries, checkpoints = {*told.entries} ^ {*truth.entries}, {*told.checkpoints} ^ {*truth.checkpoints}
        # Equal items in another order differ, too.
        blocks = [entry.block_number for entry in entries] + [item.block_number for item in checkpoints]
        wrong_block = min(blocks, default=after_block + 1)
        self._reset(view)
        view.read_block = view.final_block = wrong_block - 1
        view.fault = LIE.format(wrong_block)
        return False

    def _reset(self, view: EndpointView) -> None:
        """Forget what it told beyond what is agreed, so that it is asked again."""
        view.entries.clear()
        view.checkpoints.clear()
        view.read_block = view.final_block = self.agreed.block


def _cut(news: News, after_block: int, last_block: int) -> News:
    """What is of the blocks above `after_block` up to `last_block`."""
    return News(
        tuple(entry for entry in news.entries if after_block < entry.block_number <= last_block),
        tuple(item for item in news.checkpoints if after_block < item.block_number <= last_block),
    )
