# pragma version 0.4.3
# pragma evm-version prague
"""
@title bls: signatures of the committee, BLS12-381 with keys in G1
@notice Verifies the ciphersuite BLS_SIG_BLS12381G2_XMD:SHA-256_SSWU_RO_POP_ over 32-byte digests with the precompiles of
        EIP-2537. Points are words in that EIP's layout: G1 is 4 words, G2 is 8.
@dev Each precompile's success and length of output are checked: a call to a missing precompile succeeds with no output.
"""

# Precompiles: EIP-198 and EIP-2537.
MODEXP: constant(address) = 0x0000000000000000000000000000000000000005
G1ADD: constant(address) = 0x000000000000000000000000000000000000000b
G2ADD: constant(address) = 0x000000000000000000000000000000000000000d
PAIRING: constant(address) = 0x000000000000000000000000000000000000000F
MAP_FP2_TO_G2: constant(address) = 0x0000000000000000000000000000000000000011

# The prime of the base field, high and low word.
P_HIGH: constant(bytes32) = 0x000000000000000000000000000000001a0111ea397fe69a4b1ba7b6434bacd7
P_LOW: constant(bytes32) = 0x64774b84f38512bf6730d2a0f6b0f6241eabfffeb153ffffb9feffffffffaaab
# The generator of G1, negated.
NEGATIVE_G1: constant(bytes32[4]) = [
    0x0000000000000000000000000000000017f1d3a73197d7942695638c4fa9ac0f,
    0xc3688c4f9774b905a14e3a3f171bac586c55e83ff97a1aeffb3af00adb22c6bb,
    0x00000000000000000000000000000000114d1d6855d545a8aa7d76c8cf2e21f2,
    0x67816aef1db507c96655b9d5caac42364e6f38ba0ecb751bad54dcd6b939c2ca,
]
# "BLS_SIG_BLS12381G2_XMD:SHA-256_SSWU_RO_POP_" and its length, 43 (RFC 9380, section 5.3.1).
DST_PRIME: constant(Bytes[44]) = b"BLS_SIG_BLS12381G2_XMD:SHA-256_SSWU_RO_POP_\x2b"
# Modular exponentiation of a 64-byte base by a 1-byte exponent with a 64-byte modulus: the three lengths.
REDUCE_LENGTHS: constant(bytes32[3]) = [
    0x0000000000000000000000000000000000000000000000000000000000000040,
    0x0000000000000000000000000000000000000000000000000000000000000001,
    0x0000000000000000000000000000000000000000000000000000000000000040,
]


@internal
@view
def is_signed(key: bytes32[4], digest: bytes32, signature: bytes32[8]) -> bool:
    """
    @notice e(key, H(digest)) * e(-g1, signature) == 1. Callers make sure that `key` is not infinity.
    @dev The pairing precompile checks curve, subgroup and canonical coordinates of all four points.
    """
    success: bool = False
    output: Bytes[32] = b""
    success, output = raw_call(
        PAIRING,
        abi_encode(key, self._hash_to_g2(digest), NEGATIVE_G1, signature),
        max_outsize=32,
        is_static_call=True,
        revert_on_failure=False,
    )
    return success and len(output) == 32 and convert(output, uint256) == 1


@internal
@view
def _hash_to_g2(digest: bytes32) -> bytes32[8]:
    """
    @notice RFC 9380 hash_to_curve of 32 bytes, suite BLS12381G2_XMD:SHA-256_SSWU_RO_.
    """
    # expand_message_xmd to 256 bytes: 64 zero bytes, the message, the length 0x0100, one zero byte, the tag.
    first: bytes32 = sha256(concat(empty(bytes32), empty(bytes32), digest, b"\x01\x00\x00", DST_PRIME))
    uniform: bytes32[8] = empty(bytes32[8])
    previous: bytes32 = empty(bytes32)
    for i: uint256 in range(8):
        mixed: bytes32 = convert(convert(first, uint256) ^ convert(previous, uint256), bytes32)
        previous = sha256(concat(mixed, convert(convert(i + 1, uint8), bytes1), DST_PRIME))
        uniform[i] = previous
    left: bytes32[8] = self._map_to_g2(uniform[0], uniform[1], uniform[2], uniform[3])
    right: bytes32[8] = self._map_to_g2(uniform[4], uniform[5], uniform[6], uniform[7])
    success: bool = False
    output: Bytes[256] = b""
    success, output = raw_call(
        G2ADD, abi_encode(left, right), max_outsize=256, is_static_call=True, revert_on_failure=False
    )
    assert success and len(output) == 256, "bls: G2ADD failed"
    return abi_decode(output, bytes32[8])


@internal
@view
def _map_to_g2(c0_high: bytes32, c0_low: bytes32, c1_high: bytes32, c1_low: bytes32) -> bytes32[8]:
    success: bool = False
    output: Bytes[256] = b""
    success, output = raw_call(
        MAP_FP2_TO_G2,
        concat(self._reduce(c0_high, c0_low), self._reduce(c1_high, c1_low)),
        max_outsize=256,
        is_static_call=True,
        revert_on_failure=False,
    )
    assert success and len(output) == 256, "bls: MAP_FP2_TO_G2 failed"
    return abi_decode(output, bytes32[8])


@internal
@view
def _reduce(high: bytes32, low: bytes32) -> Bytes[64]:
    """
    @notice A 512-bit number modulo the field's prime, as 64 bytes.
    """
    success: bool = False
    output: Bytes[64] = b""
    success, output = raw_call(
        MODEXP,
        concat(
            abi_encode(REDUCE_LENGTHS), high, low, b"\x01", P_HIGH, P_LOW
        ),
        max_outsize=64,
        is_static_call=True,
        revert_on_failure=False,
    )
    assert success and len(output) == 64, "bls: MODEXP failed"
    return output


@internal
@view
def add_g1(left: bytes32[4], right: bytes32[4]) -> bytes32[4]:
    success: bool = False
    output: Bytes[128] = b""
    success, output = raw_call(
        G1ADD, abi_encode(left, right), max_outsize=128, is_static_call=True, revert_on_failure=False
    )
    assert success and len(output) == 128, "bls: G1ADD failed"
    return abi_decode(output, bytes32[4])


@internal
@pure
def negate_g1(point: bytes32[4]) -> bytes32[4]:
    """
    @notice (x, p - y). Not for infinity: G1ADD refuses the non-canonical y = p that would come out.
    """
    y_high: uint256 = convert(point[2], uint256)
    y_low: uint256 = convert(point[3], uint256)
    borrow: uint256 = 1 if y_low > convert(P_LOW, uint256) else 0
    high: uint256 = convert(P_HIGH, uint256) - y_high - borrow
    # Wraps by design: it is the low word of a two-word subtraction.
    low: uint256 = unsafe_sub(convert(P_LOW, uint256), y_low)
    return [point[0], point[1], convert(high, bytes32), convert(low, bytes32)]


@internal
@pure
def is_infinity(point: bytes32[4]) -> bool:
    zero: bytes32 = empty(bytes32)
    return point[0] == zero and point[1] == zero and point[2] == zero and point[3] == zero
