// SPDX-License-Identifier: UNLICENSED
pragma solidity ^0.8.28;

import {Curve} from "./Curve.sol";
import {ICouncil, ICourt, IPayouts, IRegistry, ISettlement, IToken, Vm} from "./Faces.sol";

/// A network founded from the committed artefacts. Member i has the secret key i + 1, and this contract signs for all.
contract Network {
    Vm internal constant VM = Vm(0x7109709ECfa91a80626fF3989D68f67F5b1DD12D);
    string internal constant ARTIFACTS = "../../contracts/artifacts/";
    uint256 public constant COMMITTEE_SIZE = 4;
    uint256 public constant CLAIM_DELAY_S = 600;
    uint256 public constant FORCE_DEADLINE_S = 3_600;
    uint256 public constant MAX_SILENCE_S = 7_200;
    uint256 public constant DEBT_MAX = 5_000;
    uint256 public constant OUTFLOW_CAP = 2e11;
    uint256 public constant PAUSE_S = 3_600;
    uint256 public constant UNBONDING_S = 5_000;
    uint256 public constant SEATS_MAX = 7;
    uint256 public constant REGISTRATIONS_MAX = 12;
    uint256 internal constant START_S = 1_800_000_000;

    IToken public token;
    // Collateral that is not the quote token; a lot of it is one unit.
    IToken public coin;
    IRegistry public registry;
    ISettlement public settlement;
    IPayouts public payouts;
    ICouncil public council;
    ICourt public court;
    bytes32 internal domain;

    constructor() {
        VM.warp(START_S);
        token = IToken(deploy("TestUSDC", ""));
        coin = IToken(deploy("TestUSDC", ""));
        uint256 nonce = VM.getNonce(address(this));
        address[5] memory made;
        for (uint256 i = 0; i < made.length; i++) made[i] = VM.computeCreateAddress(address(this), nonce + i);
        registry = IRegistry(made[0]);
        settlement = ISettlement(made[1]);
        payouts = IPayouts(made[3]);
        council = ICouncil(made[4]);
        court = ICourt(made[2]);
        deploy(
            "Registry",
            abi.encode(settlement, court, token, stake(), UNBONDING_S, SEATS_MAX, REGISTRATIONS_MAX)
        );
        bytes memory terms = abi.encode(
            registry, token, plantedDelay(), FORCE_DEADLINE_S, DEBT_MAX, 1, MAX_SILENCE_S, payouts, council
        );
        deploy("Settlement", terms);
        deploy("Evidence", abi.encode(registry));
        address[] memory coins = new address[](1);
        uint256[] memory settings = new uint256[](1);
        (coins[0], settings[0]) = (address(coin), (1 << 96) | (3 << 64) | OUTFLOW_CAP);
        deploy("Payouts", abi.encode(settlement, council, plantedCap(), coins, settings));
        deploy("Council", abi.encode(settlement, PAUSE_S, PAUSE_S, 86_400));
        domain = settlement.domain();
        for (uint256 i = 0; i < COMMITTEE_SIZE; i++) register(i);
        settlement.activate(registry.make_committee(registry.next_numbers()));
    }

    function stake() internal pure virtual returns (uint256) {
        return 0;
    }

    /// Number i registers, with the stake.
    function register(uint256 i) internal {
        bytes32[4] memory key = Curve.key(i + 1);
        bytes32 digest = registry.possession_digest(operator(i), bytes32(i + 1), key);
        bytes32[8] memory possession = Curve.sign(i + 1, digest);
        bringStake(operator(i));
        VM.prank(operator(i));
        registry.register(key, possession, bytes32(i + 1));
    }

    function bringStake(address payer) internal {
        token.mint(payer, stake());
        VM.prank(payer);
        token.approve(address(registry), stake());
    }

    /// What the contracts are told, which is the truth except where a test plants a fault.
    function plantedDelay() internal pure virtual returns (uint256) {
        return CLAIM_DELAY_S;
    }

    function plantedCap() internal pure virtual returns (uint256) {
        return OUTFLOW_CAP;
    }

    function operator(uint256 seat) public pure returns (address) {
        return address(uint160(0xA0000 + seat));
    }

    /// Signed by everybody, or by everybody but one. As the keys are 1 to 4, so is their sum a secret key.
    function certify(bytes32[20] memory header, bool isOneAbsent, uint256 absent)
        public
        view
        returns (bytes32[8] memory)
    {
        uint256 secret = COMMITTEE_SIZE * (COMMITTEE_SIZE + 1) / 2 - (isOneAbsent ? absent + 1 : 0);
        return Curve.sign(secret, finalizeDigest(header));
    }

    function finalizeDigest(bytes32[20] memory header) public view returns (bytes32) {
        bytes32 hash = keccak256(abi.encode(header));
        return keccak256(
            abi.encodePacked(uint8(3), domain, uint32(uint256(header[1])), uint64(uint256(header[2])), hash)
        );
    }

    function deploy(string memory name, bytes memory arguments) internal returns (address made) {
        string memory artifact = VM.readFile(string.concat(ARTIFACTS, name, ".json"));
        bytes memory code = abi.encodePacked(VM.parseJsonBytes(artifact, ".bytecode"), arguments);
        assembly {
            made := create(0, add(code, 32), mload(code))
        }
        require(made != address(0), name);
    }
}
