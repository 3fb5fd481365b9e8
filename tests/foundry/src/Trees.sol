// SPDX-License-Identifier: UNLICENSED
pragma solidity ^0.8.28;

/// The two trees of docs/protocol.md section 4, for few leaves at the left end.
library Trees {
    uint256 constant ACCOUNT_DEPTH = 20;
    uint256 constant WITHDRAWAL_DEPTH = 32;

    struct Sums {
        bytes32 hash;
        uint256 sums;
    }

    function withdrawalLeaf(uint256 index, address owner, address token, uint256 amount)
        internal
        pure
        returns (bytes32)
    {
        return keccak256(abi.encode(uint256(2), index, owner, token, amount));
    }

    function foldWithdrawals(bytes32[] memory leaves, uint256 index)
        internal
        pure
        returns (bytes32 root, bytes32[32] memory siblings)
    {
        bytes32[] memory level = leaves;
        bytes32 empty = 0;
        for (uint256 depth = 0; depth < WITHDRAWAL_DEPTH; depth++) {
            siblings[depth] = (index ^ 1) < level.length ? level[index ^ 1] : empty;
            bytes32[] memory parents = new bytes32[]((level.length + 1) / 2);
            for (uint256 i = 0; i < parents.length; i++) {
                bytes32 right = 2 * i + 1 < level.length ? level[2 * i + 1] : empty;
                parents[i] = keccak256(abi.encode(level[2 * i], right));
            }
            empty = keccak256(abi.encode(empty, empty));
            level = parents;
            index >>= 1;
        }
        root = level.length == 0 ? empty : level[0];
    }

    function accountLeaf(uint256 index, address owner, uint256 claim, uint256 debt, bytes32 digest)
        internal
        pure
        returns (Sums memory)
    {
        uint256 sums = (claim << 128) | debt;
        return Sums(keccak256(abi.encode(uint256(1), index, owner, uint256(0), sums, digest)), sums);
    }

    /// Leaf i of `leaves` has the index `first` + i; `first` and what is before it is a multiple of a power of two that
    /// holds all leaves.
    function foldAccounts(Sums[] memory leaves, uint256 first, uint256 index)
        internal
        pure
        returns (Sums memory root, bytes32[20] memory hashes, uint256[20] memory sums)
    {
        Sums[] memory level = leaves;
        Sums memory empty;
        uint256 position = index - first;
        for (uint256 depth = 0; depth < ACCOUNT_DEPTH; depth++) {
            Sums memory sibling = (position ^ 1) < level.length ? level[position ^ 1] : empty;
            hashes[depth] = sibling.hash;
            sums[depth] = sibling.sums;
            if (level.length == 1) {
                bool isLeft = (first & 1) == 0;
                Sums memory node = isLeft ? join(level[0], empty) : join(empty, level[0]);
                level = new Sums[](1);
                level[0] = node;
            } else {
                Sums[] memory parents = new Sums[]((level.length + 1) / 2);
                for (uint256 i = 0; i < parents.length; i++) {
                    parents[i] = join(level[2 * i], 2 * i + 1 < level.length ? level[2 * i + 1] : empty);
                }
                level = parents;
            }
            empty = join(empty, empty);
            position >>= 1;
            first >>= 1;
        }
        root = level[0];
    }

    function join(Sums memory left, Sums memory right) private pure returns (Sums memory) {
        // Sums of tests are far below 128 bits: the parts do not carry.
        return Sums(keccak256(abi.encode(left.hash, left.sums, right.hash, right.sums)), left.sums + right.sums);
    }
}
