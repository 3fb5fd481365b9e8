"""Which probe is which."""

from testnet.launch import in_thread
from testnet.scenario.facts import Verdict
from testnet.scenario.probes import LostAnswer, RemovedLimits, ReplayedExit, Trial, ZeroRoot
from testnet.scenario.probing.access import Access
from testnet.scenario.probing.lost_answer import try_lost_answers
from testnet.scenario.probing.removed_limits import try_levers
from testnet.scenario.probing.replayed_exit import try_replays
from testnet.scenario.probing.zero_root import try_zero_roots


async def attempt_trial(trial: Trial, access: Access) -> list[Verdict]:
    """Everything that it tries."""
    match trial:
        case ZeroRoot():
            return await in_thread(try_zero_roots, access)
        case ReplayedExit():
            return await in_thread(try_replays, access)
        case RemovedLimits():
            return await in_thread(try_levers, access)
        case LostAnswer():
            return await try_lost_answers(trial, access)
