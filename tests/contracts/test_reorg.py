"""The chain takes blocks back: what was not final leaves no trace in a node, and a checkpoint goes out once more."""

from settlement_world import HeaderFields, World

from contracts.chain_reader import ChainReader, find_break
from contracts.records import InboxRecord
from engine.payload import InboxEntry
from validator.endpoints import Agreed
from validator.inbox import Inbox
from validator.watcher import OnChain, Watcher


def make_reader(world: World) -> ChainReader:
    def ask(method: str, params: list[object]) -> object:
        return world.provider.make_request(method, params)["result"]  # type: ignore[arg-type]

    return ChainReader(ask, world.deployment.settlement)


class Follower:
    """A node's view of the embedded chain through one endpoint."""

    def __init__(self, world: World) -> None:
        contract = world.contract
        self.inbox, self.on_chain = Inbox(), OnChain()
        self.kept: list[InboxEntry] = []
        readers = {"embedded": make_reader(world)}
        nothing = Agreed(0, 0, bytes(32))
        self._watcher = Watcher(readers, contract.chain_id, contract.domain(), nothing, self.inbox, self.on_chain)

    def poll(self) -> None:
        import trio

        from validator.watcher import Outside

        async def run() -> None:
            outside = Outside(lambda: 1_000, lambda _, entries: self.kept.extend(entries), lambda: None)
            (view,) = self._watcher._endpoints.views
            while await self._watcher._poll(view, self._watcher._readers[0]):
                pass
            self._watcher._settle(outside)

        trio.run(run)


def amounts(entries: list[InboxEntry] | tuple[InboxRecord, ...]) -> list[int]:
    return [entry.amount for entry in entries]


def test_a_reorganisation_below_finality_changes_nothing_that_a_node_holds(world: World) -> None:
    node = Follower(world)
    world.deposit(5)
    world.chain.mine()
    node.poll()
    assert (amounts(node.kept), node.on_chain.height) == ([5], 0)
    branch = world.chain.head.block_number
    world.post(world.consumed(HeaderFields(height=3)))  # in the youngest block
    node.poll()
    assert (node.on_chain.posted_height, node.on_chain.height) == (3, 0)
    world.chain.rewind(branch)
    world.deposit(7)  # another history
    world.chain.mine()
    node.poll()
    assert (amounts(node.kept), node.on_chain.posted_height, node.on_chain.height) == ([5, 7], 0, 0)
    assert node.inbox.count == 2 == world.contract.inbox_length()


def test_a_deposit_that_was_taken_back_was_never_there(world: World) -> None:
    """A header that consumed it cannot become a checkpoint, whoever signed it (inbox hash is not the prefix)."""
    branch = world.chain.head.block_number
    world.deposit(5)
    lost = make_reader(world).news(0, world.chain.head.block_number).entries
    assert find_break(lost, 0, bytes(32)) == ""
    world.chain.rewind(branch)
    world.deposit(6)
    found = make_reader(world).news(0, world.chain.head.block_number).entries
    assert (amounts(lost), amounts(found)) == ([5], [6])
    assert lost[0].hash != found[0].hash == world.contract.inbox_hash(1)


def test_a_checkpoint_that_was_taken_back_is_posted_again_with_the_same_bytes(world: World) -> None:
    world.deposit()
    branch = world.chain.head.block_number
    header = world.consumed(HeaderFields(height=9)).encode()
    signature = world.sign(world.digest(header))
    first = world.contract.checkpoint(header, [], signature)
    world.chain.rewind(branch)
    assert make_reader(world).posted_height() == 0
    again = world.contract.checkpoint(header, [], signature)
    assert again.gas_used == first.gas_used and make_reader(world).posted_height() == 9
