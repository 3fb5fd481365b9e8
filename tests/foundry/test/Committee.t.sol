// SPDX-License-Identifier: UNLICENSED
pragma solidity ^0.8.28;

import {IToken, Vm} from "../src/Faces.sol";
import {Validators} from "../src/Validators.sol";

/// What stays true of validators, queues and stakes whatever `Validators` do, in any order.
contract CommitteeTest {
    Validators private validators;

    function setUp() public {
        validators = new Validators();
    }

    function targetContracts() public view returns (address[] memory targets) {
        targets = new address[](1);
        targets[0] = address(validators);
    }

    function invariant_committee() public view {
        validators.check();
    }

    /// From four to seven, one leaves, one is slashed.
    function test_every_state_is_reached() public {
        for (uint256 i = 0; i < 3; i++) validators.join();
        validators.leave(3);
        validators.seal();
        validators.advance();
        require(validators.epoch() == 2 && validators.states(3) == 4, "left");
        validators.lie(1, 7);
        require(validators.slashes() == 1, "slashed");
        validators.bringToInsurance();
        validators.passTime(3_999);
        validators.passTime(3_999);
        validators.withdrawStake(3);
        require(validators.states(3) == 5, "paid");
        validators.rejoin(3);
        require(validators.states(3) == 1, "back");
        validators.check();
    }

    /// A check that cannot fail is none.
    function test_a_missing_stake_is_found_out() public {
        IToken token = validators.token();
        address registry = address(validators.registry());
        Vm(0x7109709ECfa91a80626fF3989D68f67F5b1DD12D).prank(registry);
        token.transfer(address(1), 1);
        try validators.check() {
            revert("not found out");
        } catch Error(string memory reason) {
            require(keccak256(bytes(reason)) == keccak256("stakes"), reason);
        }
    }
}
