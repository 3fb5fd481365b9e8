"""Answers about the connection and the node behind it."""

from typing import Literal, NotRequired, TypedDict

from net.gateway.shapes.scalars import Address, Count, Hash, Height, Millis

Ok = Literal["ok"]


class VersionAnswer(TypedDict):
    """The version of the node's program."""

    version: str


class EndpointHealth(TypedDict):
    """One RPC endpoint of the settlement chain, as the node sees it."""

    name: str
    is_well: bool
    fault: str
    final_block: Count


class NodeState(TypedDict):
    """The node in numbers."""

    height: Height
    view: Count
    epoch: Count
    time_ms: Millis
    peer_count: Count
    validator_count: Count
    is_syncing: bool
    is_halted: bool
    finality_p50_ms: Count
    finality_p99_ms: Count
    commands_per_s: Count
    account_root: Hash
    onchain_height: Height
    onchain_block: Count
    version: str
    endpoints: list[EndpointHealth]
    onchain_posted_height: Height
    earliest_height: Height
    locked: Literal["true", "false"]
    locked_indices: list[str]


class LinkTotals(TypedDict):
    """What went over the links to one member."""

    peer: Count
    frames_in: Count
    frames_out: Count
    bytes_in: Count
    bytes_out: Count
    writes: Count


class Counters(TypedDict):
    """Totals since the node started."""

    time_ms: Millis
    cpu_us: Count
    height: Height
    actions_by_code: dict[str, Count]
    blocks_by_finality_ms: dict[str, Count]
    links: list[LinkTotals]
    task_count: Count
    blocks_by_step_ms: NotRequired[dict[str, dict[str, Count]]]


class Pool(TypedDict):
    """Credits of one kind of requests."""

    credits: Count
    credits_max: Count
    credits_per_s: Count


class LimitsAnswer(TypedDict):
    """What this client may still ask for: `matching` pays for signed commands, `non_matching` for all else."""

    matching: Pool
    non_matching: Pool
    request_credits: Count
    method_credits: dict[str, Count]
    request_unit_bytes: Count


class LoginAnswer(TypedDict):
    """Whose account a connection means from now on; whether it was ever credited."""

    token_type: Literal["x_owner"]
    scope: Literal["account:read"]
    x_owner: Address
    x_subaccount: Count
    x_is_known: bool
