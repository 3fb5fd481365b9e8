"""No key lifts a limit of the custody at once: not the deployer's, not one operator's, not those of all.

Drift, April 2026: whoever held the administrator's key removed every limit within minutes, by transactions signed long
before. Here nobody is an administrator; operators propose, a quorum approves, and an exit window of days comes before
anything changes, within bounds.
"""

from collections.abc import Callable
from functools import partial

from contracts.chain_link import ChainLink
from contracts.council import Council, Kind
from contracts.digests import keccak
from contracts.records import Refused
from contracts.settlement import Settlement
from testnet.funding import DEPLOYER, derive_account, derive_operator
from testnet.scenario.facts import Verdict
from testnet.scenario.probing.access import Access, must_refuse, must_stay

NAME = "removed_limits"
# What other systems' administrators call.
USUAL_LEVERS = (
    "setOutflowCap(address,uint256)", "set_outflow_cap(address,uint256)", "transferOwnership(address)",
    "upgradeTo(address)", "upgradeToAndCall(address,bytes)", "setAdmin(address)", "pause()", "unpause()",
    "withdraw(address,uint256)", "emergencyWithdraw(address)", "execute(address,uint256,bytes)",
)  # fmt: skip
CAP_STEP = 2


def try_levers(access: Access) -> list[Verdict]:
    """Blocking."""
    deployer = derive_account(DEPLOYER)
    settlement = Settlement(access.rpc_url, access.config.contract, deployer.key)
    payouts, council_address = settlement.payouts(), settlement.council()
    token = settlement.token_address
    before = read_limits(settlement, token)
    verdicts = []
    link = ChainLink(access.rpc_url, deployer.key)
    for name, address in (("settlement", settlement.address_bytes), ("payouts", payouts.address_bytes)):
        pulled = [lever for lever in USUAL_LEVERS if not is_refused(partial(link.send_call, address, encode(lever)))]
        text = f"{len(USUAL_LEVERS)} usual levers of administrators, pulled at the {name} by its deployer"
        verdicts.append(Verdict(NAME, text, f"worked: {pulled or 'none'}", not pulled))
    again = partial(settlement.activate, settlement.next_committee_hash())
    verdicts.append(must_refuse(NAME, "the deployer activates another committee", again))
    seats = [
        Council(access.rpc_url, council_address, derive_operator(seat).key)
        for seat in range(len(access.config.validators))
    ]
    verdicts += try_council(
        seats, Council(access.rpc_url, council_address, deployer.key), token, payouts.outflow_cap(token)
    )
    return [*verdicts, must_stay(NAME, "cap, engine version, paused or not", before, read_limits(settlement, token))]


def try_council(seats: list[Council], stranger: Council, token: bytes, cap_units: int) -> list[Verdict]:
    """What operators can propose, and that none of it is in force at once."""
    one = seats[0]
    wild = (
        ("a cap a thousand times as high", Kind.OUTFLOW_CAP, token, cap_units * 1_000),
        ("a cap that is none", Kind.OUTFLOW_CAP, token, 2**200),
        ("an engine a million versions on", Kind.ENGINE_VERSION, bytes(20), 1_000_000),
        ("a collateral token without a contract", Kind.ADD_TOKEN, b"\xdd" * 20, 1),
    )
    verdicts = [
        must_refuse(NAME, f"an operator proposes {text}", partial(one.propose, 0, kind, target, setting))
        for text, kind, target, setting in wild
    ]
    double = cap_units * CAP_STEP
    verdicts.append(
        must_refuse(NAME, "the deployer proposes", partial(stranger.propose, 0, Kind.OUTFLOW_CAP, token, double))
    )
    number = one.propose(0, Kind.OUTFLOW_CAP, token, double)
    verdicts.append(must_refuse(NAME, "an operator executes what he alone approves", partial(one.execute, number)))
    for seat, council in enumerate(seats[1:], 1):
        if is_refused(partial(council.approve, seat, number)):
            break  # a quorum has approved before the last
    text = "all operators have approved; it is executed at once"
    return [*verdicts, must_refuse(NAME, text, partial(one.execute, number))]


def read_limits(settlement: Settlement, token: bytes) -> str:
    payouts = settlement.payouts()
    return f"{payouts.outflow_cap(token)} units, version {settlement.engine_version()}, {payouts.is_paused()}"


def encode(signature: str) -> bytes:
    """A call with arguments of zeros."""
    return keccak(signature.encode())[:4] + bytes(32 * (signature.count(",") + 1))


def is_refused(action: Callable[[], object]) -> bool:
    try:
        action()
    except Refused:
        return True
    return False
