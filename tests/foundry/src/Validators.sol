// SPDX-License-Identifier: UNLICENSED
pragma solidity ^0.8.28;

import {Curve} from "./Curve.sol";
import {Standing, Statement} from "./Faces.sol";
import {Network} from "./Network.sol";

/// Validators who come, leave, come back, lie and are slashed, while committees follow each other. The queues are kept here
/// as plain lists, and every state is; a call must succeed exactly when they say so.
contract Validators is Network {
    uint256 constant WAITING = 1;
    uint256 constant SERVING = 2;
    uint256 constant LEAVING = 3;
    uint256 constant UNBONDING = 4;
    uint256 constant GONE = 5;
    uint256 constant JAILED = 6;
    address constant REPORTER = address(0xC0FFEE);

    uint256[] public states;
    uint256[] private since;
    uint256[] private entry;
    uint256[] private exits;
    mapping(uint256 => uint256[]) private committees;
    mapping(uint256 => mapping(uint256 => bool)) private isConvicted;
    uint256[] private appointed;
    bool public isSealed;
    uint256 public epoch = 1;
    uint256 private height;
    uint256 private owed;
    uint256 public slashes;

    constructor() {
        for (uint256 i = 0; i < COMMITTEE_SIZE; i++) {
            states.push(SERVING);
            since.push(0);
            committees[1].push(i);
        }
    }

    function stake() internal pure override returns (uint256) {
        return 1_000;
    }

    // ------------------------------------------------------------ coming and going

    function join() external {
        uint256 number = states.length;
        if (number == REGISTRATIONS_MAX) return;
        register(number);
        states.push(WAITING);
        since.push(0);
        entry.push(number);
    }

    function leave(uint256 number) external {
        number = number % states.length;
        uint256 state = states[number];
        VM.prank(operator(number));
        try registry.leave() {
            require(state == WAITING || state == SERVING, "left from nowhere");
            if (state == WAITING) {
                drop(entry, number);
                put(number, UNBONDING);
            } else {
                exits.push(number);
                put(number, LEAVING);
            }
        } catch {
            require(state != WAITING && state != SERVING, "cannot leave");
        }
    }

    function rejoin(uint256 number) external {
        number = number % states.length;
        uint256 state = states[number];
        if (state == GONE) bringStake(operator(number));
        VM.prank(operator(number));
        try registry.rejoin() {
            require(state == LEAVING || state == UNBONDING || state == GONE, "rejoined from nowhere");
            if (state == LEAVING) {
                drop(exits, number);
                put(number, SERVING);
            } else {
                entry.push(number);
                put(number, WAITING);
            }
        } catch {
            require(state != LEAVING && state != UNBONDING && state != GONE, "cannot rejoin");
        }
    }

    function withdrawStake(uint256 number) external {
        number = number % states.length;
        bool isDue = states[number] == UNBONDING && block.timestamp > since[number] + UNBONDING_S;
        uint256 before = token.balanceOf(operator(number));
        VM.prank(operator(number));
        try registry.withdraw_stake() {
            require(isDue, "paid too early");
            require(token.balanceOf(operator(number)) == before + stake(), "not the stake");
            put(number, GONE);
        } catch {
            require(!isDue, "stake refused");
        }
    }

    function passTime(uint256 by_s) external {
        VM.warp(block.timestamp + by_s % 4_000);
    }

    // ------------------------------------------------------------ committees

    /// The committee in office signs who follows.
    function seal() external {
        if (isSealed) return;
        appointed = registry.next_numbers();
        if (appointed.length == 0) return;
        requireFairChoice();
        bytes32[20] memory header;
        height += 1;
        header[0] = bytes32(uint256(1));
        header[1] = bytes32(epoch);
        header[2] = bytes32(height);
        header[3] = bytes32(height);
        header[7] = bytes32(block.timestamp * 1000);
        header[9] = registry.make_committee(appointed);
        header[11] = bytes32(settlement.inbox_length());
        header[12] = settlement.inbox_hash(settlement.inbox_length());
        header[19] = bytes32(uint256(1));
        uint256 secret = 0;
        for (uint256 i = 0; i < committees[epoch].length; i++) secret += committees[epoch][i] + 1;
        settlement.checkpoint(header, "", Curve.sign(secret, finalizeDigest(header)));
        isSealed = true;
    }

    function advance() external {
        try settlement.advance_epoch() {
            require(isSealed, "advanced without a seal");
        } catch {
            require(!isSealed, "not advanced though sealed");
            return;
        }
        isSealed = false;
        epoch += 1;
        committees[epoch] = appointed;
        for (uint256 i = 0; i < appointed.length; i++) {
            uint256 number = appointed[i];
            if (states[number] == WAITING) {
                drop(entry, number);
                put(number, SERVING);
            } else if (states[number] == UNBONDING) {
                exits.push(number);
                put(number, LEAVING);
            }
        }
        uint256[] memory old = committees[epoch - 1];
        for (uint256 i = 0; i < old.length; i++) {
            uint256 state = states[old[i]];
            if (contains(appointed, old[i]) || (state != SERVING && state != LEAVING)) continue;
            if (state == LEAVING) drop(exits, old[i]);
            put(old[i], UNBONDING);
        }
    }

    /// What the rule says of whom it chooses, in other words than its own.
    function requireFairChoice() private view {
        uint256[] memory present = committees[epoch];
        require(appointed.length <= SEATS_MAX, "too many seats");
        uint256 entering = 0;
        for (uint256 i = 0; i < appointed.length; i++) {
            uint256 number = appointed[i];
            require(i == 0 || number > appointed[i - 1], "numbers do not increase");
            if (states[number] == WAITING) {
                entering += 1;
            } else {
                require(states[number] == SERVING || states[number] == LEAVING, "a stranger is chosen");
                require(contains(present, number), "not from the committee");
            }
        }
        for (uint256 i = 0; i < entering; i++) {
            require(contains(appointed, entry[i]), "the queue is not served in order");
        }
        uint256 able = 0;
        uint256 gone = 0;
        for (uint256 i = 0; i < present.length; i++) {
            uint256 state = states[present[i]];
            if (state != SERVING && state != LEAVING) continue;
            able += 1;
            if (contains(appointed, present[i])) continue;
            require(state == LEAVING, "pushed out");
            gone += 1;
        }
        uint256 leaveMax = present.length > 3 ? (present.length - 1) / 3 : 1;
        require(gone <= leaveMax, "too many leave at a time");
        require(entering <= (present.length < 4 ? 2 : (present.length + 1) / 2), "too many enter at a time");
        require(appointed.length >= 4 || appointed.length == able + entering - gone, "too small");
        require(gone == 0 || appointed.length >= 4, "left too few behind");
    }

    // ------------------------------------------------------------ lying

    /// A member of some epoch finalises two headers of one view; anyone has it convicted and slashed.
    function lie(uint256 seed, uint256 viewNumber) external {
        (uint256 when, uint256 seat, uint256 number) = draw(seed);
        viewNumber = 1 + viewNumber % 1e6;
        court.submit(
            when,
            makeStatement(when, seat, number, viewNumber, "a"),
            makeStatement(when, seat, number, viewNumber, "b")
        );
        isConvicted[when][seat] = true;
        slashAs(when, seat, number);
    }

    /// Slashed in every epoch it ever served in, convicted there or not.
    function slash(uint256 seed) external {
        (uint256 when, uint256 seat, uint256 number) = draw(seed);
        slashAs(when, seat, number);
    }

    function slashAs(uint256 when, uint256 seat, uint256 number) private {
        bool isDue = isConvicted[when][seat] && states[number] != JAILED;
        uint256 before = token.balanceOf(REPORTER);
        VM.prank(REPORTER);
        try registry.slash(when, seat) {
            require(isDue, "slashed an innocent, or twice");
            uint256 reward = token.balanceOf(REPORTER) - before;
            require(reward <= stake() / 20, "the reporter takes too much");
            if (states[number] == GONE) {
                require(reward == 0, "a reward from nowhere");
            } else {
                owed += stake() - reward;
            }
            if (states[number] == WAITING) drop(entry, number);
            if (states[number] == LEAVING) drop(exits, number);
            put(number, JAILED);
            slashes += 1;
        } catch {
            require(!isDue, "not slashed though convicted");
        }
    }

    function bringToInsurance() external {
        try registry.bring_to_insurance() {
            require(owed > 0, "brought nothing");
            owed = 0;
        } catch {
            require(owed == 0, "not brought");
        }
    }

    function draw(uint256 seed) private view returns (uint256 when, uint256 seat, uint256 number) {
        when = 1 + seed % epoch;
        seat = (seed >> 64) % committees[when].length;
        number = committees[when][seat];
    }

    function makeStatement(uint256 when, uint256 seat, uint256 number, uint256 viewNumber, bytes32 hash)
        private
        view
        returns (Statement memory)
    {
        bytes32 digest = keccak256(abi.encodePacked(uint8(3), domain, uint32(when), uint64(viewNumber), hash));
        return Statement(3, viewNumber, hash, 1 << seat, Curve.sign(number + 1, digest));
    }

    // ------------------------------------------------------------ the model

    function put(uint256 number, uint256 next) private {
        states[number] = next;
        if (next == UNBONDING) since[number] = block.timestamp;
    }

    function drop(uint256[] storage list, uint256 number) private {
        bool isFound = false;
        for (uint256 i = 0; i < list.length; i++) {
            if (isFound) list[i - 1] = list[i];
            if (list[i] == number) isFound = true;
        }
        require(isFound, "the model has lost somebody");
        list.pop();
    }

    function contains(uint256[] memory list, uint256 number) private pure returns (bool) {
        for (uint256 i = 0; i < list.length; i++) if (list[i] == number) return true;
        return false;
    }

    /// Everything that the registry says is what the model says, and the stakes are there.
    function check() external view {
        uint256 stakes = 0;
        for (uint256 number = 0; number < states.length; number++) {
            require(registry.standing(number).state == states[number], "state");
            if (states[number] <= UNBONDING) stakes += stake();
        }
        require(token.balanceOf(address(registry)) == stakes + owed, "stakes");
        requireSame(registry.queue(false, 255), entry);
        requireSame(registry.queue(true, 255), exits);
        require(registry.epoch() == epoch, "epoch");
        require(registry.committee_size(epoch) == committees[epoch].length, "committee");
    }

    function requireSame(uint256[] memory told, uint256[] memory known) private pure {
        require(keccak256(abi.encode(told)) == keccak256(abi.encode(known)), "queue");
    }
}
