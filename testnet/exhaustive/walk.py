"""The other way round: members that get single votes, in any order, must end up where the search has been.

The search delivers certificates and leaves out steps that took in too much. A random walk does neither: votes come one
by one, the byzantine member's too, cores count them themselves, and every message may come at any time and again. What
the members of a walk have said must be something that the search has seen said, and no walk may show a fault.
"""

import random
from collections.abc import Callable

from consensus.messages import Vote, encode_message
from testnet.exhaustive.member import Member, answer, fire, receive, start_member
from testnet.exhaustive.properties import compute_certified, find_global_fault, find_member_fault
from testnet.exhaustive.search import Search
from testnet.exhaustive.universe import EPOCH, QUORUM, SIGNATURE, VIEWS, Delivery, Statement, Universe

WALK_STEPS = 120
TIMER_SHARE = 0.06


class Walk:
    """One walk; `seen` are the sets of statements that a complete search has met."""

    def __init__(self, search: Search, seed: int) -> None:
        self.universe: Universe = search.universe
        self.search = search
        self.rng = random.Random(seed)
        self.members = [start_member(self.universe, index) for index in search.names]

    def run(self) -> str:
        """What went wrong; empty if nothing did."""
        seen = self.search.statement_sets
        for step in range(WALK_STEPS):
            place = self.rng.randrange(len(self.members))
            self.choose(place)()
            fault = self.find_fault()
            if fault:
                return f"step {step}: {fault}"
            said = self.search.arrange_said(tuple(member.said for member in self.members))
            if said not in seen:
                texts = [self.universe.describe_mask(mask) for mask in said]
                return f"step {step}: the search never saw members say {'; '.join(texts)}"
        return ""

    def choose(self, place: int) -> Callable[[], None]:
        """Something that may happen to this member now."""
        member, draw = self.members[place], self.rng.random()
        if draw < TIMER_SHARE and member.core.view <= VIEWS:
            return lambda: fire(self.universe, member, member.core.view)
        if draw < 0.3 and member.answers:
            late = self.rng.choice(member.answers)
            return lambda: answer(self.universe, member, late)
        delivery = self.rng.choice(self.list_votes(member) if draw < 0.65 else self.list_messages())
        return lambda: receive(self.universe, member, delivery)

    def list_votes(self, receiver: Member) -> list[Delivery]:
        """What others have said, each in its own vote, and whatever the byzantine member may say."""
        lie = self.rng.choice(self.universe.statements)
        votes = [make_vote(self.universe.scenario.byzantine, lie)]
        for other in self.members:
            if other is not receiver:
                said = (known for known, bit in self.universe.bits.items() if other.said & bit)
                votes += [make_vote(other.index, known) for known in said]
        return votes

    def list_messages(self) -> list[Delivery]:
        """Certificates that can be formed, signed by all who said it, and proposals and blocks that were made."""
        said = tuple(member.said for member in self.members)
        certified, anybody = compute_certified(self.universe, said, QUORUM), said[0] | said[1] | said[2]
        return [
            known
            for known in self.universe.make_deliveries(self.find_signers)
            if known.needs & ~certified == 0 and known.needs_said & ~anybody == 0
        ]

    def find_signers(self, statement: Statement) -> tuple[int, ...]:
        bit = self.universe.bits[statement]
        honest = [member.index for member in self.members if member.said & bit]
        return tuple(sorted([*honest, self.universe.scenario.byzantine]))

    def find_fault(self) -> str:
        said = tuple(member.said for member in self.members)
        for member in self.members:
            fault = member.fault or find_member_fault(self.universe, member.said)
            if fault:
                return fault
        return find_global_fault(self.universe, compute_certified(self.universe, said, QUORUM))


def make_vote(signer: int, statement: Statement) -> Delivery:
    kind, view, block_hash = statement
    data = encode_message(Vote(kind, EPOCH, view, block_hash, signer, SIGNATURE))
    return Delivery("vote", signer, data, 0, 0)
