# pragma version 0.4.3
# pragma evm-version prague
"""
@title Council: what the operators of the committee may decide about the custody
@notice Operators of the current committee vote here by plain transactions of their own accounts, which are not the keys
        that sign blocks: whoever steals those has no vote here. Two things can be decided, and nothing else.
        PAUSE, by f+1 operators, at once: no withdrawal is claimed for PAUSE_S, and then none can be paused for COOLDOWN_S,
        so that f+1 cannot pause for ever. Deposits, checkpoints, escapes and refunds never ask whether there is a pause.
        A PROPOSAL, by a quorum (all but f), waits for EXIT_WINDOW_S after its approval, and anyone who dislikes it leaves
        before: the next engine version, another outflow cap, one more collateral token. Bounds are in this code and are
        checked when the proposal is made and when it is executed; no value switches a guard off.
        There is no owner, nobody else has a say, and no decision moves money or names who gets it.
@dev f is (size - 1) // 3. Votes count in the epoch in which they are cast: those of a committee that is gone are void, and
     its successor votes anew on what is still open. `seat` is the caller's index in the current committee. Times are in
     seconds of `block.timestamp`, caps in units of the token per 24 hours.
"""

struct Registration:
    operator: address
    network_key: bytes32
    key: bytes32[4]

interface Registry:
    def committee_size(epoch: uint256) -> uint256: view
    def member(epoch: uint256, index: uint256) -> Registration: view

interface Custody:
    def REGISTRY() -> address: view
    def epoch() -> uint256: view
    def CLAIM_DELAY_S() -> uint256: view
    def FORCE_DEADLINE_S() -> uint256: view
    def PAYOUTS() -> address: view
    def engine_version() -> uint256: view
    def set_engine_version(version: uint256): nonpayable

interface Payouts:
    def outflow_cap(token: address) -> uint256: view
    def is_token(token: address) -> bool: view
    def set_outflow_cap(token: address, cap: uint256): nonpayable
    def add_token(token: address, setting: uint256): nonpayable


# ---------------------------------------------------------------- events

event PauseVote:
    epoch: indexed(uint256)
    operator: indexed(address)
    count: uint256
    needed: uint256

event Paused:
    until_s: uint256

event Proposed:
    id: indexed(uint256)
    kind: indexed(uint256)
    target: indexed(address)
    setting: uint256
    operator: address

event Vote:
    id: indexed(uint256)
    operator: indexed(address)
    is_veto: bool
    count: uint256
    needed: uint256

event Approved:
    id: indexed(uint256)
    executable_from_s: uint256
    executable_until_s: uint256

event Vetoed:
    id: indexed(uint256)

event Executed:
    id: indexed(uint256)
    kind: indexed(uint256)
    target: address
    setting: uint256


# ---------------------------------------------------------------- types and constants

struct Proposal:
    kind: uint256
    target: address
    setting: uint256
    opened_s: uint256
    # When a quorum had approved it; zero before.
    approved_s: uint256
    # Executed or vetoed: nothing can happen to it any more.
    is_closed: bool

# Kinds of proposals. 1: `setting` is the newest engine version whose headers are accepted. 2: `setting` is the outflow cap of
# the token `target`. 3: `target` becomes collateral; `setting` is as
# `Payouts.add_token` takes it.
ENGINE_VERSION: constant(uint256) = 1
OUTFLOW_CAP: constant(uint256) = 2
ADD_TOKEN: constant(uint256) = 3

# Versions that may be skipped because they were never released.
ENGINE_STEP_MAX: constant(uint256) = 16
# One proposal changes a cap by this factor at most, in either direction.
CAP_STEP: constant(uint256) = 2
# A cap never falls below the token's first one divided by this: withdrawals slow down, they do not end.
CAP_FLOOR_PART: constant(uint256) = 16
CAP_LIMIT: constant(uint256) = 2**62

# A quorum has this long to approve, and anyone this long to execute.
VOTING_S: constant(uint256) = 7 * 86_400
EXECUTION_S: constant(uint256) = 14 * 86_400
# A vote to pause counts in the window in which it is cast and in the next one.
PAUSE_VOTE_WINDOW_S: constant(uint256) = 6 * 3_600
PAUSE_LIMIT_S: constant(uint256) = 7 * 86_400
EXIT_WINDOW_LIMIT_S: constant(uint256) = 90 * 86_400
COMMITTEE_MAX: constant(uint256) = 255

# What a bitmap of votes is about.
MOTION_PAUSE: constant(uint256) = 1
MOTION_APPROVE: constant(uint256) = 2
MOTION_VETO: constant(uint256) = 3


# ---------------------------------------------------------------- immutables and storage

SETTLEMENT: public(immutable(address))
PAYOUTS: public(immutable(address))
REGISTRY: public(immutable(address))
DEPLOYED_BLOCK: public(immutable(uint256))
PAUSE_S: public(immutable(uint256))
COOLDOWN_S: public(immutable(uint256))
EXIT_WINDOW_S: public(immutable(uint256))

# End of the last pause; zero if there was none.
paused_until_s: public(uint256)
# Pauses so far; votes for one do not count for the next.
pause_count: public(uint256)
proposal_count: public(uint256)
proposals: HashMap[uint256, Proposal]
# By keccak of (motion, epoch, number, window): who voted, bit i for seat i.
votes: HashMap[bytes32, uint256]
# By token: the least cap that may be set; zero until its first change.
cap_floors: HashMap[address, uint256]


@deploy
def __init__(settlement: address, pause_s: uint256, cooldown_s: uint256, exit_window_s: uint256):
    """
    @param settlement The custody that asks this council and obeys it
    @param pause_s How long one pause lasts
    @param cooldown_s How long none can follow; at least as long as a pause
    @param exit_window_s From the approval of a proposal to its execution: time to leave by the slowest way
    """
    assert settlement.is_contract, "council: no settlement contract"
    assert pause_s > 0 and pause_s <= PAUSE_LIMIT_S, "council: pause out of bounds"
    assert cooldown_s >= pause_s and cooldown_s <= 4 * PAUSE_LIMIT_S, "council: cool-down out of bounds"
    delay_s: uint256 = staticcall Custody(settlement).CLAIM_DELAY_S()
    deadline_s: uint256 = staticcall Custody(settlement).FORCE_DEADLINE_S()
    assert exit_window_s >= deadline_s + delay_s + pause_s, "council: exit window too short"
    assert exit_window_s <= EXIT_WINDOW_LIMIT_S, "council: exit window too long"
    SETTLEMENT = settlement
    REGISTRY = staticcall Custody(settlement).REGISTRY()
    PAYOUTS = staticcall Custody(settlement).PAYOUTS()
    DEPLOYED_BLOCK = block.number
    PAUSE_S = pause_s
    COOLDOWN_S = cooldown_s
    EXIT_WINDOW_S = exit_window_s


# ---------------------------------------------------------------- pausing

@external
def pause(seat: uint256):
    """
    @notice Vote for a pause; with the vote of the f+1st operator it begins. A vote counts for at least
            PAUSE_VOTE_WINDOW_S and at most twice that.
    """
    epoch: uint256 = 0
    size: uint256 = 0
    epoch, size = self._check_seat(seat)
    assert block.timestamp >= self._pausable_from_s(), "council: paused or cooling down"
    window: uint256 = block.timestamp // PAUSE_VOTE_WINDOW_S
    round: uint256 = self.pause_count
    before: uint256 = self.votes[self._motion(MOTION_PAUSE, epoch, round, window - 1)]
    now: uint256 = self._vote(self._motion(MOTION_PAUSE, epoch, round, window), seat)
    count: uint256 = self._count(before | now)
    needed: uint256 = self._few(size)
    log PauseVote(epoch=epoch, operator=msg.sender, count=count, needed=needed)
    if count >= needed:
        self.pause_count = round + 1
        self.paused_until_s = block.timestamp + PAUSE_S
        log Paused(until_s=self.paused_until_s)


# ---------------------------------------------------------------- proposals

@external
def propose(seat: uint256, kind: uint256, target: address, setting: uint256) -> uint256:
    """
    @notice Put a change up for approval, and approve it.
    @param kind What is to change; `target` and `setting` mean what the kind says
    @return The proposal's number
    """
    epoch: uint256 = 0
    size: uint256 = 0
    epoch, size = self._check_seat(seat)
    self._check_bounds(kind, target, setting)
    id: uint256 = self.proposal_count
    self.proposal_count = id + 1
    self.proposals[id] = Proposal(
        kind=kind, target=target, setting=setting, opened_s=block.timestamp, approved_s=0, is_closed=False
    )
    log Proposed(id=id, kind=kind, target=target, setting=setting, operator=msg.sender)
    self._approve(id, seat, epoch, size)
    return id


@external
def approve(seat: uint256, id: uint256):
    """@notice Approve an open proposal; with the last vote of a quorum the exit window begins."""
    epoch: uint256 = 0
    size: uint256 = 0
    epoch, size = self._check_seat(seat)
    proposal: Proposal = self._check_open(id)
    assert proposal.approved_s == 0, "council: already approved"
    assert block.timestamp <= proposal.opened_s + VOTING_S, "council: voting is over"
    self._approve(id, seat, epoch, size)


@external
def veto(seat: uint256, id: uint256):
    """
    @notice Vote against a proposal, approved or not; the f+1st vote closes it. Whoever could have prevented the approval
            by not voting can do no more than that, only later.
    """
    epoch: uint256 = 0
    size: uint256 = 0
    epoch, size = self._check_seat(seat)
    self._check_open(id)
    count: uint256 = self._count(self._vote(self._motion(MOTION_VETO, epoch, id, 0), seat))
    needed: uint256 = self._few(size)
    log Vote(id=id, operator=msg.sender, is_veto=True, count=count, needed=needed)
    if count >= needed:
        self.proposals[id].is_closed = True
        log Vetoed(id=id)


@external
@nonreentrant
def execute(id: uint256):
    """@notice Carry out an approved proposal after its exit window, before it expires. Anyone may."""
    proposal: Proposal = self._check_open(id)
    assert proposal.approved_s != 0, "council: not approved"
    from_s: uint256 = proposal.approved_s + EXIT_WINDOW_S
    assert block.timestamp >= from_s, "council: exit window is open"
    assert block.timestamp <= from_s + EXECUTION_S, "council: expired"
    # The world may have moved since it was proposed.
    self._check_bounds(proposal.kind, proposal.target, proposal.setting)

    self.proposals[id].is_closed = True
    log Executed(id=id, kind=proposal.kind, target=proposal.target, setting=proposal.setting)
    if proposal.kind == ENGINE_VERSION:
        extcall Custody(SETTLEMENT).set_engine_version(proposal.setting)
    elif proposal.kind == OUTFLOW_CAP:
        if self.cap_floors[proposal.target] == 0:
            self.cap_floors[proposal.target] = self._cap_floor(proposal.target)
        extcall Payouts(PAYOUTS).set_outflow_cap(proposal.target, proposal.setting)
    else:
        extcall Payouts(PAYOUTS).add_token(proposal.target, proposal.setting)


@internal
@view
def _check_bounds(kind: uint256, target: address, setting: uint256):
    assert kind >= ENGINE_VERSION and kind <= ADD_TOKEN, "council: unknown kind"
    if kind == ENGINE_VERSION:
        active: uint256 = staticcall Custody(SETTLEMENT).engine_version()
        assert target == empty(address), "council: engine versions have no target"
        assert setting > active and setting <= active + ENGINE_STEP_MAX, "council: engine version out of bounds"
        return
    # A new token's setting says more than its cap: Payouts checks the rest.
    cap_wanted: uint256 = setting & (2**64 - 1) if kind == ADD_TOKEN else setting
    assert cap_wanted > 0 and cap_wanted < CAP_LIMIT, "council: cap out of bounds"
    if kind == OUTFLOW_CAP:
        assert staticcall Payouts(PAYOUTS).is_token(target), "council: no collateral token"
        cap: uint256 = staticcall Payouts(PAYOUTS).outflow_cap(target)
        assert setting <= cap * CAP_STEP and setting * CAP_STEP >= cap, "council: cap changes too much"
        assert setting >= self._cap_floor(target), "council: cap below its floor"
    else:
        assert target.is_contract and target not in [SETTLEMENT, REGISTRY, PAYOUTS, self], "council: token is no contract"
        assert not staticcall Payouts(PAYOUTS).is_token(target), "council: already a collateral token"


@internal
@view
def _cap_floor(token: address) -> uint256:
    # Nobody else sets caps: until the first change here, the token has the cap that it came with.
    known: uint256 = self.cap_floors[token]
    return known if known != 0 else max(staticcall Payouts(PAYOUTS).outflow_cap(token) // CAP_FLOOR_PART, 1)


@internal
@view
def _check_open(id: uint256) -> Proposal:
    assert id < self.proposal_count, "council: no such proposal"
    proposal: Proposal = self.proposals[id]
    assert not proposal.is_closed, "council: proposal is closed"
    return proposal


@internal
def _approve(id: uint256, seat: uint256, epoch: uint256, size: uint256):
    count: uint256 = self._count(self._vote(self._motion(MOTION_APPROVE, epoch, id, 0), seat))
    needed: uint256 = size - (size - 1) // 3
    log Vote(id=id, operator=msg.sender, is_veto=False, count=count, needed=needed)
    if count >= needed:
        self.proposals[id].approved_s = block.timestamp
        from_s: uint256 = block.timestamp + EXIT_WINDOW_S
        log Approved(id=id, executable_from_s=from_s, executable_until_s=from_s + EXECUTION_S)


# ---------------------------------------------------------------- votes

@internal
@view
def _committee() -> (uint256, uint256):
    """@return Epoch and size of the current committee"""
    epoch: uint256 = staticcall Custody(SETTLEMENT).epoch()
    size: uint256 = staticcall Registry(REGISTRY).committee_size(epoch)
    assert size != 0, "council: no committee"
    return epoch, size


@internal
@view
def _check_seat(seat: uint256) -> (uint256, uint256):
    """@return Epoch and size of the current committee, in which the caller has this seat"""
    epoch: uint256 = 0
    size: uint256 = 0
    epoch, size = self._committee()
    assert seat < size, "council: no such seat"
    assert (staticcall Registry(REGISTRY).member(epoch, seat)).operator == msg.sender, "council: not your seat"
    return epoch, size


@internal
@pure
def _motion(kind: uint256, epoch: uint256, number: uint256, window: uint256) -> bytes32:
    return keccak256(abi_encode(kind, epoch, number, window))


@internal
def _vote(motion: bytes32, seat: uint256) -> uint256:
    """@return Everyone who has voted, now with `seat`"""
    voters: uint256 = self.votes[motion]
    assert (voters >> seat) & 1 == 0, "council: has voted"
    voters |= 1 << seat
    self.votes[motion] = voters
    return voters


@internal
@pure
def _count(voters: uint256) -> uint256:
    left: uint256 = voters
    count: uint256 = 0
    for _: uint256 in range(COMMITTEE_MAX):
        if left == 0:
            break
        left &= left - 1
        count += 1
    return count


@internal
@pure
def _few(size: uint256) -> uint256:
    """@notice f+1: at least one of them is honest."""
    return (size - 1) // 3 + 1


@internal
@view
def _pausable_from_s() -> uint256:
    until_s: uint256 = self.paused_until_s
    return 0 if until_s == 0 else until_s + COOLDOWN_S


# ---------------------------------------------------------------- views

@external
@view
def is_paused() -> bool:
    """@notice Whether withdrawals may not be claimed now."""
    return block.timestamp < self.paused_until_s


@external
@view
def pausable_from_s() -> uint256:
    """@notice Block time from which operators may vote for a pause; zero if there was none yet."""
    return self._pausable_from_s()


@external
@view
def pause_votes() -> uint256:
    """@notice Votes for a pause that count now, bit i for seat i."""
    epoch: uint256 = 0
    size: uint256 = 0
    epoch, size = self._committee()
    window: uint256 = block.timestamp // PAUSE_VOTE_WINDOW_S
    return (
        self.votes[self._motion(MOTION_PAUSE, epoch, self.pause_count, window - 1)]
        | self.votes[self._motion(MOTION_PAUSE, epoch, self.pause_count, window)]
    )


@external
@view
def thresholds() -> (uint256, uint256):
    """@notice Operators of the current committee that pause or veto, and that approve."""
    epoch: uint256 = 0
    size: uint256 = 0
    epoch, size = self._committee()
    return self._few(size), size - (size - 1) // 3


@external
@view
def proposal(id: uint256) -> Proposal:
    """@notice Proposal `id`; all zero if there is none."""
    return self.proposals[id]


@external
@view
def votes_on(id: uint256) -> (uint256, uint256):
    """@notice Who of the current committee has approved and who has vetoed, bit i for seat i."""
    epoch: uint256 = 0
    size: uint256 = 0
    epoch, size = self._committee()
    return self.votes[self._motion(MOTION_APPROVE, epoch, id, 0)], self.votes[self._motion(MOTION_VETO, epoch, id, 0)]


@external
@view
def cap_floor(token: address) -> uint256:
    """@notice The least outflow cap of a collateral token that a proposal may set."""
    return self._cap_floor(token)
