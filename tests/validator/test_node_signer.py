"""A whole node whose key is with a signer: it agrees, changes its epoch, and starts before its signer does."""

from dataclasses import replace
from pathlib import Path

import pytest
import trio
from running_signer import RunningSigner

from consensus.messages import compute_domain
from tests.validator.test_rotation import FOUNDER, LIMIT_S, NETWORK, STAYS, open_node, work
from validator.config import address_bytes
from validator.node import Node
from validator.restart import Restart
from validator.signer import SignerError
from validator.signing import keep_signer

KEYS = replace(FOUNDER, bls=None)
DOMAIN = compute_domain(NETWORK.chain_id, address_bytes(NETWORK.contract))


def make_signer(folder: Path) -> RunningSigner:
    assert FOUNDER.bls is not None
    return RunningSigner(folder, FOUNDER.bls, NETWORK.digest(), DOMAIN)


async def run_until(node: Node, epoch: int, blocks: int) -> None:
    """Until so many blocks of an epoch are final; answers of the signer come in between."""
    with trio.fail_after(LIMIT_S):
        while node.agreement.epoch < epoch or node.executor.final.height < find_root_height(node) + blocks:
            work(node)
            await trio.sleep(0)


def find_root_height(node: Node) -> int:
    return node.agreement.holder.current.core.config.genesis.height


async def agree(node: Node, *goals: tuple[int, int]) -> None:
    async with trio.open_nursery() as nursery:
        nursery.start_soon(keep_signer, node, node._signer)
        for epoch, blocks in goals:
            if epoch == STAYS.epoch:
                node.agreement.appoint(STAYS)
            await run_until(node, epoch, blocks)
        nursery.cancel_scope.cancel()


def test_a_node_agrees_across_an_epoch_with_its_key_elsewhere(tmp_path):
    """Votes, and the statement that it is ready for the next epoch; then a restart goes on."""
    folder = tmp_path / "node"
    with make_signer(tmp_path / "signer") as running:
        with open_node(folder, KEYS, signer=f"unix:{running.path}") as node:
            trio.run(agree, node, (1, 2), (2, 3))
            height = node.executor.final.height
        assert running.signer.newest[0] == 2 and not (folder / "data" / "guard").exists()
        with open_node(folder, KEYS, signer=f"unix:{running.path}") as node:
            assert not node.is_observer and node.executor.final.height == height
            trio.run(agree, node, (2, height - find_root_height(node) + 2))
        # The node ended with a question on its way: that vote is in the guard and not in the journal.
        assert sum(running.signer.refused.values()) <= 1


def test_a_node_that_starts_before_its_signer_observes_and_is_built_anew(tmp_path):
    path = tmp_path / "signer" / "signer.sock"
    with open_node(tmp_path / "node", KEYS, signer=f"unix:{path}") as node:
        assert node.is_observer
        work(node)
        with make_signer(path.parent), pytest.raises(Restart, match="the signer answers"):
            trio.run(keep_signer, node, node._signer)


def test_a_signers_folder_older_than_the_journal_is_refused(tmp_path):
    """Its guard is restored from before; the node's own journal has later votes."""
    folder, restored = tmp_path / "node", tmp_path / "restored"
    with make_signer(tmp_path / "signer") as running, open_node(folder, KEYS, signer=f"unix:{running.path}") as node:
        trio.run(agree, node, (1, 3))
        last = running.signer.newest[1]
    with make_signer(restored) as running:
        running.signer.enter(1, None)
        running.signer.raise_floor(1)
        with pytest.raises(SignerError, match="signer's folder is an old copy"), open_node(
            folder, KEYS, signer=f"unix:{running.path}"
        ):  # fmt: skip
            pass
    assert last > 1
