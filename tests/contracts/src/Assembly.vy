# pragma version 0.4.3
# pragma evm-version prague
"""
@title Assembly: what a council sees of a network, settable by anybody
@notice For tests only: a committee of any size without keys, and a custody that remembers what it was told.
"""

struct Registration:
    operator: address
    network_key: bytes32
    key: bytes32[4]

COUNCIL: public(address)
CLAIM_DELAY_S: public(constant(uint256)) = 600
FORCE_DEADLINE_S: public(constant(uint256)) = 3_600
epoch: public(uint256)
committee_size: public(HashMap[uint256, uint256])
operators: HashMap[uint256, HashMap[uint256, address]]
engine_version: public(uint256)
outflow_cap: public(HashMap[address, uint256])
is_token: public(HashMap[address, bool])


@deploy
def __init__(token: address, cap: uint256):
    self.engine_version = 1
    self.is_token[token] = True
    self.outflow_cap[token] = cap


@external
def seat(operators: DynArray[address, 255]):
    """@notice The next epoch's committee."""
    self.epoch += 1
    self.committee_size[self.epoch] = len(operators)
    for i: uint256 in range(len(operators), bound=255):
        self.operators[self.epoch][i] = operators[i]


@external
@view
def member(epoch: uint256, index: uint256) -> Registration:
    return Registration(operator=self.operators[epoch][index], network_key=empty(bytes32), key=empty(bytes32[4]))


@external
@view
def REGISTRY() -> address:
    return self


@external
@view
def PAYOUTS() -> address:
    return self


@external
def obey(council: address):
    self.COUNCIL = council


@external
def set_engine_version(version: uint256):
    assert msg.sender == self.COUNCIL
    self.engine_version = version


@external
def set_outflow_cap(token: address, cap: uint256):
    assert msg.sender == self.COUNCIL
    self.outflow_cap[token] = cap


@external
def add_token(token: address, cap: uint256):
    assert msg.sender == self.COUNCIL
    self.is_token[token] = True
    self.outflow_cap[token] = cap
