"""What must hold in every state, by what honest members have said (the byzantine one says everything anyway).

A statement counts as certified as soon as a certificate of it could be formed, whether or not anybody does.
"""

from consensus.messages import FINALIZE, NOTARIZE, NULLIFY, ZERO_HASH
from testnet.exhaustive.universe import MEMBERS, ROOT, VIEWS, Universe


def compute_certified(universe: Universe, said: tuple[int, ...], quorum: int) -> int:
    """The statements of which a quorum exists: enough honest signers, and the byzantine member's vote."""
    needed = quorum - (MEMBERS - len(said))
    certified = 0
    for bit in universe.bits.values():
        if sum(bool(mask & bit) for mask in said) >= needed:
            certified |= bit
    return certified


def find_member_fault(universe: Universe, said: int) -> str:
    """S8: what one honest member may never sign in one view (E1-E4)."""
    if not universe.is_strict:
        return ""
    for view in range(1, VIEWS + 1):
        blocks = {kind: _blocks_of(universe, said, kind, view) for kind in (NOTARIZE, FINALIZE)}
        if len(blocks[NOTARIZE]) > 1:
            return f"S8 notarized two blocks in view {view}"
        if len(blocks[FINALIZE]) > 1:
            return f"S8 finalized two blocks in view {view}"
        if blocks[FINALIZE] and said & universe.bits[(NULLIFY, view, ZERO_HASH)]:
            return f"S8 nullified and finalized view {view}"
        if blocks[FINALIZE] and blocks[NOTARIZE] and blocks[FINALIZE] != blocks[NOTARIZE]:
            return f"S8 finalized another block than it notarized in view {view}"
    return ""


def find_global_fault(universe: Universe, certified: int) -> str:
    """S1, S3, S4, S5, S6, S10 over everything that can be certified."""
    final: list[bytes] = []
    for view in range(1, VIEWS + 1):
        notarized = _blocks_of(universe, certified, NOTARIZE, view)
        finalized = _blocks_of(universe, certified, FINALIZE, view)
        if len(notarized) > 1:
            return f"S3 two blocks notarised in view {view}"
        if len(finalized) > 1:
            return f"S1 two blocks finalised in view {view}"
        if finalized and certified & universe.bits[(NULLIFY, view, ZERO_HASH)]:
            return f"S4 view {view} nullified and finalised"
        if finalized and finalized != notarized:
            return f"S6 view {view} finalised, not notarised"
        final += finalized
    for block_hash in final:
        fault = _find_chain_fault(universe, certified, block_hash, final)
        if fault:
            return fault
    return ""


def _find_chain_fault(universe: Universe, certified: int, block_hash: bytes, final: list[bytes]) -> str:
    """S1, S5, S10: back to genesis, every skipped view is nullified, no other final block is passed by."""
    passed = []
    while block_hash != ROOT:
        known = universe.by_hash[block_hash]
        header = known.block.header
        passed.append(block_hash)
        if known.is_wrong:
            return f"S10 {known.name} is final with a wrong result"
        for view in range(header.parent_view + 1, header.view):
            if not certified & universe.bits[(NULLIFY, view, ZERO_HASH)]:
                return f"S5 view {view} is skipped below final {known.name} without nullification"
        block_hash = header.parent_hash
    view = universe.by_hash[passed[0]].block.header.view
    for other in final:
        if universe.by_hash[other].block.header.view <= view and other not in passed:
            return f"S1 {universe.by_hash[passed[0]].name} and {universe.by_hash[other].name} are both final"
    return ""


def _blocks_of(universe: Universe, mask: int, kind: int, view: int) -> list[bytes]:
    named = ((statement, bit) for statement, bit in universe.bits.items() if statement[:2] == (kind, view))
    return [block_hash for (_, _, block_hash), bit in named if mask & bit]
