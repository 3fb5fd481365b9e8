// SPDX-License-Identifier: UNLICENSED
pragma solidity ^0.8.28;

/// What the fuzzer calls of the contracts, and of forge.

interface Vm {
    function warp(uint256 time) external;
    function prank(address sender) external;
    function readFile(string calldata path) external view returns (string memory);
    function parseJsonBytes(string calldata json, string calldata key) external pure returns (bytes memory);
    function computeCreateAddress(address deployer, uint256 nonce) external pure returns (address);
    function getNonce(address account) external view returns (uint64);
}

struct Record {
    uint256 height;
    bytes32 header_hash;
    bytes32 state_root;
    bytes32 account_root;
    bytes32 account_sums;
    bytes32 withdrawals_root;
    uint256 posted_s;
}

struct Last {
    uint256 height;
    uint256 certified_s;
    uint256 inbox_cursor;
    uint256 withdrawals_total;
    bool is_frozen;
    uint256 posted_s;
}

interface IToken {
    function mint(address receiver, uint256 amount) external;
    function approve(address spender, uint256 amount) external returns (bool);
    function transfer(address receiver, uint256 amount) external returns (bool);
    function balanceOf(address owner) external view returns (uint256);
}

interface IRegistry {
    function register(bytes32[4] calldata key, bytes32[8] calldata possession, bytes32 networkKey) external;
    function possession_digest(address operator, bytes32 networkKey, bytes32[4] calldata key)
        external
        view
        returns (bytes32);
    function next_numbers() external view returns (uint256[] memory);
    function make_committee(uint256[] calldata numbers) external returns (bytes32);
    function leave() external;
    function rejoin() external;
    function withdraw_stake() external;
    function slash(uint256 epoch, uint256 member) external;
    function bring_to_insurance() external;
    function standing(uint256 number) external view returns (Standing memory);
    function queue(bool isExit, uint256 limit) external view returns (uint256[] memory);
    function epoch() external view returns (uint256);
    function committee_size(uint256 epoch) external view returns (uint256);
}

struct Standing {
    uint256 state;
    uint256 serving_epoch;
    uint256 since_s;
}

struct Statement {
    uint256 kind;
    uint256 view_number;
    bytes32 header_hash;
    uint256 signers;
    bytes32[8] signature;
}

interface ICourt {
    function submit(uint256 epoch, Statement calldata first, Statement calldata second) external returns (bool);
}

struct Claim {
    uint256 index;
    address owner;
    address token;
    uint256 amount;
    bytes32[32] proof;
}

interface IPayouts {
    function claim_withdrawal(Record calldata record, Claim calldata withdrawal) external;
}

interface ICouncil {
    function pause(uint256 seat) external;
    function is_paused() external view returns (bool);
    function pausable_from_s() external view returns (uint256);
}

interface ISettlement {
    function activate(bytes32 committeeHash) external;
    function domain() external view returns (bytes32);
    function deposit(address beneficiary, uint256 subaccount, uint256 amount) external;
    function deposit(address beneficiary, uint256 subaccount, uint256 amount, address token) external;
    function checkpoint(bytes32[20] calldata header, bytes calldata nonsigners, bytes32[8] calldata signature) external;
    function advance_epoch() external;
    function freeze() external;
    function escape(
        Record calldata record,
        uint256 index,
        address owner,
        uint256 subaccount,
        uint256 claim,
        uint256 debt,
        bytes32 digest,
        bytes32[20] calldata hashes,
        uint256[20] calldata sums
    ) external;
    function refund(
        uint256 index,
        address token,
        address beneficiary,
        uint256 subaccount,
        address sender,
        uint256 amount,
        uint256 time_s
    ) external;
    function force_cancel(uint256 subaccount, uint256 market) external returns (uint256);
    function inbox_length() external view returns (uint256);
    function inbox_hash(uint256 cursor) external view returns (bytes32);
    function last_checkpoint() external view returns (Last memory);
    function freeze_deadlines() external view returns (uint256, uint256);
    function pool() external view returns (uint256);
    function paid_total(address token) external view returns (uint256);
}
