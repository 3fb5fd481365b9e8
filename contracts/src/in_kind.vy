# pragma version 0.4.3
# pragma evm-version prague
"""
@title in_kind: collateral lots leave a frozen exchange as they are
@notice An account's claim is without its collateral lots; those are in its holdings, which its leaf commits to. After the
        freeze the owner gets them as they are, whatever they are worth: nobody's lots depend on anybody else's.
        An account in debt gets its lots once its debt is paid, in quote units, by whoever likes. Debts are taken for
        REDEMPTION_S from `open_redemption` on, which anyone calls. Then what came in is final, and the accounts with claims
        share it pro rata: no order of payments makes a difference to anybody.
@dev Holdings are a balance of 8 bytes and rows of 12, market (4) and lots (8), strictly ascending: read as that and nothing
     else. What is paid follows the account's index.
"""

import ledger
import outflow
import proofs

uses: outflow

interface Vault:
    def TOKEN() -> address: view
    def is_kept(record: ledger.Record) -> bool: view
    def last_checkpoint() -> ledger.Last: view
    def pool() -> uint256: view
    def pay_out(token: address, receiver: address, amount: uint256) -> bool: nonpayable

interface Token:
    def balanceOf(owner: address) -> uint256: view
    def transfer(receiver: address, amount: uint256) -> bool: nonpayable
    def transferFrom(owner: address, receiver: address, amount: uint256) -> bool: nonpayable

event EscapedInKind:
    index: indexed(uint256)
    owner: indexed(address)
    token: indexed(address)
    amount: uint256

event RedemptionOpened:
    ends_s: uint256

event DebtPaid:
    index: indexed(uint256)
    payer: indexed(address)
    amount: uint256

event Shared:
    index: indexed(uint256)
    owner: indexed(address)
    amount: uint256

# An account of the last checkpoint: its leaf, with the preimage of its digest, and its siblings from the leaf up.
struct Account:
    index: uint256
    owner: address
    subaccount: uint256
    claim: uint256
    debt: uint256
    holdings: Bytes[HOLDINGS_MAX]
    aux_hash: bytes32
    sibling_hashes: bytes32[proofs.ACCOUNT_DEPTH]
    sibling_sums: uint256[proofs.ACCOUNT_DEPTH]

POSITIONS_MAX: constant(uint256) = 256
BALANCE_BYTES: constant(uint256) = 8
ROW_BYTES: constant(uint256) = 12
HOLDINGS_MAX: constant(uint256) = 3_080  # BALANCE_BYTES + POSITIONS_MAX * ROW_BYTES
SYSTEM_ACCOUNTS: constant(uint256) = 64
REDEMPTION_S: constant(uint256) = 30 * 86_400

VAULT: immutable(address)

# Until when debts are taken; zero before anyone opened the redemption.
redemption_ends_s: public(uint256)
# Quote units that debtors have brought.
recovered: public(uint256)
# By account: whether its debt is paid, whether it has its share of what debtors brought; 256 to a word.
debt_paid: HashMap[uint256, uint256]
shared: HashMap[uint256, uint256]
# The same by token: whether it has its lots.
taken: HashMap[address, HashMap[uint256, uint256]]


@deploy
def __init__(vault: address):
    VAULT = vault


@external
def open_redemption():
    """@notice Start the time in which debts are taken. Anyone may, once, after the freeze."""
    assert (staticcall Vault(VAULT).last_checkpoint()).is_frozen, "redemption: not frozen"
    assert self.redemption_ends_s == 0, "redemption: open already"
    self.redemption_ends_s = block.timestamp + REDEMPTION_S
    log RedemptionOpened(ends_s=self.redemption_ends_s)


@external
@nonreentrant
def pay_debt(record: ledger.Record, account: Account):
    """@notice Pay an account's debt from the caller's quote tokens; needs the caller's allowance."""
    assert block.timestamp < self.redemption_ends_s, "redemption: not open"
    self._check_account(record, account)
    assert account.debt > 0, "redemption: no debt"
    word: uint256 = self.debt_paid[account.index >> 8]
    bit: uint256 = 1 << (account.index & 255)
    assert word & bit == 0, "redemption: paid before"
    self.debt_paid[account.index >> 8] = word | bit
    self.recovered += account.debt
    log DebtPaid(index=account.index, payer=msg.sender, amount=account.debt)
    token: address = staticcall Vault(VAULT).TOKEN()
    before: uint256 = staticcall Token(token).balanceOf(self)
    assert extcall Token(token).transferFrom(msg.sender, self, account.debt, default_return_value=True), "redemption: refused"
    assert staticcall Token(token).balanceOf(self) - before == account.debt, "redemption: inexact transfer"


@external
@nonreentrant
def escape_in_kind(record: ledger.Record, token: address, account: Account):
    """@notice Pay the account's lots of one collateral token to its owner. Anyone may call, once per account and token."""
    self._check_account(record, account)
    word: uint256 = self.taken[token][account.index >> 8]
    bit: uint256 = 1 << (account.index & 255)
    assert word & bit == 0, "escape: already paid"
    assert account.debt == 0 or (self.debt_paid[account.index >> 8] & bit) != 0, "escape: the account is in debt"
    lot: outflow.Lot = outflow.lots[token]
    assert lot.units_per_lot != 0, "escape: no collateral in lots"
    amount: uint256 = self._find_lots(account.holdings, lot.market) * lot.units_per_lot
    assert amount > 0, "escape: nothing to pay"
    self.taken[token][account.index >> 8] = word | bit
    log EscapedInKind(index=account.index, owner=account.owner, token=token, amount=amount)
    assert extcall Vault(VAULT).pay_out(token, account.owner, amount), "escape: transfer refused"


@external
@nonreentrant
def share(record: ledger.Record, account: Account):
    """@notice Pay the account its part of what debtors brought, to its owner. Anyone may call, once per account."""
    assert self.redemption_ends_s != 0 and block.timestamp >= self.redemption_ends_s, "share: too early"
    self._check_account(record, account)
    word: uint256 = self.shared[account.index >> 8]
    bit: uint256 = 1 << (account.index & 255)
    assert word & bit == 0, "share: already paid"
    claims: uint256 = convert(record.account_sums, uint256) >> 128
    # With its share of the pool nobody gets more than its claim.
    short: uint256 = claims - min(claims, staticcall Vault(VAULT).pool())
    amount: uint256 = account.claim * min(self.recovered, short) // max(claims, 1)
    assert amount > 0, "share: nothing to pay"
    self.shared[account.index >> 8] = word | bit
    log Shared(index=account.index, owner=account.owner, amount=amount)
    token: address = staticcall Vault(VAULT).TOKEN()
    assert extcall Token(token).transfer(account.owner, amount, default_return_value=True), "share: transfer refused"


@internal
@view
def _check_account(record: ledger.Record, account: Account):
    """@notice The account is in the last checkpoint of a frozen contract, and is a trader's."""
    last: ledger.Last = staticcall Vault(VAULT).last_checkpoint()
    assert last.is_frozen, "escape: not frozen"
    assert record.height == last.height and staticcall Vault(VAULT).is_kept(record), "record: not the last checkpoint"
    assert account.index >= SYSTEM_ACCOUNTS, "escape: system account"
    root: bytes32 = empty(bytes32)
    sums: uint256 = 0
    root, sums = proofs.account_root(
        account.index, account.owner, account.subaccount, account.claim, account.debt,
        keccak256(concat(account.holdings, account.aux_hash)), account.sibling_hashes, account.sibling_sums,
    )
    assert root == record.account_root and convert(sums, bytes32) == record.account_sums, "escape: wrong proof"


@internal
@pure
def _find_lots(holdings: Bytes[HOLDINGS_MAX], market: uint256) -> uint256:
    length: uint256 = len(holdings)
    assert length >= BALANCE_BYTES and (length - BALANCE_BYTES) % ROW_BYTES == 0, "escape: holdings"
    # Padded, so that every row can be read as the head of a word.
    rows: Bytes[HOLDINGS_MAX + 32] = concat(holdings, empty(bytes32))
    lots: uint256 = 0
    next_market: uint256 = 0
    for i: uint256 in range((length - BALANCE_BYTES) // ROW_BYTES, bound=POSITIONS_MAX):
        row: uint256 = convert(extract32(rows, BALANCE_BYTES + ROW_BYTES * i), uint256) >> 160
        found: uint256 = row >> 64
        assert found >= next_market, "escape: holdings are not ascending"
        next_market = found + 1
        if found == market:
            lots = row & (2**64 - 1)
    # A position of a spot market is never short; were it, no owner would have anything to take.
    return lots if lots < 2**63 else 0
