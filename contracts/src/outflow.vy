# pragma version 0.4.3
# pragma evm-version prague
"""
@title outflow: which tokens are collateral, and how fast each may leave
@notice Every token has a cap: in no 24 hours do claims pay more of it. It is a leaky bucket that holds half the cap and
        leaks the other half in 24 hours. The council changes caps and adds tokens, slowly; nobody takes a token away.
@dev Amounts are in the token's own units and have 64 bits, as the exchange has them.
"""

event TokenAdded:
    token: indexed(address)
    market: uint256
    units_per_lot: uint256
    outflow_cap: uint256

event OutflowCapSet:
    token: indexed(address)
    outflow_cap: uint256

# One token, packed in one slot: cap (64 bits) | level of the bucket (64) | when it had that level (64) | 64 bits free. The word is
# zero exactly for what is no collateral.
struct Flow:
    cap: uint256
    level: uint256
    updated_s: uint256

# What the exchange calls a lot of a collateral token. The quote token has none.
struct Lot:
    market: uint256
    units_per_lot: uint256

TOKENS_MAX: constant(uint256) = 8  # at deployment
DAY_S: constant(uint256) = 86_400
MASK_32: constant(uint256) = 2**32 - 1
MASK_64: constant(uint256) = 2**64 - 1

# Who adds tokens, changes caps and pauses claims; zero for a network without one.
COUNCIL: public(immutable(address))

flows: HashMap[address, uint256]
lots: HashMap[address, Lot]


@deploy
def __init__(
    council: address,
    quote_token: address,
    quote_cap: uint256,
    tokens: DynArray[address, TOKENS_MAX],
    settings: DynArray[uint256, TOKENS_MAX],
):
    COUNCIL = council
    assert quote_cap > 0 and quote_cap <= MASK_64, "deploy: outflow cap"
    self.flows[quote_token] = quote_cap << 192
    log TokenAdded(token=quote_token, market=0, units_per_lot=0, outflow_cap=quote_cap)
    assert len(tokens) == len(settings), "deploy: one setting a token"
    for i: uint256 in range(len(tokens), bound=TOKENS_MAX):
        self._add_token(tokens[i], settings[i])


# ---------------------------------------------------------------- what the council decides

@external
def add_token(token: address, setting: uint256):
    """
    @notice Make a token collateral, for ever. Only the council.
    @param setting Outflow cap (bits 0-63), number of its spot market (64-95), units per lot (96-159)
    """
    assert msg.sender == COUNCIL, "outflow: not the council"
    self._add_token(token, setting)


@internal
def _add_token(token: address, setting: uint256):
    cap: uint256 = setting & MASK_64
    lot: Lot = Lot(market=(setting >> 64) & MASK_32, units_per_lot=setting >> 96)
    assert cap > 0 and lot.units_per_lot > 0 and lot.units_per_lot <= MASK_64, "outflow: setting"
    assert token.is_contract and self.flows[token] == 0, "outflow: token"
    self.flows[token] = cap << 192
    self.lots[token] = lot
    log TokenAdded(token=token, market=lot.market, units_per_lot=lot.units_per_lot, outflow_cap=cap)


@external
def set_outflow_cap(token: address, cap: uint256):
    """@notice Change how much of a token may be claimed in 24 hours. Only the council, which bounds it."""
    assert msg.sender == COUNCIL, "outflow: not the council"
    assert cap > 0 and cap <= MASK_64, "outflow: cap"
    flow: Flow = self._flow(token)
    flow.level = self._level(flow)
    flow.cap = cap
    self._put_flow(token, flow)
    log OutflowCapSet(token=token, outflow_cap=cap)


# ---------------------------------------------------------------- the bucket

@internal
def release(token: address, wanted: uint256) -> uint256:
    """
    @notice How much of `wanted` may leave now; it has left then. What does not fit into the bucket leaves in parts, and
            parts fill it to its half only, so that a huge withdrawal leaves room for small ones.
    """
    flow: Flow = self._flow(token)
    level: uint256 = self._level(flow)
    capacity: uint256 = self._capacity(flow)
    granted: uint256 = wanted
    if wanted > capacity or level + wanted > capacity:
        half: uint256 = capacity - capacity // 2
        assert level < half, "claim: outflow cap is reached, try later"
        granted = min(wanted, half - level)
    flow.level = level + granted
    self._put_flow(token, flow)
    return granted


@internal
@view
def _flow(token: address) -> Flow:
    word: uint256 = self.flows[token]
    assert word != 0, "outflow: no collateral"
    return Flow(cap=word >> 192, level=(word >> 128) & MASK_64, updated_s=(word >> 64) & MASK_64)


@internal
def _put_flow(token: address, flow: Flow):
    self.flows[token] = (flow.cap << 192) | (flow.level << 128) | (block.timestamp << 64)


@internal
@view
def _level(flow: Flow) -> uint256:
    leaked: uint256 = (block.timestamp - flow.updated_s) * (flow.cap // 2) // DAY_S
    return flow.level - min(flow.level, leaked)


@internal
@pure
def _capacity(flow: Flow) -> uint256:
    # Capacity and a day's leak together are the cap.
    return flow.cap - flow.cap // 2


# ---------------------------------------------------------------- views

@external
@view
def is_token(token: address) -> bool:
    """@notice Whether a token is collateral."""
    return self.flows[token] != 0


@external
@view
def outflow_cap(token: address) -> uint256:
    """@notice How much of a token claims pay in 24 hours at most, in its units; 0 for what is no collateral."""
    return self.flows[token] >> 192


@external
@view
def outflow_left(token: address) -> uint256:
    """@notice The largest withdrawal that would be paid whole now, in the token's units."""
    flow: Flow = self._flow(token)
    capacity: uint256 = self._capacity(flow)
    return capacity - min(self._level(flow), capacity)


@external
@view
def lot(token: address) -> Lot:
    """@notice Spot market and units per lot of a collateral token; zeros for the quote token."""
    return self.lots[token]
