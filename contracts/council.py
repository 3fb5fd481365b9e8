"""Typed access to the council (contracts/src/Council.vy), where the committee's operators pause and propose.

Blocking, and raises as `contracts.settlement` does: `ChainError` when the chain does not answer (retry), `Refused` when
the contract says no (do not). A seat is an index in the current committee.
"""

from dataclasses import dataclass
from enum import Enum, IntEnum

from eth_utils import to_canonical_address, to_checksum_address
from web3.providers.base import BaseProvider

from contracts.artifact import load_artifact
from contracts.chain_link import ChainLink
from contracts.contract_client import ContractClient
from contracts.records import TxResult

PAUSE_S = 24 * 3_600
COOLDOWN_S = 24 * 3_600
# Claim delay, force deadline and a pause fit in it several times over.
EXIT_WINDOW_S = 7 * 86_400
VOTING_S = 7 * 86_400
EXECUTION_S = 14 * 86_400


class Kind(IntEnum):
    """What a proposal changes; the numbers are the contract's."""

    ENGINE_VERSION = 1
    OUTFLOW_CAP = 2
    ADD_TOKEN = 3


class Stage(Enum):
    """How far a proposal has come at some block time."""

    VOTING = "voting"
    WAITING = "waiting for the exit window"
    EXECUTABLE = "executable"
    EXPIRED = "expired"
    CLOSED = "executed or vetoed"


@dataclass(frozen=True, slots=True)
class Proposal:
    """`setting` is an engine version or a cap in token units; times are in Unix seconds, zero where not yet."""

    number: int
    kind: Kind
    target: bytes
    setting: int
    opened_s: int
    approved_s: int
    is_closed: bool
    approvers: tuple[int, ...]
    opponents: tuple[int, ...]

    def stage(self, now_s: int, exit_window_s: int) -> Stage:
        """By the rules of the contract, at block time `now_s`."""
        if self.is_closed:
            return Stage.CLOSED
        if self.approved_s == 0:
            return Stage.VOTING if now_s <= self.opened_s + VOTING_S else Stage.EXPIRED
        if now_s < self.approved_s + exit_window_s:
            return Stage.WAITING
        return Stage.EXECUTABLE if now_s <= self.approved_s + exit_window_s + EXECUTION_S else Stage.EXPIRED


@dataclass(frozen=True, slots=True)
class PauseState:
    """`voters` are seats whose votes for a pause count now; `few` of them begin one."""

    is_paused: bool
    until_s: int
    pausable_from_s: int
    voters: tuple[int, ...]
    few: int


class Council(ContractClient):
    """The council at `address`, as seen through one RPC endpoint."""

    def __init__(self, endpoint: str | BaseProvider, address: str | bytes, private_key: bytes | None = None) -> None:
        """Raises `ChainError` if nothing answers or no contract is there."""
        super().__init__(ChainLink(endpoint, private_key), address, "Council")

    # -------------------------------------------------------- voting

    def pause(self, seat: int) -> TxResult:
        """Vote for a pause of withdrawal claims."""
        return self._send("pause", seat)

    def propose(self, seat: int, kind: Kind, target: bytes, setting: int) -> int:
        """Put a change up for approval and approve it; the proposal's number."""
        result = self._send("propose", seat, int(kind), to_checksum_address(target), setting)
        event = self._contract.events.Proposed
        block = result.block_number
        logs = self._link.ask(lambda: list(event.get_logs(from_block=block, to_block=block)))
        (number,) = (log["args"]["id"] for log in logs if bytes(log["transactionHash"]) == result.tx_hash)
        return int(number)

    def approve(self, seat: int, number: int) -> TxResult:
        """Approve an open proposal."""
        return self._send("approve", seat, number)

    def veto(self, seat: int, number: int) -> TxResult:
        """Vote against a proposal, approved or not."""
        return self._send("veto", seat, number)

    def execute(self, number: int) -> TxResult:
        """Carry out an approved proposal after its exit window; anyone may."""
        return self._send("execute", number)

    # -------------------------------------------------------- reading

    def settlement(self) -> bytes:
        """Address of the custody that obeys this council."""
        return to_canonical_address(self._read("SETTLEMENT"))

    def is_paused(self) -> bool:
        """Whether withdrawals may not be claimed now."""
        return bool(self._read("is_paused"))

    def pause_state(self) -> PauseState:
        """Everything about pausing, in the latest block."""
        few, _ = self.thresholds()
        return PauseState(
            self.is_paused(), self._read("paused_until_s"), self._read("pausable_from_s"),
            _seats(self._read("pause_votes")), few,
        )  # fmt: skip

    def pause_s(self) -> int:
        """How long one pause lasts."""
        return self._read_number("PAUSE_S")

    def cooldown_s(self) -> int:
        """How long after a pause none can follow."""
        return self._read_number("COOLDOWN_S")

    def exit_window_s(self) -> int:
        """From approval to execution."""
        return self._read_number("EXIT_WINDOW_S")

    def thresholds(self) -> tuple[int, int]:
        """Operators that pause or veto (f+1), and that approve (a quorum)."""
        few, quorum = self._read("thresholds")
        return few, quorum

    def cap_floor(self, token: bytes) -> int:
        """The least outflow cap of a collateral token that a proposal may set, in its units."""
        return self._read_number("cap_floor", to_checksum_address(token))

    def proposal_count(self) -> int:
        """Proposals so far, numbered from zero."""
        return self._read_number("proposal_count")

    def proposal(self, number: int) -> Proposal:
        """One proposal. Raises `ValueError` if there is none of that number."""
        if not 0 <= number < self.proposal_count():
            raise ValueError(f"there is no proposal {number}; there are {self.proposal_count()}")
        kind, target, setting, opened_s, approved_s, is_closed = self._read("proposal", number)
        approvers, opponents = self._read("votes_on", number)
        return Proposal(
            number, Kind(kind), to_canonical_address(target), setting, opened_s, approved_s, is_closed,
            _seats(approvers), _seats(opponents),
        )  # fmt: skip

    def now_s(self) -> int:
        """Time of the latest block."""
        return self._link.ask(lambda: self._link.web3.eth.get_block("latest")["timestamp"])


def deploy_council(
    endpoint: str | BaseProvider,
    private_key: bytes,
    settlement: str,
    *,
    pause_s: int = PAUSE_S,
    cooldown_s: int = COOLDOWN_S,
    exit_window_s: int = EXIT_WINDOW_S,
) -> str:
    """Create the council of a settlement contract; its checksummed address."""
    link = ChainLink(endpoint, private_key)
    artifact = load_artifact("Council")
    factory = link.web3.eth.contract(abi=artifact["abi"], bytecode=artifact["bytecode"])
    return link.deploy(factory.constructor(to_checksum_address(settlement), pause_s, cooldown_s, exit_window_s))


def _seats(bitmap: int) -> tuple[int, ...]:
    return tuple(seat for seat in range(bitmap.bit_length()) if bitmap >> seat & 1)
