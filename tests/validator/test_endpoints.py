"""Several RPC endpoints: a majority decides, the dead delay nobody, liars are named, what is final stays."""

import pytest
import trio
from trio.testing import MockClock

from contracts.chain_reader import PAGE_BLOCKS
from contracts.digests import keccak
from engine.payload import InboxEntry
from tests.validator.fake_chain import CHAIN_ID, DEPLOYED_BLOCK, DOMAIN, FakeChain, FakeEndpoint
from validator.endpoints import Agreed, count_needed
from validator.inbox import Inbox
from validator.watcher import OnChain, Outside, Watcher, name_endpoints

NOTHING = Agreed(0, 0, bytes(32))


class Node:
    """What a node keeps of the chain, and its watcher over some endpoints."""

    def __init__(self, *endpoints: FakeEndpoint, agreed: Agreed = NOTHING, first_index: int = 0) -> None:
        self.inbox, self.on_chain = Inbox(first_index), OnChain()
        self.kept: list[InboxEntry] = []
        self.blocks: list[int] = []
        self._view_count = 0
        readers = {f"e{at}": endpoint.reader() for at, endpoint in enumerate(endpoints)}
        self._watcher = Watcher(readers, CHAIN_ID, DOMAIN, agreed, self.inbox, self.on_chain)

    def _keep(self, agreed: Agreed, entries: list[InboxEntry]) -> None:
        self.blocks.append(agreed.block)
        self.kept += entries

    def poll(self, times: int = 1) -> None:
        """Each endpoint once, in order, as often as asked; without the pauses between."""

        async def run() -> None:
            outside = Outside(lambda: 1_000, self._keep, lambda: None)
            for _ in range(times):
                for view, reader in zip(self._watcher._endpoints.views, self._watcher._readers):
                    while await self._watcher._poll(view, reader):
                        pass
                    self._watcher._settle(outside)
                    self._watcher._report()

        trio.run(run)

    @property
    def amounts(self) -> list[int]:
        return [entry.amount for entry in self.kept]

    @property
    def faults(self) -> list[str]:
        return [status.fault for status in self.on_chain.endpoints]


def make_chain(*amounts: int, final_block: int = 10) -> FakeChain:
    """Entries in blocks 4, 5, ..."""
    chain = FakeChain()
    chain.final_block = final_block
    for at, amount in enumerate(amounts):
        chain.add_entry(4 + at, amount)
    return chain


@pytest.mark.parametrize(("configured", "needed"), [(1, 1), (2, 2), (3, 2), (4, 3), (5, 3)])
def test_a_majority_is_needed_and_two_where_there_are_two(configured: int, needed: int) -> None:
    assert count_needed(configured) == needed
    chain = make_chain(5, 6)
    endpoints = [FakeEndpoint(chain) for _ in range(configured)]
    for endpoint in endpoints[needed:]:
        endpoint.is_dead = True
    node = Node(*endpoints)
    node.poll()
    assert (node.amounts, node.on_chain.block) == ([5, 6], 10)
    endpoints[0].is_dead = True
    chain.add_entry(11, 7)
    chain.final_block = 12
    node.poll(3)
    assert node.amounts == [5, 6]
    endpoints[0].is_dead = False
    node.poll()
    assert node.amounts == [5, 6, 7]
    assert [status.is_well for status in node.on_chain.endpoints] == [at < needed for at in range(configured)]


def test_only_what_is_final_at_enough_endpoints_counts() -> None:
    chains = [make_chain(5, 6, 7, 8, final_block=final) for final in (5, 6, 7)]
    node = Node(*map(FakeEndpoint, chains))
    node.poll(2)
    assert (node.amounts, node.on_chain.block, node.faults) == ([5, 6, 7], 6, ["", "", ""])


@pytest.mark.parametrize("liar", [0, 1, 2])
def test_a_liar_is_named_and_outvoted_and_forgiven_when_it_tells_the_truth(liar: int) -> None:
    honest, false = make_chain(5, 6), make_chain(5, 600)
    endpoints = [FakeEndpoint(honest) for _ in range(3)]
    endpoints[liar].chain = false
    node = Node(*endpoints)
    node.poll(2)
    assert node.amounts == [5, 6]
    assert [bool(fault) for fault in node.faults] == [at == liar for at in range(3)]
    assert "another inbox" in node.faults[liar]
    honest.add_entry(12, 7)
    honest.final_block = 12
    node.poll(2)
    assert node.amounts == [5, 6, 7] and node.faults[liar]
    endpoints[liar].chain = honest
    node.poll()
    honest.final_block = 13
    node.poll(2)
    assert node.faults == ["", "", ""] and node.amounts == [5, 6, 7]


def test_a_liar_that_is_far_ahead_holds_nobody_up() -> None:
    """It invents a deposit, and final blocks that nobody has."""
    honest, false = make_chain(5), make_chain(5, 10**12, final_block=10**9)
    node = Node(FakeEndpoint(honest), FakeEndpoint(honest))
    lying = Node(FakeEndpoint(false), FakeEndpoint(honest), FakeEndpoint(honest))
    node.poll()

    async def run() -> None:
        outside = Outside(lambda: 1_000, lying._keep, lambda: None)
        for _ in range(3):  # it never ends reading the liar's blocks, so each gets its turn
            for view, reader in zip(lying._watcher._endpoints.views, lying._watcher._readers):
                await lying._watcher._poll(view, reader)
                lying._watcher._settle(outside)

    trio.run(run)
    assert lying.amounts == node.amounts == [5]
    assert lying.on_chain.block == 10


def test_where_two_disagree_neither_is_believed_until_they_agree() -> None:
    endpoints = [FakeEndpoint(make_chain(5)), FakeEndpoint(make_chain(6))]
    node = Node(*endpoints)
    node.poll(3)
    assert (node.amounts, node.on_chain.block) == ([], 0)
    assert node._watcher._endpoints.is_disputed
    endpoints[1].chain = endpoints[0].chain
    node._watcher._endpoints.on_failure(node._watcher._endpoints.views[1], "restarted")
    node._watcher._endpoints.views[1].is_checked = False
    node.poll()
    assert node.amounts == [5] and not node._watcher._endpoints.is_disputed


def test_endpoints_that_dispute_are_believed_again_when_the_liar_mends_its_ways() -> None:
    """Without a restart: both are asked again for what they told differently."""
    endpoints = [FakeEndpoint(make_chain(5)), FakeEndpoint(make_chain(6))]
    node = Node(*endpoints)
    node.poll(2)
    endpoints[1].chain = endpoints[0].chain
    node.poll(2)
    assert node.amounts == [5]


def test_an_endpoint_that_goes_back_in_time_is_named_and_changes_nothing() -> None:
    chain, past = make_chain(5, 6), make_chain(5, final_block=4)
    endpoint = FakeEndpoint(chain)
    node = Node(endpoint)
    node.poll()
    endpoint.chain = past
    node.poll()
    assert "back in time" in node.faults[0]
    assert (node.amounts, node.on_chain.block, node.inbox.newest.block) == ([5, 6], 10, 10)
    endpoint.chain = chain
    chain.final_block = 11
    node.poll()
    assert node.faults == [""] and node.on_chain.block == 11


def test_what_is_not_final_may_be_reorganised_as_it_likes() -> None:
    chain = make_chain(5)
    chain.add_entry(11, 6)
    chain.add_checkpoint(40, 11)
    endpoints = [FakeEndpoint(chain), FakeEndpoint(chain)]
    node = Node(*endpoints)
    node.poll()
    assert (node.amounts, node.on_chain.height, node.on_chain.posted_height) == ([5], 0, 40)
    other = make_chain(5)
    other.add_entry(12, 7)
    other.add_checkpoint(38, 12)
    for endpoint in endpoints:
        endpoint.chain = other
    node.poll()
    assert (node.amounts, node.on_chain.height, node.on_chain.posted_height) == ([5], 0, 38)
    other.final_block = 12
    node.poll()
    assert (node.amounts, node.on_chain.height, node.on_chain.posted_height) == ([5, 7], 38, 38)
    assert node.on_chain.header_hash == keccak((38).to_bytes(8, "big"))


def test_one_endpoint_alone_cannot_say_that_a_checkpoint_was_posted() -> None:
    honest, false = make_chain(), make_chain()
    false.add_checkpoint(10**9, 11)
    node = Node(FakeEndpoint(false), FakeEndpoint(honest), FakeEndpoint(honest))
    node.poll(2)
    assert node.on_chain.posted_height == 0


@pytest.mark.parametrize("damage", ["gap", "hash"])
def test_an_inbox_that_contradicts_itself_is_not_believed_even_from_the_only_endpoint(damage: str) -> None:
    chain = make_chain(5, 6, 7)
    if damage == "gap":
        del chain.entries[1]
    else:
        chain.entries[1] = make_chain(5, 9).entries[1]
    node = Node(FakeEndpoint(chain))
    node.poll(2)
    assert node.amounts == [] and ("gap" in node.faults[0] or "hash" in node.faults[0])
    node._watcher._readers[0] = FakeEndpoint(make_chain(5, 6, 7)).reader()
    node.poll()
    assert node.amounts == [5, 6, 7]


def test_another_chain_is_named_and_does_not_count() -> None:
    chain = make_chain(5)
    wrong = FakeEndpoint(chain)
    wrong.chain_id = 1
    node = Node(wrong, FakeEndpoint(chain), FakeEndpoint(chain))
    node.poll()
    assert node.amounts == [5] and "wrong chain" in node.faults[0]
    alone = Node(wrong)
    alone.poll(2)
    assert alone.amounts == []


def test_a_poll_costs_the_same_however_long_the_chain_is() -> None:
    chain = make_chain(5, 6, final_block=3 * PAGE_BLOCKS)
    endpoint = FakeEndpoint(chain)
    node = Node(endpoint)
    node.poll()
    assert endpoint.ranges[0][0] == DEPLOYED_BLOCK
    assert all(last - first < PAGE_BLOCKS for first, last in endpoint.ranges)
    read = len(endpoint.ranges)
    node.poll(5)
    assert len(endpoint.ranges) == read  # nothing new, no logs asked for
    before = dict(endpoint.asked)
    chain.final_block += 1
    node.poll()
    assert endpoint.ranges[read:] == [(chain.final_block, chain.final_block)]
    assert sum(endpoint.asked.values()) - sum(before.values()) == 3


def test_an_endpoint_that_gives_few_blocks_at_once_is_asked_for_few() -> None:
    chain = make_chain(5, 6, final_block=400)
    endpoint = FakeEndpoint(chain)
    endpoint.range_max = 100
    node = Node(endpoint)
    node.poll(20)
    assert (node.amounts, node.on_chain.block, node.faults) == ([5, 6], 400, [""])
    assert [first for first, _ in endpoint.ranges[1:]] == [last + 1 for _, last in endpoint.ranges[:-1]]


def test_a_node_that_starts_again_reads_on_from_where_it_was() -> None:
    chain = make_chain(5, 6, final_block=2 * PAGE_BLOCKS)
    first = Node(FakeEndpoint(chain))
    first.poll()
    chain.add_entry(2 * PAGE_BLOCKS + 1, 7)
    chain.final_block += 1
    endpoint = FakeEndpoint(chain)
    again = Node(endpoint, agreed=first._watcher._endpoints.agreed, first_index=2)
    again.poll()
    assert endpoint.ranges == [(2 * PAGE_BLOCKS + 1, 2 * PAGE_BLOCKS + 1)]
    assert again.amounts == [7] and again.inbox.count == 3


def test_a_node_that_starts_from_a_snapshot_reads_past_what_is_consumed() -> None:
    chain = make_chain(5, 6, 7)
    node = Node(FakeEndpoint(chain), agreed=Agreed(0, 2, chain.entries[1].hash), first_index=2)
    node.poll()
    assert node.amounts == [7] and node.inbox.count == 3


def test_endpoints_are_shown_without_the_keys_in_their_addresses() -> None:
    urls = ("https://user:secret@rpc.example/v3/0123secret", "http://127.0.0.1:8545", "http://127.0.0.1:8545/other")
    assert name_endpoints(urls) == ["rpc.example", "127.0.0.1:8545", "127.0.0.1:8545 (3)"]


async def test_a_dead_endpoint_delays_nobody(autojump_clock: MockClock) -> None:
    chain = make_chain(5)
    endpoints = [FakeEndpoint(chain) for _ in range(3)]
    endpoints[0].is_dead = True
    node = Node(*endpoints)
    seen = trio.Event()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(node._watcher.run, Outside(lambda: 1_000, node._keep, seen.set))
        await seen.wait()
        nursery.cancel_scope.cancel()
    assert node.amounts == [5]
