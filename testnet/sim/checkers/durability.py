"""D1: what an honest node says is on its disk before it is said."""

from collections.abc import Container

from consensus.messages import Vote
from testnet.sim.checkers.violation import require


def check_durable(node: int, vote: Vote, durable_votes: Container[Vote]) -> None:
    require(vote in durable_votes, f"D1 node {node} sent a vote before it was durable")
