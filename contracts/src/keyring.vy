# pragma version 0.4.3
# pragma evm-version prague
"""
@title keyring: a committee's keys, as its hash spells them and as checkpoints find them
@notice The bytes of a member under `committee_hash` (docs/protocol.md, section 1), and the contracts whose code is keys.
"""

# Keys live in contract code: a STOP byte so that the code never runs, then words. The code limit of 24 576 bytes holds
# 191 points, hence two blobs: the aggregate and members 0-127; members 128-254.
BLOB_KEYS: constant(uint256) = 128
BLOB_POINTS_MAX: constant(uint256) = 129

WEIGHT: constant(uint256) = 1
# (p - 1) / 2 of the base field, high and low word: a larger y sets the sign bit of a compressed key.
HALF_HIGH: constant(bytes32) = 0x000000000000000000000000000000000d0088f51cbff34d258dd3db21a5d66b
HALF_LOW: constant(bytes32) = 0xb23ba5c279c2895fb39869507b587b120f55ffff58a9ffffdcff7fffffffd555
COMPRESSED: constant(uint256) = 2**255
SIGN: constant(uint256) = 2**253


@internal
@pure
def encode_member(key: bytes32[4], network_key: bytes32) -> uint256[3]:
    """@notice The 88 bytes of a member, from the left: compressed key, network key, weight."""
    x_high: uint256 = convert(key[0], uint256)
    x_low: uint256 = convert(key[1], uint256)
    y_high: uint256 = convert(key[2], uint256)
    y_low: uint256 = convert(key[3], uint256)
    half_high: uint256 = convert(HALF_HIGH, uint256)
    flags: uint256 = COMPRESSED
    if y_high > half_high or (y_high == half_high and y_low > convert(HALF_LOW, uint256)):
        flags |= SIGN
    network: uint256 = convert(network_key, uint256)
    return [
        flags | (x_high << 128) | (x_low >> 128),
        (x_low << 128) | (network >> 128),
        (network << 128) | (WEIGHT << 64),
    ]


@internal
def write_blob(points: bytes32[4][BLOB_POINTS_MAX], count: uint256) -> address:
    """@notice Create a contract whose code is STOP and the first `count` points."""
    data: Bytes[BLOB_POINTS_MAX * 128] = slice(abi_encode(points), 0, count * 128)
    # PUSH2 length, DUP1, PUSH1 offset, PUSH0, CODECOPY, PUSH0, RETURN: returns all that follows these ten bytes.
    length: bytes2 = convert(convert(count * 128 + 1, uint16), bytes2)
    return raw_create(concat(b"\x61", length, b"\x80\x60\x0a\x5f\x39\x5f\xf3", b"\x00", data))
