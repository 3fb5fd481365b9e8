// SPDX-License-Identifier: UNLICENSED
pragma solidity ^0.8.28;

/// A committee's secret keys at work: BLS12-381 by the precompiles of EIP-2537, written apart from the contract's own.
/// Points are words in that EIP's layout.
library Curve {
    bytes constant DST_PRIME = "BLS_SIG_BLS12381G2_XMD:SHA-256_SSWU_RO_POP_\x2b";
    uint256 constant P_HIGH = 0x1a0111ea397fe69a4b1ba7b6434bacd7;
    uint256 constant P_LOW = 0x64774b84f38512bf6730d2a0f6b0f6241eabfffeb153ffffb9feffffffffaaab;
    bytes constant G1 = hex"0000000000000000000000000000000017f1d3a73197d7942695638c4fa9ac0fc3688c4f9774b905a14e3a3f171bac586c55e83ff97a1aeffb3af00adb22c6bb"
        hex"0000000000000000000000000000000008b3f481e3aaa0f1a09e30ed741d8ae4fcf5e095d5d00af600db18cb2c04b3edd03cc744a2888ae40caa232946c5e7e1";

    function key(uint256 secret) internal view returns (bytes32[4] memory) {
        return abi.decode(ask(0x0c, abi.encodePacked(G1, secret)), (bytes32[4]));
    }

    function sign(uint256 secret, bytes32 digest) internal view returns (bytes32[8] memory) {
        return abi.decode(ask(0x0e, abi.encodePacked(hashToG2(digest), secret)), (bytes32[8]));
    }

    /// RFC 9380, suite BLS12381G2_XMD:SHA-256_SSWU_RO_.
    function hashToG2(bytes32 digest) internal view returns (bytes memory) {
        bytes32 first = sha256(abi.encodePacked(bytes32(0), bytes32(0), digest, hex"010000", DST_PRIME));
        bytes memory uniform;
        bytes32 previous;
        for (uint8 i = 1; i <= 8; i++) {
            previous = sha256(abi.encodePacked(first ^ previous, i, DST_PRIME));
            uniform = abi.encodePacked(uniform, previous);
        }
        bytes32[8] memory u = abi.decode(uniform, (bytes32[8]));
        bytes memory left = ask(0x11, abi.encodePacked(reduce(u[0], u[1]), reduce(u[2], u[3])));
        bytes memory right = ask(0x11, abi.encodePacked(reduce(u[4], u[5]), reduce(u[6], u[7])));
        return ask(0x0d, abi.encodePacked(left, right));
    }

    function reduce(bytes32 high, bytes32 low) private view returns (bytes memory) {
        return ask(0x05, abi.encodePacked(uint256(64), uint256(1), uint256(64), high, low, uint8(1), P_HIGH, P_LOW));
    }

    function ask(uint160 precompile, bytes memory input) private view returns (bytes memory) {
        (bool isDone, bytes memory output) = address(precompile).staticcall(input);
        require(isDone && output.length > 0, "precompile");
        return output;
    }
}
