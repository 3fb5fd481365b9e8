"""The council alone: who may vote, what few and many of them can do, and what no value can do."""

from collections.abc import Iterator
from dataclasses import dataclass

import pytest
from eth_utils import to_checksum_address
from vyper_sources import deploy_source
from web3.contract import Contract

from contracts.chain_link import ChainLink
from contracts.council import EXECUTION_S, VOTING_S, Council, Kind, Stage, deploy_council
from contracts.devchain.chain import Chain, funded_key
from contracts.devchain.provider import InProcessProvider
from contracts.devchain.rpc import Rpc
from contracts.records import Refused, TxResult

PAUSE_S, COOLDOWN_S, EXIT_WINDOW_S = 7_200, 10_800, 86_400
PAUSE_VOTE_WINDOW_S = 6 * 3_600
TOKEN = b"\x70" * 20
NOBODY = bytes(20)
CAP = 64_000
STRANGER = 19


@dataclass
class Town:
    """A council over a committee of funded accounts; seat i is account i unless told otherwise."""

    chain: Chain
    provider: InProcessProvider
    assembly: Contract
    address: str

    def member(self, account: int) -> Council:
        return Council(self.provider, self.address, funded_key(account))

    @property
    def council(self) -> Council:
        return self.member(0)

    def tell(self, name: str, *arguments: object) -> TxResult:
        return ChainLink(self.provider, funded_key(0)).send(self.assembly.functions[name](*arguments))

    def seat(self, *accounts: int) -> None:
        """A new epoch with these accounts as the committee."""
        links = [ChainLink(self.provider, funded_key(account)) for account in accounts]
        self.tell("seat", [to_checksum_address(link.sender) for link in links])

    def pass_time(self, by_s: int) -> None:
        self.chain.shift_clock(by_s)
        self.chain.mine()

    def pause(self, *seats: int) -> None:
        for seat in seats:
            self.member(seat).pause(seat)

    def propose(self, kind: Kind = Kind.ENGINE_VERSION, target: bytes = NOBODY, setting: int = 2) -> int:
        """Proposed by seat 0."""
        return self.council.propose(0, kind, target, setting)

    def approve(self, number: int, *seats: int) -> None:
        for seat in seats:
            self.member(seat).approve(seat, number)

    def pass_into_law(self, kind: Kind, target: bytes, setting: int) -> None:
        number = self.propose(kind, target, setting)
        self.approve(number, 1, 2)
        self.pass_time(EXIT_WINDOW_S)
        self.member(STRANGER).execute(number)

    def start_of_window(self) -> None:
        """So that votes of one test do not fall into two windows by chance."""
        self.pass_time(PAUSE_VOTE_WINDOW_S - self.chain.head.timestamp % PAUSE_VOTE_WINDOW_S)


@pytest.fixture(scope="module")
def founded_town() -> Iterator[tuple[Town, int]]:
    chain = Chain()
    provider = InProcessProvider(Rpc(chain))
    assembly = deploy_source(provider, funded_key(0), "Assembly", to_checksum_address(TOKEN), CAP)
    address = deploy_council(
        provider, funded_key(0), assembly.address, pause_s=PAUSE_S, cooldown_s=COOLDOWN_S, exit_window_s=EXIT_WINDOW_S
    )
    town = Town(chain, provider, assembly, address)
    town.tell("obey", address)
    town.seat(0, 1, 2, 3)
    yield town, chain.head.block_number
    chain.close()


@pytest.fixture
def town(founded_town: tuple[Town, int]) -> Town:
    """A committee of four that has decided nothing."""
    founded, block = founded_town
    founded.chain.rewind(block)
    founded.chain.reset_clock()
    founded.start_of_window()
    return founded


# Who may vote.


@pytest.mark.parametrize(
    ("account", "seat", "reason"),
    [
        (STRANGER, 0, "council: not your seat"),
        (1, 0, "council: not your seat"),
        (0, 4, "council: no such seat"),
        (0, 2**256 - 1, "council: no such seat"),
    ],
)
def test_only_operators_vote_and_each_from_its_own_seat(town: Town, account: int, seat: int, reason: str) -> None:
    number = town.propose()
    voter = town.member(account)
    for vote in (
        lambda: voter.pause(seat),
        lambda: voter.propose(seat, Kind.ENGINE_VERSION, NOBODY, 3),
        lambda: voter.approve(seat, number),
        lambda: voter.veto(seat, number),
    ):
        with pytest.raises(Refused, match=reason):
            vote()


def test_nobody_votes_twice(town: Town) -> None:
    number = town.propose()
    town.pause(1)
    town.member(1).veto(1, number)
    for vote in (
        lambda: town.pause(1), lambda: town.approve(number, 0), lambda: town.member(1).veto(1, number),
    ):  # fmt: skip
        with pytest.raises(Refused, match="council: has voted"):
            vote()


@pytest.mark.parametrize(("size", "few", "quorum"), [(1, 1, 1), (3, 1, 3), (4, 2, 3), (7, 3, 5), (10, 4, 7)])
def test_thresholds_are_f_plus_1_and_all_but_f(town: Town, size: int, few: int, quorum: int) -> None:
    town.seat(*range(size))
    assert town.council.thresholds() == (few, quorum)
    number = town.propose()
    for seat in range(1, quorum):
        assert town.council.proposal(number).approved_s == 0
        town.approve(number, seat)
    assert town.council.proposal(number).approved_s == town.chain.head.timestamp
    for seat in range(few):
        assert not town.council.is_paused()
        town.pause(seat)
    assert town.council.is_paused()


def test_votes_of_a_committee_that_is_gone_are_void(town: Town) -> None:
    number = town.propose()
    town.approve(number, 1)
    town.pause(0)
    town.member(3).veto(3, number)
    town.seat(4, 5, 2, 3)
    assert town.council.pause_state().voters == ()
    assert town.council.proposal(number).approvers == town.council.proposal(number).opponents == ()
    with pytest.raises(Refused, match="council: not your seat"):
        town.approve(number, 0)
    town.approve(number, 2)
    town.pause(3)
    assert not town.council.is_paused()
    town.member(4).approve(0, number)
    assert town.council.proposal(number).approved_s == 0
    town.member(5).approve(1, number)
    assert town.council.proposal(number).approved_s != 0


# Pausing.


def test_few_pause_for_a_bounded_time_and_not_again_at_once(town: Town) -> None:
    town.pause(0)
    assert not town.council.is_paused()
    town.pause(2)
    begun_s = town.chain.head.timestamp
    state = town.council.pause_state()
    assert state.is_paused
    assert (state.until_s, state.pausable_from_s) == (begun_s + PAUSE_S, begun_s + PAUSE_S + COOLDOWN_S)
    assert state.voters == ()
    for _ in range(2):
        with pytest.raises(Refused, match="council: paused or cooling down"):
            town.pause(1)
        town.pass_time(PAUSE_S)
        assert not town.council.is_paused()
    town.pass_time(COOLDOWN_S - PAUSE_S)
    town.pause(0)
    assert not town.council.is_paused(), "the votes for the last pause must not count for this one"
    town.pause(1)
    assert town.council.is_paused()


def test_few_hold_claims_up_for_no_more_than_their_share_of_any_time(town: Town) -> None:
    """Two of four who vote for a pause whenever they may."""
    started_s = town.chain.head.timestamp
    paused_s = 0
    for _ in range(4):
        town.pause(0, 1)
        assert town.council.is_paused()
        paused_s += PAUSE_S
        town.pass_time(max(0, town.council.pause_state().pausable_from_s - town.chain.head.timestamp))
    passed_s = town.chain.head.timestamp - started_s
    assert paused_s * (PAUSE_S + COOLDOWN_S) <= passed_s * PAUSE_S


@pytest.mark.parametrize(
    ("before_s", "is_counted"), [(60, True), (2 * PAUSE_VOTE_WINDOW_S - 60, True), (2 * PAUSE_VOTE_WINDOW_S, False)]
)
def test_a_vote_to_pause_is_forgotten(town: Town, before_s: int, is_counted: bool) -> None:
    town.pause(0)
    town.pass_time(before_s)
    assert town.council.pause_state().voters == ((0,) if is_counted else ())
    town.pause(1)
    assert town.council.is_paused() == is_counted


# Proposals.


def test_a_proposal_waits_for_a_quorum_and_the_exit_window(town: Town) -> None:
    number = town.propose()
    with pytest.raises(Refused, match="council: not approved"):
        town.council.execute(number)
    town.approve(number, 3, 1)
    proposal = town.council.proposal(number)
    assert (proposal.kind, proposal.setting, proposal.approvers) == (Kind.ENGINE_VERSION, 2, (0, 1, 3))
    assert proposal.stage(town.council.now_s(), EXIT_WINDOW_S) is Stage.WAITING
    with pytest.raises(Refused, match="council: already approved"):
        town.approve(number, 2)
    town.pass_time(EXIT_WINDOW_S - 60)
    with pytest.raises(Refused, match="council: exit window is open"):
        town.council.execute(number)
    town.pass_time(60)
    assert town.council.proposal(number).stage(town.council.now_s(), EXIT_WINDOW_S) is Stage.EXECUTABLE
    town.member(STRANGER).execute(number)
    assert town.assembly.functions.engine_version().call() == 2
    assert town.council.proposal(number).stage(town.council.now_s(), EXIT_WINDOW_S) is Stage.CLOSED
    for late in (lambda: town.council.execute(number), lambda: town.member(2).veto(2, number)):
        with pytest.raises(Refused, match="council: proposal is closed"):
            late()


def test_what_is_not_approved_or_executed_in_time_expires(town: Town) -> None:
    slow, late = town.propose(), town.propose()
    town.approve(late, 1, 2)
    town.pass_time(VOTING_S + 60)
    with pytest.raises(Refused, match="council: voting is over"):
        town.approve(slow, 1)
    assert town.council.proposal(slow).stage(town.council.now_s(), EXIT_WINDOW_S) is Stage.EXPIRED
    town.pass_time(EXIT_WINDOW_S + EXECUTION_S - VOTING_S)
    assert town.council.proposal(late).stage(town.council.now_s(), EXIT_WINDOW_S) is Stage.EXPIRED
    with pytest.raises(Refused, match="council: expired"):
        town.council.execute(late)


def test_few_veto_what_a_quorum_approved(town: Town) -> None:
    number = town.propose()
    town.approve(number, 1, 2)
    town.member(3).veto(3, number)
    assert town.council.proposal(number).opponents == (3,)
    town.member(2).veto(2, number)
    town.pass_time(EXIT_WINDOW_S)
    with pytest.raises(Refused, match="council: proposal is closed"):
        town.council.execute(number)
    assert town.assembly.functions.engine_version().call() == 1


def test_one_cannot_veto(town: Town) -> None:
    number = town.propose()
    town.member(3).veto(3, number)
    town.approve(number, 1, 2)
    town.pass_time(EXIT_WINDOW_S)
    town.council.execute(number)


def test_no_such_proposal(town: Town) -> None:
    for ask in (lambda: town.council.approve(0, 0), lambda: town.council.veto(0, 7), lambda: town.council.execute(0)):
        with pytest.raises(Refused, match="council: no such proposal"):
            ask()
    with pytest.raises(ValueError, match="there is no proposal 0"):
        town.council.proposal(0)


# Bounds.

BOUNDS = [
    (0, NOBODY, 2, "council: unknown kind"),
    (4, NOBODY, 2, "council: unknown kind"),
    (1, NOBODY, 0, "council: engine version out of bounds"),
    (1, NOBODY, 1, "council: engine version out of bounds"),
    (1, NOBODY, 18, "council: engine version out of bounds"),
    (1, NOBODY, 2**256 - 1, "council: engine version out of bounds"),
    (1, TOKEN, 2, "council: engine versions have no target"),
    (2, TOKEN, 0, "council: cap out of bounds"),
    (2, TOKEN, 2**62, "council: cap out of bounds"),
    (2, TOKEN, CAP // 2 - 1, "council: cap changes too much"),
    (2, TOKEN, 2 * CAP + 1, "council: cap changes too much"),
    (2, b"\x71" * 20, CAP, "council: no collateral token"),
    (3, b"\x71" * 20, CAP, "council: token is no contract"),
    (3, NOBODY, CAP, "council: token is no contract"),
    (3, TOKEN, 0, "council: cap out of bounds"),
    (3, TOKEN, 2**62, "council: cap out of bounds"),
]


@pytest.mark.parametrize(("kind", "target", "setting", "reason"), BOUNDS)
def test_no_quorum_can_even_propose_what_is_out_of_bounds(
    town: Town, kind: int, target: bytes, setting: int, reason: str
) -> None:
    with pytest.raises(Refused, match=reason):
        ChainLink(town.provider, funded_key(0)).send(
            town.council._contract.functions.propose(0, kind, to_checksum_address(target), setting)
        )


def test_the_custody_and_the_council_are_no_tokens(town: Town) -> None:
    for address in (town.council.settlement(), bytes.fromhex(town.address[2:])):
        with pytest.raises(Refused, match="council: token is no contract"):
            town.propose(Kind.ADD_TOKEN, address, 1)


def test_bounds_hold_at_execution_too(town: Town) -> None:
    """Two proposals, each within bounds when made, of which the second would go too far after the first."""
    first, second = town.propose(setting=2), town.propose(setting=2)
    for number in (first, second):
        town.approve(number, 1, 2)
    town.pass_time(EXIT_WINDOW_S)
    town.council.execute(first)
    with pytest.raises(Refused, match="council: engine version out of bounds"):
        town.council.execute(second)


def test_a_cap_is_halved_down_to_a_sixteenth_of_the_first_and_no_further(town: Town) -> None:
    assert town.council.cap_floor(TOKEN) == CAP // 16
    for power in range(1, 5):
        town.pass_into_law(Kind.OUTFLOW_CAP, TOKEN, CAP >> power)
        assert town.council.cap_floor(TOKEN) == CAP // 16
    for setting in (CAP // 16 - 1, CAP // 32):
        with pytest.raises(Refused, match="council: cap below its floor"):
            town.propose(Kind.OUTFLOW_CAP, TOKEN, setting)
    town.pass_into_law(Kind.OUTFLOW_CAP, TOKEN, CAP // 8)
    assert town.assembly.functions.outflow_cap(to_checksum_address(TOKEN)).call() == CAP // 8


def test_a_token_is_added_once_with_its_cap(town: Town) -> None:
    token = deploy_source(town.provider, funded_key(0), "Assembly", to_checksum_address(TOKEN), 1)
    address = bytes.fromhex(token.address[2:])
    town.pass_into_law(Kind.ADD_TOKEN, address, 1_000)
    assert town.assembly.functions.outflow_cap(token.address).call() == 1_000
    assert town.council.cap_floor(address) == 62
    with pytest.raises(Refused, match="council: already a collateral token"):
        town.propose(Kind.ADD_TOKEN, address, 1_000)


# Founding.


@pytest.mark.parametrize(
    ("pause_s", "cooldown_s", "exit_window_s", "reason"),
    [
        (0, 10, 86_400, "council: pause out of bounds"),
        (7 * 86_400 + 1, 8 * 86_400, 90 * 86_400, "council: pause out of bounds"),
        (7_200, 7_199, 86_400, "council: cool-down out of bounds"),
        (7_200, 28 * 86_400 + 1, 86_400, "council: cool-down out of bounds"),
        (7_200, 7_200, 600 + 3_600 + 7_200 - 1, "council: exit window too short"),
        (7_200, 7_200, 90 * 86_400 + 1, "council: exit window too long"),
    ],
)
def test_times_that_would_remove_a_guard_are_refused(
    town: Town, pause_s: int, cooldown_s: int, exit_window_s: int, reason: str
) -> None:
    with pytest.raises(Refused, match=reason):
        deploy_council(
            town.provider, funded_key(0), town.assembly.address, pause_s=pause_s, cooldown_s=cooldown_s,
            exit_window_s=exit_window_s,
        )  # fmt: skip


def test_a_council_needs_a_custody(town: Town) -> None:
    with pytest.raises(Refused, match="council: no settlement contract"):
        deploy_council(town.provider, funded_key(0), to_checksum_address(TOKEN))
