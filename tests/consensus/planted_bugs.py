"""Planted bugs. Each one removes a single rule from the core (or from its host); the simulator has to notice.

The signer's guard is off in these runs: it would hide what the core does wrong.
"""

from collections.abc import Callable
from typing import Any

import pytest

from consensus import certificates, chain, core, proposals, recovery, retry, state, votes
from consensus import round as round_rules
from consensus.effects import CancelTimer
from consensus.events import Executed
from consensus.messages import FINALIZE, NOTARIZE, NULLIFY, quorum
from consensus.state import EXECUTING, OK, BlockEntry, State, ViewState
from testnet.sim.byzantine import Equivocator

Patch = Callable[[pytest.MonkeyPatch], dict[str, Any]]


def quorum_minus_one(patch: pytest.MonkeyPatch) -> dict[str, Any]:
    patch.setattr(state, "quorum", lambda member_count: quorum(member_count) - 1)
    return {}


def finalize_after_nullify(patch: pytest.MonkeyPatch) -> dict[str, Any]:
    def may_finalize(view_state: ViewState, block_hash: bytes) -> bool:
        asked = view_state.asked
        return FINALIZE not in asked and asked.get(NOTARIZE, block_hash) == block_hash

    patch.setattr(round_rules, "may_finalize", may_finalize)
    return {}


def nullify_after_finalize(patch: pytest.MonkeyPatch) -> dict[str, Any]:
    """Also never enters a view by notarization, or the view would be left before it can be nullified."""
    patch.setattr(round_rules, "may_nullify", lambda view_state: NULLIFY not in view_state.asked)
    patch.setattr(round_rules, "is_over", lambda _, view_state: {NULLIFY, FINALIZE} & view_state.certificates.keys())
    return {}


def finalize_another_than_notarized(patch: pytest.MonkeyPatch) -> dict[str, Any]:
    def may_finalize(view_state: ViewState, _: bytes) -> bool:
        return NULLIFY not in view_state.asked and FINALIZE not in view_state.asked

    patch.setattr(round_rules, "may_finalize", may_finalize)
    return {"byzantine": {1: Equivocator}}


def send_before_sync(_: pytest.MonkeyPatch) -> dict[str, Any]:
    return {"syncs_before_send": False}


def own_votes_not_persisted(patch: pytest.MonkeyPatch) -> dict[str, Any]:
    patch.setattr(votes, "Persist", lambda record: CancelTimer(("nothing", 0)))
    return {}


def votes_forgotten_at_restart(patch: pytest.MonkeyPatch) -> dict[str, Any]:
    patch.setattr(recovery, "restore_vote", lambda *_: None)
    return {}


def ancestry_unchecked(patch: pytest.MonkeyPatch) -> dict[str, Any]:
    patch.setattr(proposals, "find_ancestry_fault", lambda *_: "")
    patch.setattr(round_rules, "holds_nullifications", lambda *_: True)
    return {}


def result_unchecked(patch: pytest.MonkeyPatch) -> dict[str, Any]:
    def on_executed(core_state: State, event: Executed) -> None:
        entry = core_state.blocks.get(event.block_hash)
        if entry is not None and entry.status == EXECUTING:
            chain.set_status(core_state, entry, OK)

    patch.setattr(core, "on_executed", on_executed)
    return {}


def certificate_size_unchecked(patch: pytest.MonkeyPatch) -> dict[str, Any]:
    patch.setattr(certificates, "is_quorate", lambda core_state, certificate: certificate.epoch == 1)
    return {}


def executes_before_the_parent(patch: pytest.MonkeyPatch) -> dict[str, Any]:
    def advance_held(core_state: State, entry: BlockEntry) -> None:
        parent = core_state.blocks.get(entry.block.header.parent_hash)
        if parent is not None:
            chain.execute(core_state, entry)

    patch.setattr(chain, "advance_held", advance_held)
    return {}


def no_block_fetch(patch: pytest.MonkeyPatch) -> dict[str, Any]:
    patch.setattr(round_rules, "run_fetches", lambda _: None)
    patch.setattr(chain, "fall_behind", lambda _: None)
    patch.setattr(retry, "fall_behind", lambda _: None)
    return {}


def no_range_sync(patch: pytest.MonkeyPatch) -> dict[str, Any]:
    patch.setattr(chain, "fall_behind", lambda _: None)
    patch.setattr(retry, "fall_behind", lambda _: None)
    return {"retain_views": 2, "has_long_outage": True, "delay_mean_ms": 30.0, "byzantine": {}}


def nothing_said_again(patch: pytest.MonkeyPatch) -> dict[str, Any]:
    for name in ("on_retry_timer", "on_standstill_timer", "on_peer_connected", "help_laggard"):
        patch.setattr(core, name, lambda *_: None)
    return {}


# bug -> seeds within which it must be found; today the slowest takes about 45
MUTANTS: dict[Patch, int] = {
    quorum_minus_one: 200,
    finalize_after_nullify: 200,
    nullify_after_finalize: 200,
    finalize_another_than_notarized: 200,
    send_before_sync: 200,
    own_votes_not_persisted: 200,
    votes_forgotten_at_restart: 200,
    ancestry_unchecked: 200,
    result_unchecked: 200,
    certificate_size_unchecked: 200,
    executes_before_the_parent: 200,
    no_block_fetch: 200,
    no_range_sync: 200,
    nothing_said_again: 200,
}
