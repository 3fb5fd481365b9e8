// SPDX-License-Identifier: UNLICENSED
pragma solidity ^0.8.28;

import {Last} from "../src/Faces.sol";
import {Traders} from "../src/Traders.sol";

/// A custody that pays at once, though it says that it waits.
contract HastyTraders is Traders {
    function plantedDelay() internal pure override returns (uint256) {
        return 0;
    }
}

/// A custody that pays everything in one day.
contract GenerousTraders is Traders {
    function plantedCap() internal pure override returns (uint256) {
        return 1e18;
    }
}

/// What stays true whatever `Traders` do, in any order.
contract MoneyTest {
    Traders private traders;

    struct FuzzSelector {
        address addr;
        bytes4[] selectors;
    }

    function setUp() public {
        traders = new Traders();
    }

    function targetContracts() public view returns (address[] memory targets) {
        targets = new address[](1);
        targets[0] = address(traders);
    }

    function targetSelectors() public view returns (FuzzSelector[] memory chosen) {
        bytes4[] memory selectors = new bytes4[](16);
        selectors[0] = Traders.deposit.selector;
        selectors[1] = Traders.withdraw.selector;
        selectors[2] = Traders.trade.selector;
        selectors[3] = Traders.checkpoint.selector;
        selectors[4] = Traders.claim.selector;
        selectors[5] = Traders.passTime.selector;
        selectors[6] = Traders.freeze.selector;
        selectors[7] = Traders.escape.selector;
        selectors[8] = Traders.refund.selector;
        selectors[9] = Traders.donate.selector;
        selectors[10] = Traders.lie.selector;
        selectors[11] = Traders.forge.selector;
        selectors[12] = Traders.pause.selector;
        selectors[13] = Traders.flood.selector;
        selectors[14] = Traders.depositCoins.selector;
        selectors[15] = Traders.withdrawCoins.selector;
        chosen = new FuzzSelector[](1);
        chosen[0] = FuzzSelector(address(traders), selectors);
    }

    /// One campaign for all: what each of them says is in its name and in the message with which it fails.
    function invariant_money() public view {
        check_what_came_in_is_here_or_was_paid();
        check_open_claims_and_unconsumed_deposits_are_covered();
        check_escapes_stay_within_the_pool();
        check_frozen_is_for_ever();
    }

    /// To the unit: nothing appears, nothing is lost.
    function check_what_came_in_is_here_or_was_paid() private view {
        uint256 held = traders.token().balanceOf(address(traders.settlement()));
        uint256 out = traders.paidTotal() + traders.escapedTotal() + traders.refundedTotal();
        require(held + out == traders.depositedTotal() + traders.donatedTotal(), "money");
        uint256 coinsHeld = traders.coin().balanceOf(address(traders.settlement()));
        require(coinsHeld + traders.coinsOut() == traders.coinsIn(), "coins");
        require(out <= traders.depositedTotal(), "paid more than was deposited");
        require(traders.settlement().paid_total(address(traders.token())) == traders.paidTotal(), "paid total");
    }

    function check_open_claims_and_unconsumed_deposits_are_covered() private view {
        Last memory last = traders.settlement().last_checkpoint();
        uint256 held = traders.token().balanceOf(address(traders.settlement()));
        uint256 open = last.withdrawals_total - traders.paidTotal();
        uint256 waiting = 0;
        for (uint256 i = last.inbox_cursor; i < traders.settlement().inbox_length(); i++) {
            (,, uint256 amount,, bool isReturned, bool isCoin) = traders.entries(i);
            if (!isReturned && !isCoin) waiting += amount;
        }
        require(held >= open + waiting, "not covered");
    }

    function check_escapes_stay_within_the_pool() private view {
        require(traders.escapedTotal() <= traders.poolAtFreeze(), "escapes");
        if (traders.isFrozen()) require(traders.settlement().pool() == traders.poolAtFreeze(), "the pool moved");
    }

    function check_frozen_is_for_ever() private view {
        Last memory last = traders.settlement().last_checkpoint();
        require(last.is_frozen == traders.isFrozen(), "frozen");
        require(!last.is_frozen || last.height == traders.frozenAtHeight(), "a checkpoint after the freeze");
        require(last.height == traders.postedCount(), "height");
    }

    /// What the campaign draws can happen: no invariant holds only because nothing is ever paid.
    function test_every_way_out_is_reached() public {
        traders.deposit(0, 999);
        traders.deposit(1 << 8, 499);
        traders.checkpoint(1);
        traders.withdraw(0, 299);
        traders.checkpoint(0);
        traders.passTime(700);
        traders.claim(1, 0);
        require(traders.paidTotal() == 300, "claim");
        traders.depositCoins(0, 49);
        traders.checkpoint(0);
        traders.withdrawCoins(0, 29);
        traders.checkpoint(0);
        traders.passTime(700);
        traders.claim(3, 1);
        require(traders.coinsOut() == 30, "coins");
        traders.deposit(2, 9);
        for (uint256 i = 0; i < 3; i++) traders.passTime(2_999);
        traders.freeze();
        require(traders.isFrozen(), "freeze");
        traders.escape(0);
        traders.escape(1);
        require(traders.escapedTotal() == 1_200, "escape");
        traders.refund(3);
        require(traders.refundedTotal() == 10, "refund");
        invariant_money();
    }

    /// A check that cannot fail is none.
    function test_a_gift_that_nobody_told_of_is_found_out() public {
        traders.deposit(0, 999);
        traders.token().mint(address(traders.settlement()), 1);
        (bool isFine,) = address(this).call(abi.encodeCall(this.invariant_money, ()));
        require(!isFine, "not found out");
    }

    function test_a_custody_that_does_not_wait_is_found_out() public {
        requireFault(new HastyTraders(), "paid too early");
    }

    function test_a_custody_without_a_cap_is_found_out() public {
        requireFault(new GenerousTraders(), "more than the cap");
    }

    function requireFault(Traders faulty, string memory complaint) private {
        faulty.deposit(0, 5e11);
        faulty.checkpoint(0);
        faulty.withdraw(0, 4e11);
        faulty.checkpoint(0);
        if (keccak256(bytes(complaint)) == keccak256("more than the cap")) faulty.passTime(700);
        try faulty.claim(1, 0) {
            revert("not found out");
        } catch Error(string memory reason) {
            require(keccak256(bytes(reason)) == keccak256(bytes(complaint)), reason);
        }
    }
}
