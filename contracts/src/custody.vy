# pragma version 0.4.3
# pragma evm-version prague
"""
@title custody: what of each token came in and what went out
@notice Nothing leaves for a withdrawal that certified headers do not count: of the quote token no more than their
        `withdrawals_total`, of another token no more than the deposits that they consumed. So whatever the contract of
        payouts does, what nobody has consumed stays here for refunds.
@dev Tokens must be plain ERC-20s without fees or rebasing; a deposit that arrives inexactly is refused. Consumed deposits of
     the quote token are part of every inbox entry. Those of another token are a trail of its own, along which a position
     follows the checkpoints. Amounts are in the token's own units.
"""

import ledger

uses: ledger

interface Token:
    def balanceOf(owner: address) -> uint256: view
    def transferFrom(owner: address, receiver: address, amount: uint256) -> bool: nonpayable

# Steps along a token's trail that one payment takes at most; `follow_trail` takes more.
STEPS_MAX: constant(uint256) = 64
MASK_64: constant(uint256) = 2**64 - 1
MASK_128: constant(uint256) = 2**128 - 1

# Who decides when a withdrawal is paid, and which tokens are collateral.
PAYOUTS: public(immutable(address))

# By token: what it has paid for withdrawals and escapes in kind.
paid_total: public(HashMap[address, uint256])
# Deposits of a token that is not the quote token, counted from 1: index of the inbox entry (bits 128-191), deposits up to
# it (0-127).
trail: HashMap[address, HashMap[uint256, uint256]]
# Length of the trail (bits 0-63), and how much of it checkpoints have consumed as far as anyone has looked (64-127).
trail_ends: HashMap[address, uint256]


@deploy
def __init__(payouts: address):
    PAYOUTS = payouts


@internal
def take_in(token: address, amount: uint256):
    """@notice Move `amount` from the caller to here, exactly."""
    before: uint256 = staticcall Token(token).balanceOf(self)
    assert extcall Token(token).transferFrom(msg.sender, self, amount, default_return_value=True), "deposit: refused"
    assert staticcall Token(token).balanceOf(self) - before == amount, "deposit: inexact transfer"


@internal
def note_deposit(token: address, index: uint256, amount: uint256):
    """@notice Inbox entry `index` brings units of a token that is not the quote token."""
    ends: uint256 = self.trail_ends[token]
    count: uint256 = ends & MASK_64
    total: uint256 = (self.trail[token][count] & MASK_128) + amount
    self.trail[token][count + 1] = (index << 128) | total
    self.trail_ends[token] = ends + 1


@internal
def _consumed(token: address) -> uint256:
    """@notice Deposits that the last checkpoint has consumed, or fewer where the trail is long."""
    ends: uint256 = self.trail_ends[token]
    position: uint256 = ends >> 64
    cursor: uint256 = ledger.unpack_last().inbox_cursor
    at: uint256 = position
    for _: uint256 in range(STEPS_MAX):
        if at == ends & MASK_64 or self.trail[token][at + 1] >> 128 >= cursor:
            break
        at += 1
    if at != position:
        self.trail_ends[token] = (at << 64) | (ends & MASK_64)
    return self.trail[token][at] & MASK_128


@external
def follow_trail(token: address) -> uint256:
    """
    @notice Follow the checkpoints along the deposits of a token that is not the quote token. Anyone may; needed only
            after very many small ones.
    @return Consumed deposits as far as that has come
    """
    return self._consumed(token)


@external
@nonreentrant
def pay_out(token: address, receiver: address, amount: uint256) -> bool:
    """
    @notice Pay what the contract of payouts orders, which alone may.
    @return False if the token refuses: then nothing has happened
    """
    assert msg.sender == PAYOUTS, "pay: not the contract of payouts"
    paid: uint256 = self.paid_total[token] + amount
    if token == ledger.TOKEN:
        # A root may hide leaves that no header's total counts: nobody else's money may pay them.
        assert paid <= ledger.unpack_last().withdrawals_total, "claim: more than was withdrawn"
    else:
        assert paid <= self._consumed(token), "claim: more than was deposited"
    if not self.transfer(token, receiver, amount):
        return False
    # Behind the transfer, which cannot come back here: what may be paid and what is paid is locked by `nonreentrant`.
    self.paid_total[token] = paid
    return True


@internal
def transfer(token: address, receiver: address, amount: uint256) -> bool:
    """@notice Whether the token says that it has moved `amount` to `receiver`."""
    is_done: bool = False
    answer: Bytes[32] = b""
    is_done, answer = raw_call(
        token,
        abi_encode(receiver, amount, method_id=method_id("transfer(address,uint256)")),
        max_outsize=32,
        revert_on_failure=False,
    )
    return is_done and (len(answer) == 0 or (len(answer) == 32 and convert(answer, uint256) == 1))
