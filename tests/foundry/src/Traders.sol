// SPDX-License-Identifier: UNLICENSED
pragma solidity ^0.8.28;

import {Claim, IToken, Last, Record} from "./Faces.sol";
import {Network} from "./Network.sol";
import {Trees} from "./Trees.sol";

/// An honest engine and everybody who uses the custody, as the fuzzer drives them. It remembers what is owed and what was
/// paid, apart from the contracts. A function that tries something forbidden requires that it fails.
contract Traders is Network {
    uint256 constant OWNERS = 4;
    uint256 constant FIRST_ACCOUNT = 64;
    uint256 constant WITHDRAWALS_MAX = 24;
    bytes32 constant DIGEST = "holdings";

    struct Withdrawal {
        address owner;
        uint256 amount;
        uint256 paid;
        bool isCoin;
    }

    struct Entry {
        address sender;
        address beneficiary;
        uint256 amount;
        uint256 time_s;
        bool isReturned;
        bool isCoin;
    }

    struct Posted {
        Record record;
        uint256 count;
        uint256[OWNERS] free;
    }

    struct Payment {
        bool isCoin;
        uint256 amount;
        uint256 time_s;
    }

    uint256[OWNERS] public free;
    uint256[OWNERS] public coins;
    bool[OWNERS] public hasEscaped;
    Withdrawal[] public withdrawals;
    Entry[] public entries;
    Posted[] internal posted;
    Payment[] public payments;
    uint256 public consumed;
    uint256 public depositedTotal;
    uint256 public withdrawnTotal;
    uint256 public paidTotal;
    uint256 public escapedTotal;
    uint256 public refundedTotal;
    uint256 public donatedTotal;
    uint256 public coinsIn;
    uint256 public coinsOut;
    uint256 public poolAtFreeze;
    uint256 public frozenAtHeight;
    bool public isFrozen;

    function owner(uint256 i) public pure returns (address) {
        return address(uint160(0xB0000 + i));
    }

    // ------------------------------------------------------------ honest use

    function deposit(uint256 seed, uint256 amount) external {
        bring(seed, 1 + amount % 1e12);
    }

    function depositCoins(uint256 seed, uint256 amount) external {
        amount = 1 + amount % 1e12;
        address payer = owner(seed % OWNERS);
        coin.mint(payer, amount);
        VM.prank(payer);
        coin.approve(address(settlement), amount);
        VM.prank(payer);
        try settlement.deposit(owner((seed >> 8) % OWNERS), 0, amount, address(coin)) {
            require(!isFrozen, "deposit into a frozen custody");
            entries.push(Entry(payer, owner((seed >> 8) % OWNERS), amount, block.timestamp, false, true));
            coinsIn += amount;
        } catch {
            require(isFrozen, "deposit refused");
        }
    }

    function withdrawCoins(uint256 seed, uint256 amount) external {
        uint256 who = seed % OWNERS;
        if (coins[who] == 0 || isFrozen || withdrawals.length == WITHDRAWALS_MAX) return;
        amount = 1 + amount % coins[who];
        coins[who] -= amount;
        withdrawals.push(Withdrawal(owner(who), amount, 0, true));
    }

    /// Forced actions, and a small deposit now and then: many more than a checkpoint consumes at once.
    function flood(uint256 seed) external {
        uint256 count = seed % 8 == 0 ? 300 : seed % 8;
        for (uint256 i = 0; i < count; i++) {
            if (i % 32 == 5) bring(seed >> 8, 1 + i);
            address payer = owner((seed >> 8) % OWNERS);
            VM.prank(payer);
            try settlement.force_cancel(0, 2 ** 32 - 1) {
                require(!isFrozen, "forced in a frozen custody");
                entries.push(Entry(payer, payer, 0, block.timestamp, false, false));
            } catch {
                require(isFrozen, "force refused");
            }
        }
    }

    function bring(uint256 seed, uint256 amount) private {
        address payer = owner(seed % OWNERS);
        token.mint(payer, amount);
        VM.prank(payer);
        token.approve(address(settlement), amount);
        VM.prank(payer);
        try settlement.deposit(owner((seed >> 8) % OWNERS), 0, amount) {
            require(!isFrozen, "deposit into a frozen custody");
            entries.push(Entry(payer, owner((seed >> 8) % OWNERS), amount, block.timestamp, false, false));
            depositedTotal += amount;
        } catch {
            require(isFrozen, "deposit refused");
        }
    }

    /// The engine debits it; the next checkpoint makes it claimable.
    function withdraw(uint256 seed, uint256 amount) external {
        uint256 who = seed % OWNERS;
        if (free[who] == 0 || isFrozen || withdrawals.length == WITHDRAWALS_MAX) return;
        amount = 1 + amount % free[who];
        free[who] -= amount;
        withdrawnTotal += amount;
        withdrawals.push(Withdrawal(owner(who), amount, 0, false));
    }

    /// Profit and loss between two accounts.
    function trade(uint256 seed, uint256 amount) external {
        uint256 from = seed % OWNERS;
        if (free[from] == 0) return;
        amount = amount % (free[from] + 1);
        free[from] -= amount;
        free[(seed >> 8) % OWNERS] += amount;
    }

    function checkpoint(uint256 seed) external {
        if (isFrozen) {
            tryCheckpoint(makeHeader(), seed, "checkpoint into a frozen custody");
            return;
        }
        uint256 before = consumed;
        uint256 waiting = entries.length - consumed;
        uint256 leftOut = (seed >> 32) % 3 == 0 ? (seed >> 40) % (waiting + 1) : 0;
        consume(entries.length - leftOut);
        bytes32[20] memory header = makeHeader();
        (bool isOneAbsent, uint256 absent) = (seed & 1 == 1, (seed >> 1) % COMMITTEE_SIZE);
        bytes memory nonsigners = isOneAbsent ? abi.encodePacked(uint8(absent)) : bytes("");
        try settlement.checkpoint(header, nonsigners, certify(header, isOneAbsent, absent)) {}
        catch {
            require(leftOut > 0 && block.timestamp >= entries[consumed].time_s + FORCE_DEADLINE_S, "refused");
            giveBack(before);
            return;
        }
        Record memory record = Record(
            uint256(header[3]), keccak256(abi.encode(header)), header[14], header[15], header[16], header[17],
            block.timestamp
        );
        posted.push(Posted(record, withdrawals.length, free));
    }

    function consume(uint256 cursor) private {
        for (; consumed < cursor; consumed++) {
            Entry storage entry = entries[consumed];
            uint256 who = uint160(entry.beneficiary) - 0xB0000;
            if (entry.isCoin) coins[who] += entry.amount;
            else free[who] += entry.amount;
        }
    }

    function giveBack(uint256 cursor) private {
        for (; consumed > cursor; consumed--) {
            Entry storage entry = entries[consumed - 1];
            uint256 who = uint160(entry.beneficiary) - 0xB0000;
            if (entry.isCoin) coins[who] -= entry.amount;
            else free[who] -= entry.amount;
        }
    }

    function claim(uint256 seed, uint256 index) external {
        if (posted.length == 0) return;
        Posted storage under = posted[seed % posted.length];
        if (under.count == 0) return;
        index = index % under.count;
        Withdrawal storage wanted = withdrawals[index];
        (, bytes32[32] memory proof) = Trees.foldWithdrawals(withdrawalLeaves(under.count), index);
        IToken paidIn = wanted.isCoin ? coin : token;
        uint256 before = paidIn.balanceOf(wanted.owner);
        try payouts.claim_withdrawal(
            under.record, Claim(index, wanted.owner, address(paidIn), wanted.amount, proof)
        ) {
            uint256 got = paidIn.balanceOf(wanted.owner) - before;
            require(got > 0 && wanted.paid + got <= wanted.amount, "paid twice");
            require(block.timestamp >= under.record.posted_s + CLAIM_DELAY_S, "paid too early");
            require(!council.is_paused(), "paid in a pause");
            wanted.paid += got;
            if (wanted.isCoin) coinsOut += got;
            else paidTotal += got;
            payments.push(Payment(wanted.isCoin, got, block.timestamp));
            requireCap(wanted.isCoin);
        } catch {}
    }

    /// No 24 hours pay more than the cap.
    function requireCap(bool isCoin) private view {
        uint256 day = 0;
        for (uint256 i = payments.length; i > 0; i--) {
            if (payments[i - 1].time_s + 86_400 <= block.timestamp) break;
            if (payments[i - 1].isCoin == isCoin) day += payments[i - 1].amount;
        }
        require(day <= OUTFLOW_CAP, "more than the cap");
    }

    function pause(uint256 seat) external {
        seat = seat % COMMITTEE_SIZE;
        bool wasPaused = council.is_paused();
        VM.prank(operator(seat));
        try council.pause(seat) {
            require(!wasPaused, "a pause in a pause");
        } catch {}
    }

    function passTime(uint256 by_s) external {
        VM.warp(block.timestamp + (by_s % 16 == 0 ? 86_400 : by_s % 3_000));
    }

    function freeze() external {
        (uint256 overdue_s, uint256 silent_s) = settlement.freeze_deadlines();
        bool isDue = block.timestamp > overdue_s || block.timestamp > silent_s;
        try settlement.freeze() {
            require(isDue && !isFrozen, "frozen too early or twice");
            isFrozen = true;
            poolAtFreeze = settlement.pool();
            frozenAtHeight = settlement.last_checkpoint().height;
        } catch {
            require(!isDue || isFrozen, "not frozen though due");
        }
    }

    function escape(uint256 who) external {
        if (posted.length == 0) return;
        who = who % OWNERS;
        Posted storage under = posted[posted.length - 1];
        (, bytes32[20] memory hashes, uint256[20] memory sums) =
            Trees.foldAccounts(accountLeaves(under.free), FIRST_ACCOUNT, FIRST_ACCOUNT + who);
        uint256 before = token.balanceOf(owner(who));
        try settlement.escape(
            under.record, FIRST_ACCOUNT + who, owner(who), 0, under.free[who], 0, DIGEST, hashes, sums
        ) {
            require(isFrozen, "escaped from a live custody");
            require(!hasEscaped[who], "escaped twice");
            hasEscaped[who] = true;
            uint256 paid = token.balanceOf(owner(who)) - before;
            escapedTotal += paid;
            require(paid <= under.free[who], "escaped with more than the claim");
            require(paid == share(under, who), "not the share");
        } catch {
            require(!isFrozen || hasEscaped[who] || share(under, who) == 0, "escape refused");
        }
    }

    function refund(uint256 index) external {
        if (entries.length == 0) return;
        index = index % entries.length;
        Entry storage entry = entries[index];
        bool isOpen = index >= settlement.last_checkpoint().inbox_cursor && !entry.isReturned;
        bool isDue = isFrozen && isOpen && entry.amount > 0;
        try settlement.refund(index, address(entry.isCoin ? coin : token), entry.beneficiary, 0, entry.sender, entry.amount, entry.time_s) {
            require(isDue, "refunded wrongly");
            entry.isReturned = true;
            if (entry.isCoin) coinsOut += entry.amount;
            else refundedTotal += entry.amount;
        } catch {
            require(!isDue, "refund refused");
        }
    }

    function donate(uint256 amount) external {
        amount = amount % 1e9;
        token.mint(address(settlement), amount);
        donatedTotal += amount;
    }

    // ------------------------------------------------------------ a corrupt quorum

    /// Everybody signs something that the custody can see is wrong.
    function lie(uint256 seed, uint256 by) external {
        bytes32[20] memory header = makeHeader();
        by = 1 + by % 1e12;
        uint256 which = seed % 9;
        if (which == 0) header[16] = bytes32(uint256(header[16]) + ((depositedTotal + by) << 128));
        if (which == 1) header[16] = bytes32(uint256(header[16]) + DEBT_MAX + by);
        if (which == 2) header[3] = bytes32(settlement.last_checkpoint().height);
        if (which == 3) header[12] = keccak256(abi.encode(header[12], by));
        if (which == 4) header[11] = bytes32(uint256(header[11]) + by);
        if (which == 5) header[1] = bytes32(by + 1);
        if (which == 6) header[19] = bytes32(by + 1);
        if (which == 7) header[18] = bytes32(depositedTotal + by);
        if (which == 8) header[0] = bytes32(by + 1);
        tryCheckpoint(header, seed >> 8, "a lie was accepted");
    }

    /// An honest header, and no quorum or not the quorum that is named.
    function forge(uint256 seed, bytes32 noise) external {
        bytes32[20] memory header = makeHeader();
        bytes32[8] memory signature = certify(header, true, seed % COMMITTEE_SIZE);
        uint256 which = (seed >> 8) % 4;
        bytes memory nonsigners;
        if (which == 0) nonsigners = abi.encodePacked(uint8((seed + 1) % COMMITTEE_SIZE));
        if (which == 1) nonsigners = abi.encodePacked(uint8(0), uint8(1));
        if (which == 2) nonsigners = abi.encodePacked(uint8(seed % COMMITTEE_SIZE), uint8(seed % COMMITTEE_SIZE));
        if (which == 3) {
            nonsigners = abi.encodePacked(uint8(seed % COMMITTEE_SIZE));
            signature[seed % 8] ^= noise | bytes32(uint256(1));
        }
        try settlement.checkpoint(header, nonsigners, signature) {
            revert("a forgery was accepted");
        } catch {}
    }

    function tryCheckpoint(bytes32[20] memory header, uint256 seed, string memory complaint) private {
        bool isOneAbsent = seed & 1 == 1;
        uint256 absent = (seed >> 1) % COMMITTEE_SIZE;
        bytes memory nonsigners = isOneAbsent ? abi.encodePacked(uint8(absent)) : bytes("");
        bytes32[8] memory signature = certify(header, isOneAbsent, absent);
        try settlement.checkpoint(header, nonsigners, signature) {
            revert(complaint);
        } catch {}
    }

    // ------------------------------------------------------------ the model

    function makeHeader() private view returns (bytes32[20] memory header) {
        uint256 claims = free[0] + free[1] + free[2] + free[3];
        (bytes32 root,) = Trees.foldWithdrawals(withdrawalLeaves(withdrawals.length), 0);
        (Trees.Sums memory accounts,,) = Trees.foldAccounts(accountLeaves(free), FIRST_ACCOUNT, FIRST_ACCOUNT);
        header[0] = bytes32(uint256(1));
        header[1] = bytes32(uint256(1));
        header[2] = bytes32(posted.length + 5);
        header[3] = bytes32(posted.length + 1);
        header[7] = bytes32(block.timestamp * 1000);
        header[11] = bytes32(consumed);
        header[12] = settlement.inbox_hash(consumed);
        header[15] = accounts.hash;
        header[16] = bytes32(claims << 128);
        header[17] = root;
        header[18] = bytes32(withdrawnTotal);
        header[19] = bytes32(uint256(1));
    }

    function share(Posted storage under, uint256 who) private view returns (uint256) {
        uint256 claims = under.free[0] + under.free[1] + under.free[2] + under.free[3];
        if (under.free[who] == 0) return 0;
        return under.free[who] * (poolAtFreeze < claims ? poolAtFreeze : claims) / claims;
    }

    function withdrawalLeaves(uint256 count) private view returns (bytes32[] memory leaves) {
        leaves = new bytes32[](count);
        for (uint256 i = 0; i < count; i++) {
            leaves[i] = Trees.withdrawalLeaf(
                i, withdrawals[i].owner, address(withdrawals[i].isCoin ? coin : token), withdrawals[i].amount
            );
        }
    }

    function accountLeaves(uint256[OWNERS] memory claims) private pure returns (Trees.Sums[] memory leaves) {
        leaves = new Trees.Sums[](OWNERS);
        for (uint256 i = 0; i < OWNERS; i++) {
            leaves[i] = Trees.accountLeaf(FIRST_ACCOUNT + i, owner(i), claims[i], 0, DIGEST);
        }
    }

    function postedCount() external view returns (uint256) {
        return posted.length;
    }

    function paymentsCount() external view returns (uint256) {
        return payments.length;
    }
}
