# pragma version 0.4.3
# pragma evm-version prague
"""
@title inbox: what came in, in one order that nobody can change
@notice A hash chain of entries: deposits, and what the owner of an account of the exchange wants done without asking any
        validator. The sender is the owner, so a contract is one as well as a key is. A checkpoint names a prefix of the
        chain by length and hash, and none may leave out an entry that is overdue: then anyone may `freeze`.
@dev Nothing here is judged but its form: the exchange obeys the entry or answers with the number of the rule that forbids
     it, as it would answer a signed command. A refused entry is consumed like any other and is not tried again.
     What it costs is gas. No bond is taken, since an owner may have all money inside, and nobody can be crowded out:
     an entry is never refused for the number of others. Instead its deadline moves with them, SPACING_MS an entry, which
     is less than validators can consume: no flood makes honest validators late (docs/protocol.md, section 4).
"""

import ledger
import proofs

uses: ledger

# ---------------------------------------------------------------- events

event InboxEntry:
    index: indexed(uint256)
    kind: uint256
    token: address
    beneficiary: indexed(address)
    subaccount: uint256
    sender: indexed(address)
    amount: uint256
    data: bytes32
    time_s: uint256
    hash: bytes32


# ---------------------------------------------------------------- constants, immutables, storage

KIND_DEPOSIT: constant(uint256) = 1
KIND_CANCEL: constant(uint256) = 2
KIND_CLOSE: constant(uint256) = 3
KIND_WITHDRAW: constant(uint256) = 4
KIND_KEY: constant(uint256) = 5

RING: constant(uint256) = 256
MASK_48: constant(uint256) = 2**48 - 1
IN_FLOOD: constant(uint256) = 2**48
MASK_64: constant(uint256) = 2**64 - 1
AMOUNT_LIMIT: constant(uint256) = 2**62  # the engine counts in signed 64-bit integers
SCOPES_LIMIT: constant(uint256) = 8  # 1 trade, 2 cancel, 4 transfer to own subaccounts; there is no right to withdraw
SPACING_MS: constant(uint256) = 100

FORCE_DEADLINE_S: public(immutable(uint256))

# Two slots for every number of entries n > 0: the hash chain after them; and their deposits (bits 128-255), until when entry
# n - 1 may wait, in milliseconds (bits 64-127), whether it came in a flood (bit 48) and n itself (bits 0-47). What checkpoints have consumed is
# needed no more, so n takes the slots n % RING where those are free (5,000 gas each instead of 22,100), and in a flood
# slots of its own, at RING + n. The number in the second slot tells whose the two are.
hashes: HashMap[uint256, bytes32]
totals: HashMap[uint256, uint256]
# The second slot's word for all entries there are.
newest: uint256


@deploy
def __init__(force_deadline_s: uint256):
    assert force_deadline_s > 0, "deploy: deadline is zero"
    FORCE_DEADLINE_S = force_deadline_s


# ---------------------------------------------------------------- forced actions

@external
def force_cancel(subaccount: uint256, market: uint256) -> uint256:
    """
    @notice Cancel all orders, triggers and offers of the caller's account.
    @param market Its number; 2**32 - 1 for all markets
    @return Index of the entry
    """
    assert market < 2**32, "force: market too large"
    return self._append_forced(KIND_CANCEL, empty(address), subaccount, 0, market)


@external
def force_close(subaccount: uint256, market: uint256, lots: uint256, limit_ticks: uint256) -> uint256:
    """
    @notice Reduce the caller's position in a market at once, at prices that the exchange admits; what finds nobody to
            trade with is dropped, and a market that is halted trades with nobody.
    @param lots At most so many; 0 for the whole position
    @param limit_ticks The worst price, in ticks; 0 for the worst that the exchange admits
    @return Index of the entry
    """
    assert market < 2**32, "force: market too large"
    assert lots < AMOUNT_LIMIT, "force: lots too large"
    assert limit_ticks < AMOUNT_LIMIT, "force: limit too large"
    return self._append_forced(KIND_CLOSE, empty(address), subaccount, lots, (limit_ticks << 32) | market)


@external
def force_withdraw(subaccount: uint256, token: address, amount: uint256) -> uint256:
    """
    @notice Withdraw from the caller's account to the caller. What positions need is not to be had: close them first.
    @param amount In the token's units; 0 for all that is free when the entry is consumed
    @return Index of the entry
    """
    assert token != empty(address), "force: token is zero"
    assert amount < AMOUNT_LIMIT, "force: amount too large"
    return self._append_forced(KIND_WITHDRAW, token, subaccount, amount, 0)


@external
def force_key(subaccount: uint256, key: address, scopes: uint256, expiry_ms: uint256, order_cap: uint256) -> uint256:
    """
    @notice Let a key sign for the caller's account, or revoke it: the way for owners that are contracts.
    @param key Its Ethereum address
    @param scopes 1 trade, 2 cancel, 4 transfer to own subaccounts, or a sum; 0 revokes
    @param expiry_ms Until when, Unix milliseconds
    @param order_cap Highest value of one order, in quote units; 0 for none
    @return Index of the entry
    """
    assert key != empty(address), "force: key is zero"
    assert scopes < SCOPES_LIMIT, "force: no such scopes"
    assert expiry_ms < AMOUNT_LIMIT, "force: expiry too large"
    assert order_cap < AMOUNT_LIMIT, "force: cap too large"
    data: uint256 = (expiry_ms << 192) | (scopes << 160) | convert(key, uint256)
    return self._append_forced(KIND_KEY, empty(address), subaccount, order_cap, data)


@internal
def _append_forced(kind: uint256, token: address, subaccount: uint256, amount: uint256, data: uint256) -> uint256:
    last: ledger.Last = ledger.unpack_last()
    assert last.certified_s != 0, "force: not active"
    assert not last.is_frozen, "force: frozen"
    assert subaccount < 2**32, "force: subaccount too large"
    return self.append(kind, token, msg.sender, subaccount, amount, convert(data, bytes32), 0)


# ---------------------------------------------------------------- the chain

@internal
def append(
    kind: uint256,
    token: address,
    beneficiary: address,
    subaccount: uint256,
    amount: uint256,
    data: bytes32,
    deposited: uint256,
) -> uint256:
    """@notice The caller's next entry, which brings `deposited` units; returns its index."""
    newest: uint256 = self.newest
    index: uint256 = newest & MASK_48
    hash: bytes32 = proofs.inbox_hash(
        self._hash_of(index, newest),
        index,
        kind,
        token,
        beneficiary,
        subaccount,
        msg.sender,
        amount,
        data,
        block.timestamp,
    )
    due_ms: uint256 = max((block.timestamp + FORCE_DEADLINE_S) * 1000, ((newest >> 64) & MASK_64) + SPACING_MS)
    newest = (((newest >> 128) + deposited) << 128) | (due_ms << 64) | (index + 1)
    # The last checkpoint's own prefix stays as well as what it has not consumed.
    place: uint256 = (index + 1) % RING
    if index + 1 >= RING + ledger.unpack_last().inbox_cursor:
        place = RING + index + 1
        newest |= IN_FLOOD
    self.hashes[place] = hash
    self.totals[place] = newest
    self.newest = newest
    log InboxEntry(
        index=index,
        kind=kind,
        token=token,
        beneficiary=beneficiary,
        subaccount=subaccount,
        sender=msg.sender,
        amount=amount,
        data=data,
        time_s=block.timestamp,
        hash=hash,
    )
    return index


@internal
@view
def length() -> uint256:
    """@notice How many entries there are."""
    return self.newest & MASK_48


@internal
@view
def prefix(cursor: uint256) -> (bytes32, uint256, uint256):
    """
    @notice The first `cursor` entries.
    @return The hash chain after them, their deposits, and until when the next one may wait (the end of time if there is none)
    """
    assert cursor <= MASK_48, "checkpoint: cursor beyond the inbox"
    following: uint256 = self.totals[(cursor + 1) % RING]
    word: uint256 = 0
    if following & MASK_48 != cursor + 1:
        # Nothing waits, most likely: then the newest word is that of the cursor, and no other slot need be read.
        word = self.newest
        following = self.totals[RING + cursor + 1] if word & MASK_48 > cursor else 0
    if word & MASK_48 != cursor or word == 0:
        word = self._word(cursor)
    assert cursor == 0 or word & MASK_48 == cursor, "checkpoint: cursor beyond the inbox"
    due_s: uint256 = max_value(uint256) if following == 0 else self._due_s(following)
    return self._hash_of(cursor, word), word >> 128, due_s


@internal
@view
def hash_after(number: uint256) -> bytes32:
    """@notice The hash chain after the first `number` entries; zero for none, and for what is not there or no more."""
    return self._hash_of(number, self._word(number))


@internal
@view
def deposited(cursor: uint256) -> uint256:
    """@notice Deposits of the first `cursor` entries."""
    return self._word(cursor) >> 128


@internal
@view
def overdue_after_s(cursor: uint256) -> uint256:
    """@notice Until when entry `cursor` may wait; the end of time if there is none."""
    word: uint256 = self._word(cursor + 1)
    return max_value(uint256) if word == 0 else self._due_s(word)


@internal
@view
def _word(number: uint256) -> uint256:
    """@notice The second slot of `number`; zero for 0, and for what is not there or no more."""
    if number == 0:
        return 0
    word: uint256 = self.totals[number % RING]
    return word if word & MASK_48 == number else self.totals[RING + number]


@internal
@view
def _hash_of(number: uint256, word: uint256) -> bytes32:
    if number == 0 or word == 0:
        return empty(bytes32)
    return self.hashes[RING + number if word & IN_FLOOD != 0 else number % RING]


@internal
@pure
def _due_s(word: uint256) -> uint256:
    return ((word >> 64) & MASK_64) // 1000


# ---------------------------------------------------------------- views

@external
@view
def inbox_hash(cursor: uint256) -> bytes32:
    """
    @notice The hash chain after `cursor` entries; zero for 0, for what is not there yet, and for what was consumed long
            ago.
    """
    return self.hash_after(cursor)


@external
@view
def inbox_length() -> uint256:
    """@notice How many entries there are."""
    return self.length()


@external
@view
def inbox_due_s(index: uint256) -> uint256:
    """@notice Until when entry `index` may wait for a checkpoint that consumes it; the largest number if it has not come."""
    return self.overdue_after_s(index)


@external
@view
def deposited_total(cursor: uint256) -> uint256:
    """@notice Deposits (quote units) of the first `cursor` entries."""
    return self.deposited(cursor)
