# pragma version 0.4.3
# pragma evm-version prague
"""
@title Registry: who may be a validator of the Hansa network
@notice Takes the stakes, lets validators in and out of the committee by one fixed rule, keeps the committees' keys, and
        takes the stake of whom the court convicts. It has no owner. What stake it holds goes back to the operator who
        brought it, or is slashed by the court's verdict; there is no third way.
@dev A registration's number is counted from 0, is for ever, and is how the exchange names a validator. An epoch's
     committee is a strictly increasing list of numbers; the position in it is the committee index. Which committee
     agrees is not decided here: the old committee signs the hash of the next one into a header, Settlement accepts that
     header and tells this contract (`begin_epoch`). The bytes are defined in docs/protocol.md. Points are words in the
     layout of EIP-2537, as in bls.
     Nothing here loops over what users can make grow: only over one committee, which has at most 255 members.
"""

import bls
import keyring
import queues

initializes: queues

interface Token:
    def balanceOf(owner: address) -> uint256: view
    def transfer(receiver: address, amount: uint256) -> bool: nonpayable
    def transferFrom(owner: address, receiver: address, amount: uint256) -> bool: nonpayable
    def approve(spender: address, amount: uint256) -> bool: nonpayable

interface Custody:
    def is_frozen() -> bool: view
    def deposit(beneficiary: address, subaccount: uint256, amount: uint256): nonpayable

interface Court:
    def is_culprit(epoch: uint256, member: uint256) -> bool: view


# ---------------------------------------------------------------- events

event Registered:
    number: indexed(uint256)
    operator: indexed(address)
    network_key: bytes32
    key: bytes32[4]

event Advertised:
    number: indexed(uint256)
    text: String[ADVERT_MAX]

event StateChanged:
    number: indexed(uint256)
    state: uint256

event StakePaid:
    number: indexed(uint256)
    operator: indexed(address)
    amount: uint256

event Slashed:
    number: indexed(uint256)
    epoch: indexed(uint256)
    member: uint256
    reporter: indexed(address)
    reward: uint256
    to_insurance: uint256

event CommitteeMade:
    committee_hash: indexed(bytes32)
    committee_size: uint256

event EpochBegun:
    epoch: indexed(uint256)
    committee_hash: indexed(bytes32)
    committee_size: uint256


# ---------------------------------------------------------------- types and constants

struct Registration:
    operator: address
    network_key: bytes32
    key: bytes32[4]

struct Member:
    operator: address
    network_key: bytes32
    key: bytes32[4]
    number: uint256

# How a validator stands, packed in one slot: since_s (bits 40-103) | serving epoch (8-39) | state (0-7). `since_s` is when
# it ceased to be waiting or a member: from then on its stake is unbonding.
struct Standing:
    state: uint256
    serving_epoch: uint256
    since_s: uint256

# States. The stake is here from WAITING to UNBONDING, and not in GONE and JAILED.
WAITING: constant(uint256) = 1  # in the entry queue
SERVING: constant(uint256) = 2  # in the committee of the current epoch
LEAVING: constant(uint256) = 3  # in the committee and in the exit queue
UNBONDING: constant(uint256) = 4  # out of it; the stake can still be slashed
GONE: constant(uint256) = 5  # the stake was paid back
JAILED: constant(uint256) = 6  # convicted; the stake was taken, and there is no way back

COMMITTEE_MAX: constant(uint256) = 255
# Fewer than four members tolerate no fault, so nobody leaves such a committee before another comes.
COMMITTEE_MIN: constant(uint256) = 4
NUMBERS_MAX: constant(uint256) = 65_535  # numbers are stored in 16 bits, queue positions are two more
NUMBERS_A_WORD: constant(uint256) = 16
ADVERT_MAX: constant(uint256) = 128
# The reporter's part of a slashed stake. Small, because a culprit may report itself.
REPORTER_DIVISOR: constant(uint256) = 20
# Owner of the exchange's insurance account: what is slashed makes good what the exchange could not collect.
INSURANCE_OWNER: constant(address) = 0x0000000000000000000000000000000000000002

MASK_16: constant(uint256) = 2**16 - 1
MASK_32: constant(uint256) = 2**32 - 1
MASK_64: constant(uint256) = 2**64 - 1

# A member is 88 bytes of what the committee's hash covers: compressed key (48), network key (32), weight (8).
MEMBER_BYTES: constant(uint256) = 88
MEMBER_WORDS_MAX: constant(uint256) = 704  # 255 members, and what the last one's words touch


# ---------------------------------------------------------------- immutables and storage

SETTLEMENT: public(immutable(address))
COURT: public(immutable(address))
TOKEN: public(immutable(address))
DEPLOYED_BLOCK: public(immutable(uint256))
STAKE: public(immutable(uint256))
UNBONDING_S: public(immutable(uint256))
SEATS_MAX: public(immutable(uint256))
REGISTRATIONS_MAX: public(immutable(uint256))

registration_count: public(uint256)
registrations: HashMap[uint256, Registration]
# Operator to number plus one; zero for who has not registered.
numbers: public(HashMap[address, uint256])
# Hashes of BLS keys, and network keys, that have registered.
key_taken: HashMap[bytes32, bool]
network_key_taken: HashMap[bytes32, bool]
standings: HashMap[uint256, uint256]
# What each operator says where it listens for its peers, such as "validator.example:26656".
advertised: public(HashMap[uint256, String[ADVERT_MAX]])

# By committee hash: size (bits 160-167) and address of the first blob; the second blob; 16 numbers to a word.
committees: public(HashMap[bytes32, uint256])
second_blobs: public(HashMap[bytes32, address])
committee_numbers: HashMap[bytes32, HashMap[uint256, uint256]]
# The current epoch; zero before activation.
epoch: public(uint256)
epoch_committees: public(HashMap[uint256, bytes32])
# Slashed and not yet brought to the insurance account.
insurance_owed: public(uint256)


@deploy
def __init__(
    settlement: address,
    court: address,
    token: address,
    stake: uint256,
    unbonding_s: uint256,
    seats_max: uint256,
    registrations_max: uint256,
):
    """
    @param settlement Where the settlement contract will be, which checks that this is its registry
    @param court Where the court will be, which checks the same
    @param token What stakes are paid in: a plain ERC-20, and one that `settlement` takes as collateral
    @param stake What every validator brings; 0 only for tests
    @param unbonding_s How long after its last epoch a validator can still lose its stake
    @param seats_max Largest committee
    @param registrations_max Numbers there are; the exchange must have been founded with room for as many
    """
    assert settlement != empty(address) and court != empty(address), "deploy: address is zero"
    assert token.is_contract, "deploy: token is no contract"
    assert seats_max > 0 and seats_max <= COMMITTEE_MAX, "deploy: seats"
    assert registrations_max >= seats_max and registrations_max <= NUMBERS_MAX - queues.POSITION_FIRST, "deploy: registrations"
    SETTLEMENT = settlement
    COURT = court
    TOKEN = token
    DEPLOYED_BLOCK = block.number
    STAKE = stake
    UNBONDING_S = unbonding_s
    SEATS_MAX = seats_max
    REGISTRATIONS_MAX = registrations_max
    queues.__init__()


# ---------------------------------------------------------------- coming and going

@external
@nonreentrant
def register(key: bytes32[4], possession: bytes32[8], network_key: bytes32):
    """
    @notice Bring the stake and enter the queue. Needs the caller's allowance of STAKE.
    @param key Public BLS key, G1
    @param possession Signature by that key over `possession_digest`, G2
    @param network_key ed25519 key of the node
    """
    assert network_key != empty(bytes32), "register: network key is zero"
    assert not bls.is_infinity(key), "register: key is infinity"
    key_hash: bytes32 = keccak256(abi_encode(key))
    assert not self.key_taken[key_hash], "register: key is taken"
    assert not self.network_key_taken[network_key], "register: network key is taken"
    assert self.numbers[msg.sender] == 0, "register: operator is taken"
    number: uint256 = self.registration_count
    assert number < REGISTRATIONS_MAX, "register: no number is left"
    assert not staticcall Custody(SETTLEMENT).is_frozen(), "register: frozen"
    digest: bytes32 = self._possession_digest(msg.sender, network_key, key_hash)
    assert bls.is_signed(key, digest, possession), "register: possession not proven"

    self.key_taken[key_hash] = True
    self.network_key_taken[network_key] = True
    self.numbers[msg.sender] = number + 1
    self.registrations[number] = Registration(operator=msg.sender, network_key=network_key, key=key)
    self.registration_count = number + 1
    log Registered(number=number, operator=msg.sender, network_key=network_key, key=key)
    queues.append(queues.ENTRY_QUEUE, number)
    self._put_state(number, WAITING)
    self._take_stake()


@external
def advertise(text: String[ADVERT_MAX]):
    """@notice Tell the other validators where the caller's node listens for them: host and port."""
    number: uint256 = self._number_of(msg.sender)
    self.advertised[number] = text
    log Advertised(number=number, text=text)


@external
def leave():
    """
    @notice Leave the entry queue at once, or ask to leave the committee: some epoch change, in the order of asking.
            The stake is paid UNBONDING_S after that.
    """
    number: uint256 = self._number_of(msg.sender)
    state: uint256 = self._standing(number).state
    # After a freeze no epoch ever changes, so nobody is asked to wait for one.
    is_frozen: bool = staticcall Custody(SETTLEMENT).is_frozen()
    assert state == WAITING or state == SERVING or (is_frozen and state == LEAVING), "leave: neither waiting nor serving"
    if state == SERVING and not is_frozen:
        queues.append(queues.EXIT_QUEUE, number)
        self._put_state(number, LEAVING)
    else:
        if state != SERVING:
            queues.unlink(number)
        self._put_state(number, UNBONDING)


@external
@nonreentrant
def rejoin():
    """@notice Take back a `leave`, or come again under the same number; who was paid brings the stake again."""
    number: uint256 = self._number_of(msg.sender)
    state: uint256 = self._standing(number).state
    assert state == LEAVING or state == UNBONDING or state == GONE, "rejoin: has not left"
    assert not staticcall Custody(SETTLEMENT).is_frozen(), "rejoin: frozen"
    if state == LEAVING:
        queues.unlink(number)
        self._put_state(number, SERVING)
        return
    queues.append(queues.ENTRY_QUEUE, number)
    self._put_state(number, WAITING)
    if state == GONE:
        self._take_stake()


@external
@nonreentrant
def withdraw_stake():
    """@notice Pay the caller's stake back, UNBONDING_S after it left."""
    number: uint256 = self._number_of(msg.sender)
    standing: Standing = self._standing(number)
    assert standing.state == UNBONDING, "stake: not unbonding"
    assert block.timestamp > standing.since_s + UNBONDING_S, "stake: too early"
    self._put_state(number, GONE)
    log StakePaid(number=number, operator=msg.sender, amount=STAKE)
    if STAKE != 0:
        assert extcall Token(TOKEN).transfer(msg.sender, STAKE, default_return_value=True), "stake: transfer refused"


@internal
def _take_stake():
    if STAKE == 0:
        return
    before: uint256 = staticcall Token(TOKEN).balanceOf(self)
    assert extcall Token(TOKEN).transferFrom(msg.sender, self, STAKE, default_return_value=True), "stake: refused"
    assert staticcall Token(TOKEN).balanceOf(self) - before == STAKE, "stake: inexact transfer"


# ---------------------------------------------------------------- slashing

@external
@nonreentrant
def slash(epoch: uint256, member: uint256):
    """
    @notice Take the whole stake of a member whom the court has convicted, and jail it. Anyone may, of any epoch, as long
            as the stake is here. The caller gets a twentieth, the exchange's insurance account the rest. Who has
            taken its stake in time is jailed all the same.
    @param member Committee index in `epoch`
    """
    assert staticcall Court(COURT).is_culprit(epoch, member), "slash: not convicted"
    number: uint256 = self._member_number(epoch, member)
    state: uint256 = self._standing(number).state
    assert state != JAILED, "slash: done before"
    if state == WAITING or state == LEAVING:
        queues.unlink(number)
    self._put_state(number, JAILED)
    taken: uint256 = 0 if state == GONE else STAKE
    reward: uint256 = taken // REPORTER_DIVISOR
    self.insurance_owed += taken - reward
    log Slashed(
        number=number, epoch=epoch, member=member, reporter=msg.sender, reward=reward, to_insurance=taken - reward
    )
    if reward != 0:
        assert extcall Token(TOKEN).transfer(msg.sender, reward, default_return_value=True), "slash: transfer refused"


@external
@nonreentrant
def bring_to_insurance():
    """
    @notice Deposit what was slashed for the exchange's insurance account. Anyone may; apart from `slash`, so that no
            state of the custody can save a culprit. After a freeze it stays here for ever.
    """
    amount: uint256 = self.insurance_owed
    assert amount != 0, "insurance: nothing is owed"
    self.insurance_owed = 0
    assert extcall Token(TOKEN).approve(SETTLEMENT, amount, default_return_value=True), "insurance: approval refused"
    extcall Custody(SETTLEMENT).deposit(INSURANCE_OWNER, 0, amount)


# ---------------------------------------------------------------- committees

@external
@view
def next_numbers() -> DynArray[uint256, COMMITTEE_MAX]:
    """
    @notice The committee that follows the current one, from what is stored now and nothing else: its members, without the
            jailed ones and the first in the exit queue, and the first in the entry queue.
    @dev Of n members max(1, (n - 1) // 3) may leave and max(2, ceil(n / 2)) may enter at a time, so a committee knows
         most of the one that follows. Nobody may leave where fewer than COMMITTEE_MIN would stay. The first committee
         is the entry queue.
    """
    size: uint256 = self.committees[self.epoch_committees[self.epoch]] >> 160
    present: DynArray[uint256, COMMITTEE_MAX] = []
    for i: uint256 in range(size, bound=COMMITTEE_MAX):
        number: uint256 = self._number_at(self.epoch_committees[self.epoch], i)
        state: uint256 = self._standing(number).state
        if state == SERVING or state == LEAVING:
            present.append(number)

    enter_max: uint256 = SEATS_MAX if size == 0 else max(2, (size + 1) // 2)
    waiting: DynArray[uint256, COMMITTEE_MAX] = queues.first_of(queues.ENTRY_QUEUE, enter_max)
    spare: uint256 = len(present) + len(waiting)
    spare = spare - COMMITTEE_MIN if spare > COMMITTEE_MIN else 0
    leave_max: uint256 = 0 if size == 0 else min(spare, max(1, (size - 1) // 3))
    leaving: DynArray[uint256, COMMITTEE_MAX] = queues.first_of(queues.EXIT_QUEUE, leave_max)

    chosen: DynArray[uint256, COMMITTEE_MAX] = []
    for number: uint256 in present:
        if number not in leaving:
            chosen.append(number)
    for number: uint256 in waiting:
        if len(chosen) == SEATS_MAX:
            break
        chosen.append(number)
        # Into its place, which is the last one as a rule: numbers are given in the order of coming.
        place: uint256 = len(chosen) - 1
        for _: uint256 in range(COMMITTEE_MAX):
            if place == 0 or chosen[place - 1] < number:
                break
            chosen[place] = chosen[place - 1]
            place -= 1
        chosen[place] = number
    return chosen


@external
def make_committee(numbers: DynArray[uint256, COMMITTEE_MAX]) -> bytes32:
    """
    @notice Write the keys of a committee where checkpoints find them. Anyone may, for any registrations: a committee
            means nothing before the one in office has signed its hash.
    @param numbers Registrations, strictly increasing
    @return `committee_hash`, what headers call it
    """
    size: uint256 = len(numbers)
    assert size > 0, "committee: empty"
    total: uint256 = self.registration_count
    first: bytes32[4][keyring.BLOB_POINTS_MAX] = empty(bytes32[4][keyring.BLOB_POINTS_MAX])
    second: bytes32[4][keyring.BLOB_POINTS_MAX] = empty(bytes32[4][keyring.BLOB_POINTS_MAX])
    aggregate: bytes32[4] = empty(bytes32[4])
    encoded: uint256[MEMBER_WORDS_MAX] = empty(uint256[MEMBER_WORDS_MAX])
    packed: uint256[NUMBERS_A_WORD] = empty(uint256[NUMBERS_A_WORD])
    for i: uint256 in range(size, bound=COMMITTEE_MAX):
        number: uint256 = numbers[i]
        assert number < total, "committee: no such registration"
        assert i == 0 or number > numbers[i - 1], "committee: numbers not increasing"
        registration: Registration = self.registrations[number]
        aggregate = bls.add_g1(aggregate, registration.key)
        if i < keyring.BLOB_KEYS:
            first[i + 1] = registration.key
        else:
            second[i - keyring.BLOB_KEYS] = registration.key
        words: uint256[3] = keyring.encode_member(registration.key, registration.network_key)
        at: uint256 = i * MEMBER_BYTES // 32
        offset: uint256 = i * MEMBER_BYTES % 32 * 8
        for k: uint256 in range(3):
            encoded[at + k] |= words[k] >> offset
            encoded[at + k + 1] |= words[k] << (256 - offset)
        packed[i // NUMBERS_A_WORD] |= number << (16 * (i % NUMBERS_A_WORD))
    assert not bls.is_infinity(aggregate), "committee: aggregate is infinity"
    first[0] = aggregate

    committee_hash: bytes32 = keccak256(slice(abi_encode(encoded), 0, size * MEMBER_BYTES))
    if self.committees[committee_hash] != 0:
        return committee_hash
    for k: uint256 in range((size + NUMBERS_A_WORD - 1) // NUMBERS_A_WORD, bound=NUMBERS_A_WORD):
        self.committee_numbers[committee_hash][k] = packed[k]
    blob: address = keyring.write_blob(first, min(size, keyring.BLOB_KEYS) + 1)
    self.committees[committee_hash] = (size << 160) | convert(blob, uint256)
    if size > keyring.BLOB_KEYS:
        self.second_blobs[committee_hash] = keyring.write_blob(second, size - keyring.BLOB_KEYS)
    log CommitteeMade(committee_hash=committee_hash, committee_size=size)
    return committee_hash


@external
def begin_epoch(committee_hash: bytes32):
    """@notice Settlement has accepted that this committee follows. Members that are not in it begin to unbond."""
    assert msg.sender == SETTLEMENT, "epoch: not the settlement contract"
    size: uint256 = self.committees[committee_hash] >> 160
    assert size != 0, "epoch: no such committee"
    old_epoch: uint256 = self.epoch
    old_hash: bytes32 = self.epoch_committees[old_epoch]
    old_size: uint256 = self.committees[old_hash] >> 160
    epoch: uint256 = old_epoch + 1
    self.epoch = epoch
    self.epoch_committees[epoch] = committee_hash
    for i: uint256 in range(size, bound=COMMITTEE_MAX):
        self._seat(self._number_at(committee_hash, i), epoch)
    for i: uint256 in range(old_size, bound=COMMITTEE_MAX):
        number: uint256 = self._number_at(old_hash, i)
        standing: Standing = self._standing(number)
        if standing.serving_epoch != epoch and (standing.state == SERVING or standing.state == LEAVING):
            if standing.state == LEAVING:
                queues.unlink(number)
            self._put_state(number, UNBONDING)
    log EpochBegun(epoch=epoch, committee_hash=committee_hash, committee_size=size)


@internal
def _seat(number: uint256, epoch: uint256):
    """@notice This validator is a member of `epoch`, whatever it did since the old committee signed."""
    standing: Standing = self._standing(number)
    state: uint256 = standing.state
    if state == WAITING:
        queues.unlink(number)
        state = SERVING
    elif state == UNBONDING:  # it left the entry queue too late, so its stake stays for what it signs
        queues.append(queues.EXIT_QUEUE, number)
        state = LEAVING
    self.standings[number] = (standing.since_s << 40) | (epoch << 8) | state
    if state != standing.state:
        log StateChanged(number=number, state=state)


# ---------------------------------------------------------------- inside

@internal
@view
def _possession_digest(operator: address, network_key: bytes32, key_hash: bytes32) -> bytes32:
    return keccak256(
        concat(
            b"hansa/register/v1",
            convert(chain.id, bytes32),
            convert(self, bytes20),
            convert(operator, bytes20),
            network_key,
            key_hash,
        )
    )


@internal
@view
def _number_of(operator: address) -> uint256:
    number: uint256 = self.numbers[operator]
    assert number != 0, "registry: the caller is not registered"
    return number - 1


@internal
@view
def _number_at(committee_hash: bytes32, index: uint256) -> uint256:
    word: uint256 = self.committee_numbers[committee_hash][index // NUMBERS_A_WORD]
    return (word >> (16 * (index % NUMBERS_A_WORD))) & MASK_16


@internal
@view
def _member_number(epoch: uint256, index: uint256) -> uint256:
    committee_hash: bytes32 = self.epoch_committees[epoch]
    assert index < self.committees[committee_hash] >> 160, "member: no such index"
    return self._number_at(committee_hash, index)


@internal
@view
def _standing(number: uint256) -> Standing:
    word: uint256 = self.standings[number]
    return Standing(state=word & 255, serving_epoch=(word >> 8) & MASK_32, since_s=(word >> 40) & MASK_64)


@internal
def _put_state(number: uint256, state: uint256):
    since_s: uint256 = block.timestamp if state == UNBONDING else 0
    self.standings[number] = (since_s << 40) | (self._standing(number).serving_epoch << 8) | state
    log StateChanged(number=number, state=state)


# ---------------------------------------------------------------- views

@external
@view
def registration(number: uint256) -> Registration:
    """@notice Registration `number`, counted from 0."""
    assert number < self.registration_count, "registration: no such number"
    return self.registrations[number]


@external
@view
def is_taken(operator: address, key: bytes32[4], network_key: bytes32) -> bool[3]:
    """@notice Whether an operator, a BLS key and a network key are registered already."""
    return [
        self.numbers[operator] != 0, self.key_taken[keccak256(abi_encode(key))], self.network_key_taken[network_key]
    ]


@external
@view
def standing(number: uint256) -> Standing:
    """@notice How validator `number` stands; state 0 if there is none."""
    return self._standing(number)


@external
@view
def stake_of(number: uint256) -> uint256:
    """@notice What can still be slashed of validator `number`."""
    state: uint256 = self._standing(number).state
    return STAKE if state >= WAITING and state <= UNBONDING else 0


@external
@view
def queue(is_exit: bool, limit: uint256) -> DynArray[uint256, COMMITTEE_MAX]:
    """@notice The first numbers of the exit or the entry queue, at most 255."""
    return queues.first_of(queues.EXIT_QUEUE if is_exit else queues.ENTRY_QUEUE, min(limit, COMMITTEE_MAX))


@external
@view
def committee_size(epoch: uint256) -> uint256:
    """@notice Members of the committee of `epoch`; 0 if there was no such epoch."""
    return self.committees[self.epoch_committees[epoch]] >> 160


@external
@view
def member(epoch: uint256, index: uint256) -> Member:
    """@notice Committee member `index` of `epoch`."""
    number: uint256 = self._member_number(epoch, index)
    registration: Registration = self.registrations[number]
    return Member(
        operator=registration.operator, network_key=registration.network_key, key=registration.key, number=number
    )


@external
@view
def numbers_of(committee_hash: bytes32) -> DynArray[uint256, COMMITTEE_MAX]:
    """@notice The registration numbers of a committee that was made, in order; none of one that was not."""
    numbers: DynArray[uint256, COMMITTEE_MAX] = []
    for i: uint256 in range(self.committees[committee_hash] >> 160, bound=COMMITTEE_MAX):
        numbers.append(self._number_at(committee_hash, i))
    return numbers


@external
@view
def possession_digest(operator: address, network_key: bytes32, key: bytes32[4]) -> bytes32:
    """@notice What `operator` signs with `key` before `register`."""
    return self._possession_digest(operator, network_key, keccak256(abi_encode(key)))
