"""What the settlement contract tells, as values: addresses of 20 bytes, money in quote units, Unix seconds."""

from dataclasses import dataclass
from enum import IntEnum


class ChainError(Exception):
    """The world failed: no answer, or one that makes no sense. The caller may retry."""


class Refused(Exception):
    """The contract said no; `reason` names the rule. Retrying the same is useless."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


@dataclass(frozen=True, slots=True)
class TxResult:
    """A mined, successful transaction."""

    tx_hash: bytes
    block_number: int
    gas_used: int


@dataclass(frozen=True, slots=True)
class InboxRecord:
    """One entry of the inbox; `hash` is the chain after it."""

    index: int
    kind: int
    token: bytes
    beneficiary: bytes
    subaccount: int
    sender: bytes
    amount: int
    data: bytes
    time_s: int
    hash: bytes
    block_number: int


@dataclass(frozen=True, slots=True)
class Member:
    """A committee member; `bls_key` is compressed (48 bytes). `index` is its place in the committee, `number` its
    registration, which is for ever.
    """

    index: int
    operator: bytes
    bls_key: bytes
    network_key: bytes
    number: int


class ValidatorState(IntEnum):
    """Where a validator stands, as the registry counts it; its stake is in the contract from 1 to 4."""

    UNKNOWN = 0
    WAITING = 1
    SERVING = 2
    LEAVING = 3
    UNBONDING = 4
    GONE = 5
    JAILED = 6


@dataclass(frozen=True, slots=True)
class Standing:
    """`serving_epoch` is the last one it was a member of (0: none), `since_s` when its stake began to unbond (0: it has
    not), `stake` what can still be slashed, in units of the stake's token.
    """

    state: ValidatorState
    serving_epoch: int
    since_s: int
    stake: int


@dataclass(frozen=True, slots=True)
class CheckpointRecord:
    """What the contract knows of one finalised header."""

    height: int
    header_hash: bytes
    state_root: bytes
    account_root: bytes
    account_sums: bytes
    withdrawals_root: bytes
    timestamp_s: int
    block_number: int

    def to_abi(self) -> tuple[int, bytes, bytes, bytes, bytes, bytes, int]:
        """The contract's struct `Record`."""
        return (
            self.height, self.header_hash, self.state_root, self.account_root, self.account_sums, self.withdrawals_root,
            self.timestamp_s,
        )  # fmt: skip


@dataclass(frozen=True, slots=True)
class LastCheckpoint:
    """How far the contract has come; height 0 before the first.

    `certified_s` is when the committee last worked: the time of the last checkpoint's header, before the first one that
    of activation, before activation zero. `posted_s` is when the last checkpoint was accepted.
    """

    height: int
    certified_s: int
    inbox_cursor: int
    withdrawals_total: int
    is_frozen: bool
    posted_s: int


@dataclass(frozen=True, slots=True)
class FreezeOutlook:
    """Whether anyone may freeze the contract now; `wait_s` is None where it never will be possible."""

    is_possible: bool
    cause: str
    wait_s: int | None
