"""Golden bytes: changing one of them changes the protocol. `python -m tests.engine.test_vectors` writes them anew."""

import hashlib
import json
from pathlib import Path

import pytest
from coincurve import PrivateKey
from eth_account import Account
from eth_account.messages import encode_typed_data

from engine.apply import execute
from engine.commands import (
    ACCEPT,
    ALL_MARKETS,
    AMEND,
    BUY,
    CANCEL,
    CANCEL_ALL,
    CANCEL_ALL_AFTER,
    COMBO,
    DELIST,
    LIST,
    OFFER,
    PLACE,
    SELL,
    SET_FEES,
    SET_MARGIN_MODE,
    SET_PARAMETER,
    SET_PHASE,
    SET_PROTECTION,
    SET_SESSION,
    TRANSFER,
    TRIGGER,
    TRIGGER_BELOW,
    WITHDRAW,
    Action,
    Command,
    address_of,
    command_id,
    compute_action_ids,
    compute_domain_separator,
    is_well_formed,
    recover_signer,
    typed_data,
    typed_message,
)
from engine.payload import Batch, Payload, batch_signing_bytes
from engine.snapshot import decode_snapshot, encode_snapshot
from engine.state import genesis
from engine.tree import account_proof, withdrawal_leaf, withdrawal_proof
from tests.engine.agreement import compare_events, compare_state
from tests.engine.blocks import (
    CONTRACT,
    FOREVER_MS,
    START_MS,
    TOKEN,
    USD,
    batch,
    block,
    deposit,
    make_params,
    place,
    reports,
)
from tests.reference import exchange

PATH = Path(__file__).parent.parent / "vectors" / "engine.json"
KEYS = [PrivateKey(bytes([number]) * 32) for number in (1, 2, 3)]
OWNERS = [address_of(key.public_key) for key in KEYS]
SEPARATOR = compute_domain_separator(31337, CONTRACT)
DOMAIN = bytes(range(32))

COMMANDS = {
    "place": Command.of(
        PLACE, OWNERS[0], 7, FOREVER_MS, subaccount=3, market=1, side=SELL, time_in_force=2, price_ticks=300_001,
        size_lots=25, client_id=99, display_lots=5, good_till_ms=FOREVER_MS - 1, link=70 << 16 | 25,
    ),
    "cancel": Command.of(CANCEL, OWNERS[0], 8, FOREVER_MS, market=1, order_id=12),
    "cancel_all": Command.of(CANCEL_ALL, OWNERS[0], 9, FOREVER_MS, market=ALL_MARKETS),
    "withdraw": Command.of(WITHDRAW, OWNERS[0], 10, FOREVER_MS, size_lots=5 * USD),
    "amend": Command.of(AMEND, OWNERS[0], 11, FOREVER_MS, market=1, order_id=12, price_ticks=5, size_lots=-6),
    "trigger": Command.of(TRIGGER, OWNERS[0], 12, FOREVER_MS, flags=TRIGGER_BELOW, trigger_ticks=-7, link=3),
    "cancel_all_after": Command.of(CANCEL_ALL_AFTER, OWNERS[0], 13, FOREVER_MS, good_till_ms=77),
    "transfer": Command.of(
        TRANSFER, OWNERS[0], 14, FOREVER_MS, market=1, size_lots=5, data=OWNERS[1] + bytes(4), link=9
    ),
    "set_margin_mode": Command.of(SET_MARGIN_MODE, OWNERS[0], 15, FOREVER_MS, side=1),
    "set_session": Command.of(
        SET_SESSION, OWNERS[0], 16, FOREVER_MS, flags=3, good_till_ms=5, size_lots=6, data=OWNERS[1] + bytes(4)
    ),
    "set_protection": Command.of(SET_PROTECTION, OWNERS[0], 17, FOREVER_MS, size_lots=1, display_lots=2),
    "combo": Command.of(COMBO, OWNERS[0], 18, FOREVER_MS, side=2, price_ticks=-3),
    "offer": Command.of(OFFER, OWNERS[0], 19, FOREVER_MS, market=1, side=1, price_ticks=2, size_lots=3, link=70),
    "accept": Command.of(ACCEPT, OWNERS[0], 20, FOREVER_MS, market=1, order_id=2, side=1),
    "set_fees": Command.of(SET_FEES, OWNERS[0], 21, FOREVER_MS, link=1, data=OWNERS[1] + bytes(4), size_lots=3),
    "list": Command.of(LIST, OWNERS[0], 22, FOREVER_MS, market=4, price_ticks=-1, data=bytes(range(24))),
    "set_parameter": Command.of(SET_PARAMETER, OWNERS[0], 23, FOREVER_MS, trigger_ticks=5, display_lots=6),
    "delist": Command.of(DELIST, OWNERS[0], 24, FOREVER_MS, market=4),
    "set_phase": Command.of(SET_PHASE, OWNERS[0], 25, FOREVER_MS, market=4, side=2, flags=1),
    "many": Command(
        OWNERS[0], 26, FOREVER_MS,
        (Action(CANCEL_ALL, market=1), Action(PLACE, price_ticks=5, size_lots=1), Action(WITHDRAW, size_lots=2)), 3,
    ),
}  # fmt: skip


def wallet_message(command: Command) -> dict:
    """The command as a wallet shows and signs it."""
    data = typed_data(31337, CONTRACT)
    name, message = typed_message(command)
    types = {kind: data["types"][kind] for kind in ("EIP712Domain", name)}
    return {"types": types, "domain": data["domain"], "primaryType": name, "message": message}


def three_blocks() -> list:
    """Deposits and prices; trades and a withdrawal; a fall that liquidates. `(block, state, result)` of each."""
    poor, rich, maker = OWNERS
    state = genesis(make_params(), START_MS)
    inbox = [deposit(0, poor, 60 * USD), deposit(1, rich, 9000 * USD), deposit(2, maker, 9000 * USD)]
    first = block(state, inbox=inbox)
    first = first._replace(price_reports=reports(first.time_ms, 500_000, 300_000), l1_block=5)
    done = [(first, *execute(state, first))]
    second = block(done[-1][1], batches=(
        batch(1, 1, [place(rich, 1, SELL, 500_000, 20), place(maker, 1, BUY, 474_000, 50, client_id=4)]),
        batch(2, 4, [place(poor, 1, BUY, 500_000, 20), Command.of(WITHDRAW, maker, 2, FOREVER_MS, size_lots=3 * USD)]),
    ), seed=bytes([7]) * 32)  # fmt: skip
    done.append((second, *execute(done[-1][1], second)))
    third = block(done[-1][1])
    third = third._replace(price_reports=reports(third.time_ms, 475_000, 300_000))
    done.append((third, *execute(done[-1][1], third)))
    return done


def command_vectors() -> dict:
    signed = {name: command.signed(KEYS[0], SEPARATOR) for name, command in COMMANDS.items()}
    return {
        name: {
            "bytes": command.encode().hex(), "id": command_id(command, SEPARATOR).hex(),
            "last_action_id": compute_action_ids(command_id(command, SEPARATOR), len(command.actions))[-1].hex(),
        }
        for name, command in signed.items()
    }  # fmt: skip


def payload_vectors() -> dict:
    records = b"".join(command.encode() for command in COMMANDS.values())
    made = Batch(2, 9, records, bytes([5]) * 64)
    report = reports(START_MS, 500_000, 300_000)[1]
    entry = deposit(0, OWNERS[0], 60 * USD)
    payload = Payload(((2, 9, made.hash()),), (report,), (entry,), 77)
    return {
        "batch": {
            "bytes": made.encode().hex(), "hash": made.hash().hex(),
            "signing_bytes": batch_signing_bytes(DOMAIN, made.hash()).hex(),
        },
        "price_report": {"bytes": report.encode().hex(), "signing_bytes": report.signing_bytes(DOMAIN).hex()},
        "inbox_entry": {"item": [str(item) for item in entry.to_cbor()], "chain": entry.chain(bytes(32)).hex()},
        "payload": payload.encode().hex(),
    }  # fmt: skip


def state_vectors() -> dict:
    done = three_blocks()
    state = done[1][1]
    proof = account_proof(state, 64)
    leaf = withdrawal_leaf(0, OWNERS[2], TOKEN, 3 * USD)
    start = genesis(make_params(), START_MS)
    return {
        "params": make_params().encode().hex(),
        "params_digest": make_params().digest().hex(),
        "genesis_state_root": start.state_root.hex(),
        "genesis_account_root": start.account_root.hex(),
        "account": {
            "index": proof.index, "owner": proof.owner.hex(), "claim_quote": proof.claim_quote,
            "holdings": proof.holdings.hex(), "aux_digest": proof.aux_digest.hex(), "digest": proof.digest.hex(),
            "leaf": state.tables.node_hashes[len(state.tables.node_hashes) // 2 + 64].tobytes().hex(),
        },
        "withdrawal": {"leaf": leaf.hex(), "top_sibling": withdrawal_proof([leaf], 0)[-1].hex()},
        "blocks": [
            {
                name: value.hex() if isinstance(value, bytes) else value
                for name, value in result.commitment._asdict().items()
            }
            for _, _, result in done
        ],
        "snapshot_sha256": hashlib.sha256(encode_snapshot(done[-1][1])).hexdigest(),
    }  # fmt: skip


def make_vectors() -> dict:
    return {"commands": command_vectors(), "payload": payload_vectors(), "state": state_vectors()}


@pytest.mark.parametrize("part", ["commands", "payload", "state"])
def test_bytes_are_the_golden_ones(part) -> None:
    golden = json.loads(PATH.read_text())[part]
    assert json.loads(json.dumps(make_vectors()[part])) == golden


def test_the_obvious_exchange_agrees() -> None:
    """Receipts, fills, liquidations and all others, balances, positions, orders and prices after every block."""
    x = exchange.genesis(make_params(), START_MS)
    for made, state, result in three_blocks():
        x = exchange.execute(x, made)
        assert compare_events(result, x) + compare_state(state, x) == []


def test_the_run_liquidates_and_pays_out() -> None:
    done = three_blocks()
    assert len(done[1][2].fills) == 1 and len(done[1][2].withdrawals) == 1
    assert len(done[2][2].liquidations) == 1 and len(done[2][2].fills) > 0
    assert decode_snapshot(encode_snapshot(done[2][1]), make_params()).state_root == done[2][1].state_root


@pytest.mark.parametrize("name", COMMANDS)
def test_wallets_sign_the_same_digest(name) -> None:
    """eth_account's EIP-712 digest and signature are ours, and a wallet's v of 27 or 28 is ours plus 27."""
    command = COMMANDS[name]
    assert is_well_formed(command)
    message = encode_typed_data(full_message=wallet_message(command))
    signed = Account.sign_message(message, KEYS[0].secret)
    own = command.signed(KEYS[0], SEPARATOR)
    assert signed.message_hash == command_id(command, SEPARATOR)
    assert bytes(signed.signature[:64]) + bytes([signed.v - 27]) == own.signature
    assert recover_signer(own, SEPARATOR) == OWNERS[0]
    assert Command.decode(own.encode()) == own


if __name__ == "__main__":
    PATH.write_text(json.dumps(make_vectors(), indent=1) + "\n")
