# pragma version 0.4.3
# pragma evm-version prague
"""
@title HostileToken: a collateral that turns against its custody
@notice For tests only. It is `TestUSDC` until somebody sets `mood`; anybody may.
"""

PLAIN: constant(uint256) = 0
TAKES_A_FEE: constant(uint256) = 1  # one unit of each transfer does not arrive
SAYS_FALSE: constant(uint256) = 2  # moves nothing and says so
LIES: constant(uint256) = 3  # moves nothing and says it did
REVERTS: constant(uint256) = 4
BLACKLISTS: constant(uint256) = 5  # transfers to `blacklisted` revert
CALLS_BACK: constant(uint256) = 6  # calls `target` with `payload` before it moves
SAYS_NOTHING: constant(uint256) = 7  # moves and returns no data, as some old tokens do
CALLS_BACK_LATE: constant(uint256) = 8  # the same after it has moved

mood: public(uint256)
blacklisted: public(address)
target: address
payload: Bytes[8192]
# Calls back: tried, and those that succeeded.
tries: public(uint256)
successes: public(uint256)

totalSupply: public(uint256)
balanceOf: public(HashMap[address, uint256])
allowance: public(HashMap[address, HashMap[address, uint256]])


@external
def set_mood(mood: uint256):
    self.mood = mood


@external
def blacklist(who: address):
    self.mood = BLACKLISTS
    self.blacklisted = who


@external
def plan(mood: uint256, target: address, payload: Bytes[8192]):
    """@notice Call `target` during the next transfer."""
    self.mood = mood
    self.target = target
    self.payload = payload
    self.tries = 0
    self.successes = 0


@external
def act(target: address, payload: Bytes[8192]):
    """@notice Be the one who calls, such as to own a deposit."""
    raw_call(target, payload)


@external
def mint(receiver: address, amount: uint256):
    self.totalSupply += amount
    self.balanceOf[receiver] += amount


@external
def approve(spender: address, amount: uint256) -> bool:
    self.allowance[msg.sender][spender] = amount
    return True


@external
@raw_return
def transfer(receiver: address, amount: uint256) -> Bytes[32]:
    return self._move(msg.sender, receiver, amount)


@external
@raw_return
def transferFrom(owner: address, receiver: address, amount: uint256) -> Bytes[32]:
    assert self.allowance[owner][msg.sender] >= amount, "token: allowance"
    self.allowance[owner][msg.sender] -= amount
    return self._move(owner, receiver, amount)


@internal
def _move(owner: address, receiver: address, amount: uint256) -> Bytes[32]:
    mood: uint256 = self.mood
    assert mood != REVERTS, "token: no"
    assert mood != BLACKLISTS or receiver != self.blacklisted, "token: blacklisted"
    if mood == SAYS_FALSE:
        return abi_encode(False)
    if mood == LIES:
        return abi_encode(True)
    if mood == CALLS_BACK:
        self._call_back()
    assert self.balanceOf[owner] >= amount, "token: balance"
    arriving: uint256 = amount - 1 if mood == TAKES_A_FEE else amount
    self.balanceOf[owner] -= amount
    self.balanceOf[receiver] += arriving
    if mood == CALLS_BACK_LATE:
        self._call_back()
    return b"" if mood == SAYS_NOTHING else abi_encode(True)


@internal
def _call_back():
    # Once: what it calls may move tokens, too.
    self.mood = PLAIN
    self.tries += 1
    if raw_call(self.target, self.payload, revert_on_failure=False):
        self.successes += 1
