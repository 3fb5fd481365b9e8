"""What must hold of the contracts, and which test would notice if it did not.

The tables are checked: every test that they name exists. `Custody` is the random walk of test_settlement_machine.py;
`make fuzz-contracts` walks the same ways with forge where forge is to be had. The incidents are those of other systems
that lost money, or nearly did.
"""

import ast
from pathlib import Path

import pytest

FOLDER = Path(__file__).parents[1]

MACHINE = "settlement_machine: Custody"

# Claim: the tests that hold it, as `file: function` without the prefix test_, or `file: Class`.
MONEY = {
    "the balance covers open claims and unconsumed deposits": (MACHINE, "settlement_escape: the_whole_exchange_leaves"),
    "what is paid never exceeds what was deposited": (
        MACHINE,
        "settlement_money: a_root_cannot_pay_more_than_the_header_says",
    ),
    "nothing is paid without a signed checkpoint and a valid proof, or as a refund": (
        "settlement_money: false_claim_is_refused",
        "settlement_escape: false_escape_is_refused",
        "settlement_checkpoint: false_nonsigner_list_is_refused",
    ),
    "each withdrawal, escape and refund is paid once": (
        "settlement_money: each_withdrawal_is_paid_once",
        "settlement_money: a_later_checkpoint_does_not_pay_again",
        "settlement_escape: each_account_is_paid_its_share_once",
        "settlement_escape: unconsumed_deposits_return_to_their_senders_once",
    ),
    "escapes sum to the pool at most, and each is the same in any order": (
        "settlement_escape: shares_are_exact_in_any_order_and_subset",
    ),
}
COMMITTEE = {
    "height, cursor and withdrawals only advance": ("settlement_checkpoint: heights_and_totals_only_advance",),
    "a header needs a quorum of the current committee": ("settlement_checkpoint: false_nonsigner_list_is_refused",),
    "a signature for another chain, contract, epoch, height or kind is none": (
        "settlement_checkpoint: signature_over_another_statement_is_refused",
        "settlement_checkpoint: any_flipped_header_byte_is_refused",
        "court: a_vote_for_another_contract_or_epoch_proves_nothing",
    ),
    "the list of non-signers is increasing, in range and short": (
        "settlement_checkpoint: nonsigners_must_increase",
        "settlement_checkpoint: false_nonsigner_list_is_refused",
    ),
    "infinity, points off the curve and coordinates from p on are refused": (
        "settlement_checkpoint: bad_point_is_refused",
        "wrong_subgroup: a_signature_outside_the_group_is_none",
        "wrong_subgroup: a_key_outside_the_group_does_not_register",
        "registry_registration: zero_and_foreign_points_are_refused",
    ),
    "the contract accepts what blspy verifies, and nothing else": (
        "settlement_checkpoint: contract_agrees_with_blspy_on_random_subsets",
    ),
    "a zero or unset root proves nothing": ("settlement_money: unset_checkpoint_proves_nothing",),
    "a proof of another length or index, and an inner node as a leaf, are refused": (
        "settlement_money: false_claim_is_refused",
        "settlement_escape: an_inner_node_is_no_account",
    ),
    "only the committee in office rotates, and is dead afterwards": (
        "registry_rotation: only_the_old_committees_signature_rotates",
        "registry_rotation: the_old_committee_is_dead",
        "registry_rotation: the_new_committees_keys_are_used",
        "registry_registration: committee_is_read_back",
    ),
    "rogue keys, foreign possessions and keys that are taken do not register": (
        "registry_registration: rogue_key_is_refused",
        "registry_registration: possession_of_something_else_is_refused",
        "registry_registration: key_and_operator_register_once",
    ),
}
LIMITS = {
    "a root on another inbox is refused": ("settlement_checkpoint: signed_but_wrong_header_is_refused",),
    "an overdue entry blocks checkpoints, and a freeze comes then or by silence, and never earlier": (
        "settlement_checkpoint: overdue_entry_must_be_consumed",
        "settlement_escape: silence_freezes_and_no_second_less",
        "settlement_escape: an_overdue_entry_freezes_and_a_consumed_one_does_not",
        MACHINE,
    ),
    "frozen is for ever": ("settlement_escape: frozen_is_for_ever", MACHINE),
    "few pause for a bounded time": (
        "council: few_pause_for_a_bounded_time_and_not_again_at_once",
        "council: few_hold_claims_up_for_no_more_than_their_share_of_any_time",
    ),
    "a pause blocks no deposit, escape or refund": ("payouts: a_pause_blocks_claims_and_nothing_else",),
    "no 24 hours pay more than the cap": ("payouts: outflow_in_any_day_is_at_most_the_cap", MACHINE),
    "a claim waits for the delay": ("settlement_money: claim_waits_for_the_delay", MACHINE),
    "no value that the council sets removes a guard": (
        "council: no_quorum_can_even_propose_what_is_out_of_bounds",
        "council: bounds_hold_at_execution_too",
    ),
}
WORLD = {
    "no token breaks the above or holds others up": (
        "hostile_tokens: a_deposit_that_does_not_arrive_is_none",
        "hostile_tokens: a_blacklisted_owner_holds_nobody_up",
        "hostile_tokens: a_live_custody_is_not_entered_twice",
        "hostile_tokens: a_frozen_custody_is_not_entered_twice",
    ),
    "only two valid, different and contradicting statements convict": (
        "court: the_court_judges_as_agreement_does",
        "court: refusals_come_in_the_order_of_the_rules",
        "registry_slashing: two_valid_distinct_digests_or_nothing",
        "registry_slashing: only_the_convict_is_slashed",
    ),
    "nothing loops over what users can make grow": (
        "forced_actions: a_flood_moves_its_own_deadlines_and_nobody_is_crowded_out",
        "kept_checkpoints: nobody_starves_claims_by_posting_many_headers",
        "registry_rotation: the_queue_is_served_in_the_order_of_coming",
    ),
    "a checkpoint that a reorganisation drops is sent again unchanged": (
        "submitter: a_checkpoint_that_the_chain_takes_back_is_sent_again_unchanged",
    ),
    "gifts change no share": ("hostile_tokens: gifts_change_no_share",),
    "the same checkpoint again is refused": ("settlement_checkpoint: heights_and_totals_only_advance",),
    "leaves, proofs and digests are the same in Python and in the contract": (
        "settlement_vectors: contract_matches_python",
        "settlement_money: inbox_is_the_protocols_hash_chain",
    ),
    "no sum overflows": ("settlement_money: account_proof_never_overflows",),
    "the committee dies and everybody leaves": (
        "settlement_escape: the_whole_exchange_leaves",
        "drill_leaving: everybody_leaves_a_dead_network",
        MACHINE,
    ),
    "nobody's own tool makes the own proof useless": (
        "escape_headers: a_withdrawals_newer_header_is_not_posted_over_the_accounts_proof",
    ),
}
INCIDENTS = {
    "Nomad 2022, $190M: the zero root was trusted": (
        "kept_checkpoints: nomad_2022_what_was_never_written_proves_nothing",
    ),
    "BNB bridge 2022, $566M: proof nodes with fields that were not hashed": (
        "settlement_money: false_claim_is_refused",
        "settlement_escape: false_escape_is_refused",
    ),
    "Polygon Plasma 2021, $850M at risk: one exit many times by other bytes of its proof": (
        "settlement_money: each_withdrawal_is_paid_once",
        "settlement_escape: each_account_is_paid_its_share_once",
    ),
    "Ronin, Harmony 2022: a quorum of keys was stolen": (
        "payouts: ronin_and_harmony_stolen_keys_cannot_empty_the_custody_at_once",
        "drill_quorum: three_stolen_keys_of_four_get_one_cap_at_most",
    ),
    "rogue keys; replay in another chain, contract or epoch (Vega); possessions used by others (Lido)": (
        "registry_registration: rogue_key_is_refused",
        "registry_registration: possession_of_something_else_is_refused",
        "settlement_checkpoint: signature_over_another_statement_is_refused",
    ),
    "Vyper 2023, $70M: the lock against reentrancy did not lock": (
        "hostile_tokens: a_live_custody_is_not_entered_twice",
        "hostile_tokens: a_frozen_custody_is_not_entered_twice",
        "hostile_tokens: the_calls_back_are_good_ones",
    ),
    "Vyper until 0.4.1: a precompile that failed went unnoticed": (
        "settlement_checkpoint: bad_point_is_refused",
        "wrong_subgroup: a_signature_outside_the_group_is_none",
    ),
    "Hyperliquid 2024: endpoints told wrong things": (
        "endpoints: endpoints_that_dispute_are_believed_again_when_the_liar_mends_its_ways",
        "endpoints: an_endpoint_that_goes_back_in_time_is_named_and_changes_nothing",
    ),
}
TABLES = {"incidents": INCIDENTS, "money": MONEY, "committee": COMMITTEE, "limits": LIMITS, "world": WORLD}


def list_tests() -> set[str]:
    """Every test there is in the form of the tables; the names of files are unique."""
    found = set()
    for path in FOLDER.rglob("test_*.py"):
        name = path.stem.removeprefix("test_")
        for node in ast.parse(path.read_text()).body:
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name.startswith("test_"):
                found.add(f"{name}: {node.name.removeprefix('test_')}")
            elif isinstance(node, ast.ClassDef):
                found.add(f"{name}: {node.name}")
    return found


@pytest.mark.parametrize("table", TABLES)
def test_every_invariant_has_tests_that_exist(table: str) -> None:
    existing = list_tests()
    missing = [(claim, name) for claim, names in TABLES[table].items() for name in names if name not in existing]
    assert not missing
    assert all(TABLES[table].values())


def test_a_test_that_is_gone_would_be_missed() -> None:
    existing = list_tests()
    assert "settlement_money: each_withdrawal_is_paid_once" in existing
    assert "settlement_money: each_withdrawal_is_paid_twice" not in existing
