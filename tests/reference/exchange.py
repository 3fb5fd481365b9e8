"""The exchange again: slow, obvious, big integers, dicts, lists, no compiler; by docs/spec.md alone.

`genesis` makes the state of the parameters, `execute` a changed copy after a block (BLK-1). What it shares with
`engine`: the nouns (parameters, commands, payload parts, result codes, names of record fields) and plain functions
whose exactness is proved elsewhere (option prices, volatility surfaces).
"""

from copy import deepcopy

import sha3

from engine.commands import (
    ACCEPT,
    AMEND,
    CANCEL,
    CANCEL_ALL,
    CANCEL_ALL_AFTER,
    COMBO,
    DELIST,
    LIST,
    OFFER,
    PLACE,
    POST_ONLY,
    POST_ONLY_SLIDE,
    SET_FEES,
    SET_MARGIN_MODE,
    SET_PARAMETER,
    SET_PHASE,
    SET_PROTECTION,
    SET_SESSION,
    TRANSFER,
    TRIGGER,
    WITHDRAW,
    Action,
    is_action_well_formed,
)
from engine.params import KINDS
from engine.results import Code
from engine.tables import PHASE_AUCTION, SCOPE_CANCEL, SCOPE_TRADE, SCOPE_TRANSFER
from tests.reference import account_actions, deals, forced, governance, orders, prices
from tests.reference.clock import run_clock
from tests.reference.liquidation import judge_accounts
from tests.reference.state import (
    GOVERNOR,
    Account,
    Exchange,
    blank_asset,
    blank_market,
    blank_underlying,
)
from tests.reference.triggers import place_trigger

DEPOSITS_MAX = 1 << 56
GOVERNANCE_KINDS = (LIST, SET_PARAMETER, DELIST, SET_PHASE)
TRADE_KINDS = (PLACE, AMEND, TRIGGER, COMBO, OFFER, ACCEPT, SET_PROTECTION)
CANCEL_KINDS = (CANCEL, CANCEL_ALL, CANCEL_ALL_AFTER)
LAST_CLASS = (PLACE, AMEND, TRIGGER, COMBO, ACCEPT)


def keccak(data):
    return sha3.keccak_256(data).digest()


# -- genesis ----------------------------------------------------------------------------------------------------------


def genesis(params, time_ms):
    x = Exchange(params, time_ms)
    owners = (1).to_bytes(20, "big"), (2).to_bytes(20, "big"), params.governor
    for index, owner in enumerate(owners):
        x.accounts[index] = Account(owner, 0)
    for market in params.markets:
        list_genesis_market(x, market)
    x.assets = [blank_asset(token=params.token, market=-1, units_per_lot=1)]
    symbols = [market.symbol for market in params.markets]
    for item in params.collaterals:
        market = symbols.index(item.symbol)
        x.assets.append(
            blank_asset(token=item.token, market=market, units_per_lot=item.units_per_lot, cap_lots=item.lots_max)
        )
    return x


def list_genesis_market(x, market):
    underlying = x.params.underlyings.index(market.underlying_name)
    if underlying == len(x.underlyings):
        x.underlyings.append(
            blank_underlying(
                feed_tick_e8=market.tick_e8, oracle_step_bps_max=market.oracle_step_bps_max,
                oracle_stale_ms=market.oracle_stale_ms, reference_move_bps=market.reference_move_bps,
            )
        )  # fmt: skip
    row = blank_market(
        kind=KINDS.index(market.kind), underlying=underlying, strike_e8=market.strike_e8, tick_e8=market.tick_e8,
        lot_e8=market.lot_e8, quote_per_tick_lot=market.quote_per_tick_lot, order_lots_max=market.size_lots_max,
        position_lots_max=market.position_lots_max, initial_bps=market.initial_margin_bps,
        maintenance_bps=market.maintenance_margin_bps, maker_fee_bps=market.maker_fee_bps,
        taker_fee_bps=market.taker_fee_bps, liquidation_fee_bps=market.liquidation_fee_bps,
        band_bps=market.price_band_bps, oi_low_quote=market.oi_low_quote, oi_high_quote=market.oi_high_quote,
        auction_move_bps=market.auction_move_bps, auction_ms=market.auction_ms,
        funding_cap_bps=market.funding_cap_bps, interest_bps=market.interest_bps, impact_quote=market.impact_quote,
        is_listed=1, listed_ms=x.time_ms, price_ticks_max=min(market.price_ticks_max, (1 << 24) - 1),
    )  # fmt: skip
    row.expiry = governance.find_expiry(x, underlying, market.expiry_ms)
    if market.auction_ms:
        row.phase, row.phase_until_ms = PHASE_AUCTION, x.time_ms + market.auction_ms
    x.markets.append(row)


# -- inbox ------------------------------------------------------------------------------------------------------------


def credit_account(x, entry, asset):
    """The account that a deposit goes to, or None when it has to be paid back."""
    row = x.assets[asset]
    lots, rest = divmod(entry.amount, row.units_per_lot)
    if asset == 0:
        fits = x.deposited - x.withdrawn + entry.amount <= DEPOSITS_MAX
    else:
        held = row.deposited_units - row.withdrawn_units
        fits = rest == 0 and held + entry.amount <= row.cap_lots * row.units_per_lot and not is_system(entry)
    if not fits:
        return None
    index = x.find_account(entry.beneficiary, entry.subaccount)
    if index is None:
        index = x.open_account(entry.beneficiary, entry.subaccount)
    if index is not None and asset == 0:
        x.accounts[index].balance += entry.amount
    elif index is not None:
        positions = x.accounts[index].positions
        positions[row.market] = positions.get(row.market, 0) + lots
    return index


def is_system(entry):
    return entry.subaccount == 0 and int.from_bytes(entry.beneficiary, "big") <= 64


def consume(x, entry):
    x.inbox_hash = entry.chain(x.inbox_hash)
    x.inbox_cursor += 1
    tokens = [asset.token for asset in x.assets]
    if entry.kind in forced.KINDS:
        return
    if entry.kind != 1 or entry.token not in tokens or entry.amount == 0:
        x.inbox_ignored += 1
        return
    asset = tokens.index(entry.token)
    index = credit_account(x, entry, asset)
    if asset == 0:
        x.deposited += entry.amount
    here = -1 if index is None else index
    x.credits.append((entry.index, here, entry.beneficiary, entry.subaccount, entry.amount, asset))
    if index is not None:
        x.assets[asset].deposited_units += entry.amount
        return
    owner = entry.sender if is_system(entry) else entry.beneficiary
    x.withdrawals.append((x.withdrawal_count, -1, owner, entry.amount, asset))
    x.withdrawal_count += 1
    if asset == 0:
        x.withdrawn += entry.amount


# -- who may do what --------------------------------------------------------------------------------------------------


class Message:
    """A message of the block with its actions, its code, and what it may do."""

    def __init__(self, x, batch_index, first, header, actions, signer):
        self.header, self.actions, self.signer = header, actions, signer
        self.owner, self.subaccount = header["owner"].tobytes(), int(header["subaccount"])
        self.nonce, self.expiry_ms = int(header["nonce"]), int(header["expiry_ms"])
        self.index, self.cap = x.find_account(self.owner, self.subaccount), 0
        self.receipts = [[batch_index, first + at, 0, 0, 0, 0, 0, 0, -1, 0, -1] for at in range(len(actions))]
        self.code = Code.OK

    def is_malformed(self):
        if any(self.header["pad"]) or self.nonce < 1 or self.expiry_ms < 0:
            return True
        if not all(is_action_well_formed(action) for action in self.actions):
            return True
        return not all(self.are_legs(at, legs) for at, legs in self.legs_by_place().items())

    def are_legs(self, at, legs):
        is_whole = len(legs) == self.actions[at].side > 0
        return is_whole and all(self.actions[place].kind == PLACE for place in legs)

    def legs_by_place(self):
        """For each combination, by its place among the actions: those that follow as its legs, as far as there are."""
        found, at = {}, 0
        while at < len(self.actions):
            action, width = self.actions[at], 1
            if action.kind == COMBO:
                found[at] = list(range(at + 1, min(at + 1 + action.side, len(self.actions))))
                width = 1 + action.side
            at += width
        return found


def find_session(x, message):
    """The unexpired key of the account that signed, or None."""
    if message.index is None:
        return None
    for session in x.accounts[message.index].sessions:
        if session.key == message.signer and not session.is_builder and x.time_ms <= session.expiry_ms:
            return session
    return None


def is_permitted(x, message, session, action):
    """ACC-3."""
    if session is None:
        return (action.kind in GOVERNANCE_KINDS) == (message.index == GOVERNOR)
    if action.kind == TRANSFER and any(action.data[:20]) and action.data[:20] != message.owner:
        return False
    return bool(
        (action.kind in TRADE_KINDS and session.scopes & SCOPE_TRADE)
        or (action.kind in CANCEL_KINDS and session.scopes & (SCOPE_TRADE | SCOPE_CANCEL))
        or (action.kind == TRANSFER and session.scopes & SCOPE_TRANSFER)
    )


def judge_message(x, message):
    """BLK-3, ACC-2, ACC-3; a message that passes spends its nonce."""
    if message.is_malformed():
        return Code.MALFORMED
    session = None
    if not any(message.signer):
        return Code.BAD_SIGNATURE
    if message.signer != message.owner:
        session = find_session(x, message)
        if session is None:
            return Code.BAD_SIGNATURE
        message.cap = session.order_quote_max
    if x.time_ms > message.expiry_ms:
        return Code.EXPIRED
    if message.index is None:
        return Code.UNKNOWN_ACCOUNT
    nonces = x.accounts[message.index].nonces
    if message.nonce in nonces:
        return Code.NONCE_REUSED
    if len(nonces) == 64 and message.nonce < nonces[0]:
        return Code.NONCE_TOO_OLD
    if not all(is_permitted(x, message, session, action) for action in message.actions):
        return Code.NOT_PERMITTED
    nonces.append(message.nonce)
    nonces.sort()
    del nonces[:-64]
    return Code.OK


# -- actions ----------------------------------------------------------------------------------------------------------


def classify(action):
    """BLK-2."""
    if action.kind in (CANCEL, CANCEL_ALL):
        return 1
    if action.kind == PLACE and action.time_in_force in (POST_ONLY, POST_ONLY_SLIDE):
        return 2
    is_known = 1 <= action.kind <= 15 or action.kind in GOVERNANCE_KINDS
    return 3 if action.kind in LAST_CLASS or not is_known else 0


def read_messages(x, block):
    """`(author, message)` in input order."""
    found = []
    for batch_index, batch in enumerate(block.batches):
        first = 0
        for at, header in enumerate(batch.messages):
            count = int(header["count"])
            actions = [Action.decode(batch.actions[first + n].tobytes()) for n in range(count)]
            signer = batch.signers[at].tobytes()
            found.append((batch.author, Message(x, batch_index, first, header, actions, signer)))
            first += count
    return found


def schedule(block, messages):
    """`(message, place of the action)` in the order of execution; legs go with their combination."""
    queues = {}
    for author, message in messages:
        legs = {place for places in message.legs_by_place().values() for place in places}
        for at, action in enumerate(message.actions):
            if at not in legs:
                queues.setdefault((classify(action), author), []).append((message, at))
    authors = sorted({author for author, _ in messages}, key=lambda a: keccak(block.seed + a.to_bytes(4, "big")))
    ordered = []
    for number in range(4):
        turns = [queues.get((number, author), []) for author in authors]
        while any(turns):
            ordered += [queue.pop(0) for queue in turns if queue]
    return ordered


def nearest_before(message, at, kind):
    """Receipt of the nearest earlier action of a kind, with its market appended; None without one."""
    legs = {place for places in message.legs_by_place().values() for place in places}
    for place in range(at - 1, -1, -1):
        if message.actions[place].kind == kind and place not in legs:
            return [*message.receipts[place], message.actions[place].market]
    return None


def run_action(x, message, at):
    """Execute one action of a message that passed; returns its code."""
    index, action, receipt, cap = message.index, message.actions[at], message.receipts[at], message.cap
    if action.kind in GOVERNANCE_KINDS:
        return governance.govern(x, action)
    with_cap = {PLACE: orders.place, AMEND: orders.amend, OFFER: deals.make_offer, ACCEPT: deals.accept}
    if action.kind in with_cap:
        return with_cap[action.kind](x, index, action, receipt, cap)
    with_receipt = {
        CANCEL: orders.cancel_one, CANCEL_ALL: orders.cancel_all, WITHDRAW: account_actions.withdraw,
    }  # fmt: skip
    if action.kind in with_receipt:
        return with_receipt[action.kind](x, index, action, receipt)
    if action.kind == TRIGGER:
        earlier = {1: nearest_before(message, at, PLACE), 2: nearest_before(message, at, TRIGGER)}
        return place_trigger(x, index, action, receipt, cap, earlier)
    if action.kind == COMBO:
        legs = [(message.actions[place], message.receipts[place]) for place in message.legs_by_place()[at]]
        return deals.run_combo(x, index, action, receipt, cap, legs)
    plain = {
        CANCEL_ALL_AFTER: account_actions.cancel_all_after, TRANSFER: account_actions.transfer,
        SET_MARGIN_MODE: account_actions.set_margin_mode, SET_SESSION: account_actions.set_session,
        SET_PROTECTION: account_actions.set_protection, SET_FEES: account_actions.set_fees,
    }  # fmt: skip
    return plain[action.kind](x, index, action)


def run_actions(x, block):
    messages = read_messages(x, block)
    for _, message in messages:
        message.code = judge_message(x, message)
        for receipt in message.receipts:
            receipt[2] = message.code
            receipt[8] = message.index if message.code == Code.OK or message.code >= Code.NONCE_REUSED else -1
    ordered = [(message, at) for message, at in schedule(block, messages) if message.code == Code.OK]
    governed = [(m, at) for _, m in messages for at, a in enumerate(m.actions) if a.kind in GOVERNANCE_KINDS]
    first = [(m, at) for m, at in governed if m.code == Code.OK]
    rest = [(m, at) for m, at in ordered if m.actions[at].kind not in GOVERNANCE_KINDS]
    for message, at in first + rest:
        message.receipts[at][2] = run_action(x, message, at)
    x.receipts = [tuple(int(v) for v in receipt) for _, message in messages for receipt in message.receipts]


# -- blocks -----------------------------------------------------------------------------------------------------------


def execute(parent, block):
    """The exchange after a block; the parent stays as it was."""
    x = deepcopy(parent)
    before_ms = x.time_ms
    x.height, x.time_ms, x.l1_block = block.height, block.time_ms, block.l1_block
    x.begin_block()
    for batch in block.batches:
        x.batch_sequences[batch.author] = batch.sequence
    for entry in block.inbox:
        consume(x, entry)
    prices.take_reports(x, block.price_reports)
    run_clock(x, before_ms)
    judge_accounts(x)
    for entry in block.inbox:
        forced.run(x, entry)
    run_actions(x, block)
    return x
