# pragma version 0.4.3
# pragma evm-version prague
"""
@title Payouts: certified withdrawals, paid by Merkle proof
@notice Anyone claims a withdrawal for its owner, against a checkpoint that Settlement keeps and that is CLAIM_DELAY_S old. The
        delay gives honest operators time to notice a forged root and pause claims for a while; the outflow cap bounds what
        is lost if they do not. A withdrawal that the cap does not let pass at once is paid in parts, each by one more
        claim. Whom a token refuses has the amount as credit here and takes it later, wherever it likes.
        The money stays in Settlement, which pays what this contract orders and never more than certified headers count.
@dev What is paid follows the leaf's index, never the bytes of its proof: none is paid twice.
"""

import in_kind
import ledger
import outflow
import proofs

initializes: outflow
initializes: in_kind[outflow := outflow]
exports: (outflow.__interface__, in_kind.__interface__)

interface Custody:
    def PAYOUTS() -> address: view
    def TOKEN() -> address: view
    def CLAIM_DELAY_S() -> uint256: view
    def is_kept(record: ledger.Record) -> bool: view
    def pay_out(token: address, receiver: address, amount: uint256) -> bool: nonpayable

interface Council:
    def is_paused() -> bool: view


event WithdrawalClaimed:
    index: indexed(uint256)
    owner: indexed(address)
    token: indexed(address)
    amount: uint256
    left: uint256

event ClaimSkipped:
    index: indexed(uint256)

event Credited:
    token: indexed(address)
    owner: indexed(address)
    amount: uint256

event Collected:
    token: indexed(address)
    owner: indexed(address)
    receiver: address
    amount: uint256


# A leaf of the withdrawal tree, and its siblings from the leaf up.
struct Withdrawal:
    index: uint256
    owner: address
    token: address
    amount: uint256
    proof: bytes32[proofs.WITHDRAWAL_DEPTH]

BATCH_MAX: constant(uint256) = 32
CLAIM: constant(bytes4) = method_id(
    "claim_withdrawal((uint256,bytes32,bytes32,bytes32,bytes32,bytes32,uint256),(uint256,address,address,uint256,bytes32[32]))",
    output_type=bytes4,
)

SETTLEMENT: public(immutable(address))
CLAIM_DELAY_S: public(immutable(uint256))

# Withdrawals that are paid whole, 256 to a word.
claimed: HashMap[uint256, uint256]
# What has been paid of a withdrawal that is paid in parts.
paid_part: public(HashMap[uint256, uint256])
# By token and owner: what the token refused to deliver.
credit: public(HashMap[address, HashMap[address, uint256]])


@deploy
def __init__(
    settlement: address,
    council: address,
    quote_cap: uint256,
    tokens: DynArray[address, outflow.TOKENS_MAX],
    settings: DynArray[uint256, outflow.TOKENS_MAX],
):
    """
    @param settlement Where the money is
    @param council Where the council will be; zero for none: then nothing ever pauses or changes
    @param quote_cap Quote units that claims pay in 24 hours at most
    @param tokens Further collateral tokens, with `settings` as `add_token` takes them
    """
    assert staticcall Custody(settlement).PAYOUTS() == self, "deploy: the settlement contract names another one"
    outflow.__init__(council, staticcall Custody(settlement).TOKEN(), quote_cap, tokens, settings)
    in_kind.__init__(settlement)
    SETTLEMENT = settlement
    CLAIM_DELAY_S = staticcall Custody(settlement).CLAIM_DELAY_S()


@external
@nonreentrant
def claim_withdrawal(record: ledger.Record, withdrawal: Withdrawal):
    """
    @notice Pay a withdrawal to its owner, whole or as much as the outflow cap admits now. Anyone may call.
    @param record A checkpoint that is kept and at least CLAIM_DELAY_S old, as its event told it
    """
    assert not self._is_paused(), "claim: paused"
    assert staticcall Custody(SETTLEMENT).is_kept(record), "record: no kept checkpoint"
    assert block.timestamp >= record.posted_s + CLAIM_DELAY_S, "claim: too early"
    index: uint256 = withdrawal.index
    bit: uint256 = 1 << (index & 255)
    word: uint256 = self.claimed[index >> 8]
    assert word & bit == 0, "claim: already paid"
    root: bytes32 = proofs.withdrawal_root(
        index, withdrawal.owner, withdrawal.token, withdrawal.amount, withdrawal.proof
    )
    assert root == record.withdrawals_root, "claim: wrong proof"

    rest: uint256 = withdrawal.amount - self.paid_part[index]
    granted: uint256 = outflow.release(withdrawal.token, rest)
    if granted == rest:
        self.claimed[index >> 8] = word | bit
    else:
        self.paid_part[index] += granted
    log WithdrawalClaimed(
        index=index, owner=withdrawal.owner, token=withdrawal.token, amount=granted, left=rest - granted
    )
    if not extcall Custody(SETTLEMENT).pay_out(withdrawal.token, withdrawal.owner, granted):
        self.credit[withdrawal.token][withdrawal.owner] += granted
        log Credited(token=withdrawal.token, owner=withdrawal.owner, amount=granted)


@external
def claim_many(record: ledger.Record, withdrawals: DynArray[Withdrawal, BATCH_MAX]) -> uint256:
    """
    @notice Claim each withdrawal as `claim_withdrawal` does; one that is refused is skipped and stops no other.
    @return How many were paid
    """
    count: uint256 = 0
    for withdrawal: Withdrawal in withdrawals:
        if raw_call(self, abi_encode(record, withdrawal, method_id=CLAIM), revert_on_failure=False):
            count += 1
        else:
            log ClaimSkipped(index=withdrawal.index)
    return count


@external
@nonreentrant
def collect(token: address, receiver: address):
    """@notice Send the caller's credit to whom it likes; refused if the token refuses again."""
    amount: uint256 = self.credit[token][msg.sender]
    assert amount > 0, "collect: no credit"
    self.credit[token][msg.sender] = 0
    log Collected(token=token, owner=msg.sender, receiver=receiver, amount=amount)
    assert extcall Custody(SETTLEMENT).pay_out(token, receiver, amount), "collect: transfer refused"


@internal
@view
def _is_paused() -> bool:
    return outflow.COUNCIL != empty(address) and staticcall Council(outflow.COUNCIL).is_paused()


@external
@view
def is_claimed(index: uint256) -> bool:
    """@notice Whether withdrawal `index` has been paid whole."""
    return (self.claimed[index >> 8] >> (index & 255)) & 1 == 1
