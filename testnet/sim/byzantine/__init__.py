"""Members that break one rule each: one family of behaviours a file.

All of them run a real core and twist what it says, so they stay plausible.
"""

from testnet.sim.byzantine.ancestry import Skipper
from testnet.sim.byzantine.behaviour import Behaviour
from testnet.sim.byzantine.doubles import Equivocator, Twin, VoteAll
from testnet.sim.byzantine.forgery import Fabricator, Forger
from testnet.sim.byzantine.repair import Liar
from testnet.sim.byzantine.results import WrongResult
from testnet.sim.byzantine.silence import Silent, Withholder
from testnet.sim.byzantine.slander import Slanderer
from testnet.sim.byzantine.usurpation import Retagger, Usurper

BEHAVIOURS: tuple[type[Behaviour], ...] = (
    Silent, Twin, Equivocator, Withholder, WrongResult, VoteAll, Forger, Skipper, Liar, Usurper, Retagger,
    Fabricator, Slanderer,
)  # fmt: skip

__all__ = [
    "BEHAVIOURS",
    "Behaviour",
    "Equivocator",
    "Fabricator",
    "Forger",
    "Retagger",
    "Skipper",
    "Slanderer",
    "Twin",
    "Usurper",
    "WrongResult",
]
