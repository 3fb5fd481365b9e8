"""Members that break one rule each: one family of behaviours a file.

All of them run a real core and twist what it says, so they stay plausible.
"""

from testnet.sim.byzantine.ancestry import Skipper
from testnet.sim.byzantine.behaviour import Behaviour
from testnet.sim.byzantine.doubles import Equivocator, Twin, VoteAll
from testnet.sim.byzantine.forgery import Forger
from testnet.sim.byzantine.repair import Liar
from testnet.sim.byzantine.results import WrongResult
from testnet.sim.byzantine.silence import Silent, Withholder

BEHAVIOURS: tuple[type[Behaviour], ...] = (
    Silent, Twin, Equivocator, Withholder, WrongResult, VoteAll, Forger, Skipper, Liar,
)  # fmt: skip

__all__ = ["BEHAVIOURS", "Behaviour", "Equivocator", "Twin"]
