"""Members that break one rule each: one family of behaviours a file.

All of them run a real core and twist what it says, so they stay plausible.
"""

from testnet.sim.byzantine.ancestry import Skipper
from testnet.sim.byzantine.behaviour import Behaviour
from testnet.sim.byzantine.contents import (
    BadOrder,
    BatchForger,
    BatchHider,
    BatchTwister,
    Censor,
    ClockLiar,
    InboxCensor,
    InboxForger,
    SelfServer,
)
from testnet.sim.byzantine.doubles import Equivocator, Triplet, Twin, VoteAll
from testnet.sim.byzantine.forgery import Fabricator, Forger
from testnet.sim.byzantine.moods import Amnesiac, LateLeader, Nuller, Relayer
from testnet.sim.byzantine.noise import Flooder, Junk, Replayer
from testnet.sim.byzantine.prices import DearPrices, ExtremePrices, LoneReporter, ReportForger, StalePrices
from testnet.sim.byzantine.repair import Inventor, Liar
from testnet.sim.byzantine.results import WrongResult
from testnet.sim.byzantine.silence import Hoarder, Silent, Withholder
from testnet.sim.byzantine.slander import Slanderer
from testnet.sim.byzantine.sleeper import Sleeper
from testnet.sim.byzantine.usurpation import Retagger, Usurper

BEHAVIOURS: tuple[type[Behaviour], ...] = (
    Silent, Twin, Equivocator, Withholder, WrongResult, VoteAll, Forger, Skipper, Liar, Usurper, Retagger,
    Fabricator, Slanderer, Triplet, Amnesiac, LateLeader, Nuller, Relayer, Flooder, Junk, Replayer, ExtremePrices,
    LoneReporter, ReportForger, StalePrices, Inventor, BadOrder, BatchForger, BatchHider, BatchTwister, Censor,
    ClockLiar, InboxCensor, InboxForger,
)  # fmt: skip
# Of scenarios alone: more of what the ones above do.
WHOLESALE: tuple[type[Behaviour], ...] = (Hoarder, SelfServer, DearPrices)

__all__ = ["BEHAVIOURS", "WHOLESALE", "Behaviour", "Sleeper"]
