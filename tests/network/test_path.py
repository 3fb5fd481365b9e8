"""Every hop with real parts: deposit, orders at different nodes, certificates, checkpoint, proofs, claim, crash.

The tests of this file use one network, in order.
"""

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from decimal import Decimal
from pathlib import Path
from types import ModuleType
from typing import Any

import httpx
import pytest
import trio
from coincurve import PrivateKey
from sha3 import keccak_256

from consensus import crypto
from consensus.messages import FINALIZE, NULLIFY, ZERO_HASH, Commitment, Header, Vote, compute_domain, vote_digest
from contracts.court import Court
from contracts.forced import ForcedActions
from contracts.settlement import Refused
from engine.commands import PLACE, TRIGGER, Command, command_id, compute_domain_separator
from engine.results import Code
from engine.tree import encode_sums
from engine.units import parse_quote
from net.client import AsyncClient, Buy, Client, HansaError
from net.client.examples import delta_hedger, funding_arbitrage, liquidation_alert, market_maker, proof_keeper
from net.client.socket import open_socket
from net.committee import MemberAddress, open_committee
from net.link import HelloState
from net.order_frames import FLAG_OUTCOMES, Orders, Receipts, decode_answer
from net.wire import Consensus
from testnet import funding, homes
from testnet.public_hosts import start_public_hosts
from testnet.terms import DEFAULT_TERMS
from tests.network.ccxt_trader import SYMBOL, drive_pro, drive_sync, running_gateway
from tests.network.harness import DEPOSIT_QUOTE, NODE_COUNT, TRADER_COUNT, LocalNetwork, wait_until
from tests.network.reader import PAGES_DEPOSIT_QUOTE, type_pages
from tests.network.signer_drill import SignerDrill
from validator.config import address_bytes, load_node
from validator.keys import load_keys
from validator.verifier import open_verifier

MARKET = "BTC-PERPETUAL"
LOT = Decimal("0.010")
FOLLOWED_BLOCKS = 25


def trade(network: LocalNetwork, maker_node: int, taker_node: int, label: int = 7) -> tuple:
    """A resting order at one node, a taker at another; both final."""
    maker, taker = network.traders[:2]
    price_usd = network.client(maker_node).ticker(MARKET).mark_price_usd
    resting = network.client(maker_node, maker).sell(MARKET, LOT, price_usd, time_in_force="post_only", label=label)
    taken = network.client(taker_node, taker).buy(MARKET, LOT, price_usd, time_in_force="immediate_or_cancel")
    return resting, taken


def common_headers(network: LocalNetwork, nodes: list[int], from_height: int) -> int:
    """Assert that all nodes hold the same certified headers from `from_height` on; the number compared."""
    top = min(network.height(node) for node in nodes)
    for height in range(from_height, top + 1):
        assert len({network.header(node, height)["header"] for node in nodes}) == 1, height
    return top - from_height + 1


def test_deposits_are_credited_on_every_node(network):
    for node in range(NODE_COUNT):
        for trader in network.traders:
            account = wait_until(lambda n=node, t=trader: network.client(n, t).account(), 20, "the credit")
            assert account.balance == Decimal(DEPOSIT_QUOTE).scaleb(-6)


def test_traders_at_different_nodes_trade_with_each_other(network):
    resting, taken = trade(network, maker_node=0, taker_node=2)
    assert resting.order.state == "open" and taken.order.state == "filled"
    (fill,) = taken.trades
    assert fill.amount_base == LOT and fill.price_usd == resting.order.price_usd
    wait_until(lambda: network.height(3) >= fill.height, 10, "node 3 has the block")
    seller = network.client(3, network.traders[0]).account()
    buyer = network.client(1, network.traders[1]).account()
    assert seller.positions[0].size_base == -LOT and buyer.positions[0].size_base == LOT
    seen = network.client(3, network.traders[0]).user_trades(MARKET)
    assert [(item.trade_id, item.is_maker, item.label) for item in seen] == [(fill.trade_id, True, 7)]


def test_certificates_are_real_aggregates_of_the_committee(network):
    domain = compute_domain(network.config.chain_id, address_bytes(network.config.contract))
    keys = [bytes.fromhex(entry.bls_key) for entry in network.config.validators]
    answer = network.client(1).certificate()
    header = Header.decode(bytes.fromhex(answer["header"][2:]))
    digest = vote_digest(domain, FINALIZE, answer["epoch"], answer["view"], header.hash())
    signature = bytes.fromhex(answer["signature"][2:])
    assert len(answer["signers"]) >= 3
    assert crypto.verify_aggregate([keys[signer] for signer in answer["signers"]], digest, signature)
    assert not crypto.verify_aggregate(keys[:2], digest, signature)
    assert common_headers(network, list(range(NODE_COUNT)), 1) > 5


def refused(network: LocalNetwork, trader: funding.ChainAccount, method: str, **params: object) -> int:
    with pytest.raises(HansaError) as refusal, network.client(2, trader) as client:
        client.call(method, **params)
    return refusal.value.code


def test_bad_commands_have_their_number_and_change_nothing(network):
    trader = network.traders[2]
    separator = compute_domain_separator(network.config.chain_id, address_bytes(network.config.contract))
    other_chain = compute_domain_separator(1, address_bytes(network.config.contract))
    now_ms = time.time_ns() // 1_000_000
    stranger = funding.derive_account(9)

    def record(domain: bytes = separator, signer: funding.ChainAccount = trader, **fields: int) -> str:
        values = {"market": 0, "price_ticks": 500_000, "size_lots": 1, "expiry_ms": now_ms + 60_000} | fields
        return Command.of(PLACE, signer.address, 10, **values).signed(PrivateKey(signer.key), domain).encode().hex()

    before = network.client(2, trader).account()
    for code, command in (
        (101, record(order_id=5)),
        (102, record(other_chain)),
        (102, record()[:100] + "00" * 30 + record()[160:]),
        (201, record(expiry_ms=now_ms - 60_000)),
        (202, record(signer=stranger)),
        (301, record(market=9)),
        (302, record(size_lots=0)),
        (302, record(size_lots=-5)),
        (303, record(size_lots=1 << 62)),
        (304, record(price_ticks=1 << 62)),
        (304, record(price_ticks=0)),
    ):
        assert refused(network, trader, "public/x_submit", command=command) == code
    assert refused(network, trader, "private/no_such_method") == 603
    for text in ("{", "[" * 60_000, '{"a":' * 10_000, "NaN", "1e999999999"):
        answer = httpx.post(f"{network.urls[2]}/api/v2", content=text, timeout=10).json()
        assert answer["error"]["data"]["code"] in (601, 602), text[:20]
    after = network.client(2, trader).account()
    assert (after.balance, after.positions, after.open_orders) == (before.balance, before.positions, before.open_orders)


def test_what_only_the_engine_can_refuse_is_final_and_never_executes_later(network):
    trader = network.traders[2]
    client = network.client(1, trader)
    mark_usd = client.ticker(MARKET).mark_price_usd
    with pytest.raises(HansaError) as too_much:
        client.buy(MARKET, Decimal("400"), mark_usd)
    assert too_much.value.code == 401
    with pytest.raises(HansaError) as far:
        client.buy(MARKET, LOT, (mark_usd * 2).quantize(Decimal("0.1")))
    assert far.value.code == 305
    with pytest.raises(HansaError) as unfunded:
        client.withdraw(Decimal("50000.000001"))
    assert unfunded.value.code == 403
    assert client.account().balance == Decimal(DEPOSIT_QUOTE).scaleb(-6)
    assert client.open_orders() == []


def sign_resting(network: LocalNetwork, trader: funding.ChainAccount) -> tuple[str, str]:
    """A bid below the market in hexadecimal digits, and its name."""
    separator = compute_domain_separator(network.config.chain_id, address_bytes(network.config.contract))
    expiry_ms = time.time_ns() // 1_000_000 + 60_000
    command = Command.of(
        PLACE, trader.address, time.time_ns() // 1000, expiry_ms, market=0, time_in_force=2,
        price_ticks=int(network.client(1).ticker(MARKET).mark_price_usd * 10) - 100, size_lots=3,
    ).signed(PrivateKey(trader.key), separator)  # fmt: skip
    return command.encode().hex(), "0x" + command_id(command, separator).hex()


def test_the_same_command_sent_to_all_nodes_executes_once(network):
    trader = network.traders[2]
    record, name = sign_resting(network, trader)
    for node in range(NODE_COUNT):
        network.client(node).call("public/x_submit", command=record, x_wait="received")
    for node in range(NODE_COUNT):
        wait_until(lambda n=node: network.client(n).command_status(name)["is_final"], 20, f"the result on node {node}")
    orders = network.client(3, trader).open_orders()
    assert len(orders) == 1
    assert network.client(3, trader).cancel_all().count == 1


async def stream_orders(network: LocalNetwork, trader: funding.ChainAccount) -> None:
    """Messages in frames to one node, the same bytes to another, and one outcome everywhere."""
    key_hex = "0x" + trader.key.hex()
    async with AsyncClient(network.urls[0], key_hex) as client, client.order_stream() as stream:
        price_usd = ((await client.ticker(MARKET)).mark_price_usd * Decimal("0.95")).quantize(Decimal(1))
        records = []
        for at in range(20):
            name = await stream.send([Buy(MARKET, LOT, price_usd - at * 5 - step) for step in range(3)])
            records.append(stream._pending[bytes.fromhex(name[2:])].record)
        outcomes = [await anext(stream) for _ in range(20)]
        assert all(action.error is None for outcome in outcomes for action in outcome.actions)
        assert len(await client.open_orders(MARKET)) == 60
    for node in (0, 3):  # who took them, and who knows them from blocks only
        async with open_socket(network.urls[node], "/ws/orders") as socket:
            await socket.send(Orders(9, FLAG_OUTCOMES, b"".join(records)).encode())
            told = [decode_answer(await socket.receive()) for _ in range(21)]
            assert [len(outcome.rows) for outcome in told[:20]] == [3] * 20
            assert {int(code) for outcome in told[:20] for code in outcome.rows["code"]} == {0}
            assert isinstance(told[20], Receipts) and told[20].tag == 9
            assert set(told[20].rows["code"].tolist()) == ({0} if node == 0 else {Code.NONCE_REUSED})
    async with AsyncClient(network.urls[3], key_hex) as client:
        assert len(await client.open_orders(MARKET)) == 60
        assert (await client.cancel_all()).count == 60


def test_orders_by_the_hundred_go_through_one_stream_and_execute_once(network):
    trio.run(stream_orders, network, network.traders[2])


def test_orders_are_edited_wait_for_their_price_and_money_changes_its_subaccount(network):
    trader = network.traders[2]
    client = network.client(1, trader)
    far_usd = (client.ticker(MARKET).mark_price_usd * Decimal("0.95")).quantize(Decimal(1))
    placed = client.buy(MARKET, LOT, far_usd)
    edited = client.edit(placed.order.order_id, LOT * 2, far_usd - 5)
    (order,) = client.open_orders()
    assert (order.order_id, order.amount_base, order.price_usd) == (placed.order.order_id, LOT * 2, far_usd - 5)
    assert edited.order == order
    separator = compute_domain_separator(network.config.chain_id, address_bytes(network.config.contract))
    now_ms = time.time_ns() // 1_000_000
    trigger = Command.of(
        TRIGGER, trader.address, time.time_ns() // 1000, now_ms + 60_000, trigger_ticks=int(far_usd) * 10,
        price_ticks=int(far_usd - 9) * 10, size_lots=3,
    ).signed(PrivateKey(trader.key), separator)  # fmt: skip
    answer = client.call("public/x_submit", command=trigger.encode().hex())
    assert (answer["order"]["order_state"], answer["order"]["order_type"]) == ("untriggered", "stop_limit")

    def fired() -> bool:
        return client.order(answer["order"]["order_id"]).state == "triggered"

    wait_until(fired, 20, "the trigger, whose price is reached")
    assert {order.price_usd for order in client.open_orders()} == {far_usd - 5, far_usd - 9}
    assert client.cancel_all().count == 2
    assert client.transfer("12.5", 1).is_final
    assert client.transfer("12.5", 1).is_final
    with network.client(0, trader) as reader:
        there = reader.call("private/get_account_summary", owner=trader.address_text, subaccount=1)
    assert there["balance"] == "25.000000"


def test_a_checkpoint_lands_and_the_contract_finds_the_account_in_it(network):
    trader = network.traders[0]
    last = wait_until(network.settlement.last_checkpoint, 60, "a checkpoint")

    def proven() -> object:
        checkpoint = network.settlement.last_checkpoint()
        return checkpoint and network.client(0, trader).proof(checkpoint.height)

    proof = wait_until(proven, 40, "a proof at a checkpoint").raw
    height = proof["certificate"]["height"]
    assert height >= last.height
    claims = [parse_quote(sibling["claims"]) for sibling in proof["siblings"]]
    debts = [parse_quote(sibling["debt"]) for sibling in proof["siblings"]]
    digest = keccak_256(bytes.fromhex(proof["holdings"][2:]) + bytes.fromhex(proof["aux_hash"][2:])).digest()
    arguments = [
        proof["index"], trader.address, 0, parse_quote(proof["claims"]), parse_quote(proof["debt"]), digest,
        [bytes.fromhex(sibling["hash"][2:]) for sibling in proof["siblings"]],
        [encode_sums(claim, debt) for claim, debt in zip(claims, debts)],
    ]  # fmt: skip
    assert network.settlement.verify_account(height, *arguments)
    arguments[3] += 1
    assert not network.settlement.verify_account(height, *arguments)


def test_a_withdrawal_is_claimed_with_its_proof_exactly_once(network):
    trader = network.traders[2]
    amount_quote = 1_234_567_890
    withdrawn = network.client(3, trader).withdraw(Decimal(amount_quote).scaleb(-6))
    index = withdrawn.index
    before_quote = network.settlement.token_balance(trader.address)

    def on_chain() -> bool:
        (entry,) = network.client(0, trader).withdrawals()
        return entry["x_status"] == "on_chain"

    wait_until(on_chain, 60, "the withdrawal's checkpoint")
    (entry,) = network.client(0, trader).withdrawals()

    def payable() -> int:
        checkpoint = network.settlement.payable_checkpoint()
        return checkpoint.height if checkpoint and checkpoint.height >= entry["x_height"] else 0

    def claim() -> None:
        height = wait_until(payable, 30, "the claim delay")
        proof = network.client(0, trader).withdrawal_proof(index, height)
        siblings = [bytes.fromhex(sibling[2:]) for sibling in proof["siblings"]]
        network.settlement.claim_withdrawal(height, index, trader.address, amount_quote, siblings)

    claim()
    assert network.settlement.token_balance(trader.address) - before_quote == amount_quote
    with pytest.raises(Refused, match="already paid"):
        claim()


def test_forced_actions_are_obeyed_answered_and_in_a_checkpoint(network):
    """The owner speaks to the settlement chain alone; then a key that no node was told of trades."""
    trader, session = network.traders[2], PrivateKey(b"\x07" * 32)
    forced = ForcedActions(network.chain.rpc_url, network.config.contract, trader.key)
    key = keccak_256(session.public_key.format(compressed=False)[1:]).digest()[12:]
    sent = [
        forced.withdraw(0, forced.token, 7_000_000), forced.withdraw(0, forced.token, 1 << 60),
        forced.set_key(0, key, 1, 1 << 50), forced.cancel(0), forced.close(0, 0),
    ]  # fmt: skip

    def answers(node: int) -> dict[int, tuple[str, int]]:
        shown = {entry["index"]: (entry["state"], entry["x_code"]) for entry in network.client(node, trader).inbox()}
        found = {at: shown.get(action.index, ("waiting", 0)) for at, action in enumerate(sent)}
        return {at: answer for at, answer in found.items() if answer[0] != "waiting"}

    expected = {0: ("done", 0), 1: ("refused", 403), 2: ("done", 0), 3: ("done", 0), 4: ("refused", 313)}
    for node in range(NODE_COUNT):
        wait_until(lambda node=node: len(answers(node)) == len(sent), 60, "the answers")
        assert answers(node) == expected
    assert network.client(1, trader).withdrawals()[-1]["amount"] == "7.000000"
    separator = compute_domain_separator(network.config.chain_id, address_bytes(network.config.contract))
    now_ms = time.time_ns() // 1_000_000
    order = Command.of(PLACE, trader.address, now_ms * 1000, now_ms + 60_000, price_ticks=1, size_lots=1)
    command = order.signed(session, separator).encode().hex()
    network.client(2).call("public/x_submit", command=command)
    assert network.client(2, trader).cancel_all().count == 1  # the order that the key had signed
    wait_until(lambda: all(forced.status(action.index).is_consumed for action in sent), 60, "a checkpoint")


def test_who_knows_genesis_alone_proves_that_an_order_is_final_and_what_an_account_has(network):
    verifier = open_verifier(homes.node_home(network.folder, 0).genesis)
    key = network.traders[2].key.hex()
    with Client(network.urls[:3], key, timeout_s=20, verify=verifier) as client:
        price_usd = (client.ticker(MARKET).mark_price_usd * Decimal("0.95")).quantize(Decimal(1))
        placed = client.buy(MARKET, LOT, price_usd)
        assert placed.progress.certificate == "proven" == client.cancel(placed.order.order_id).progress.certificate
        proven = wait_until(client.proof, 20, "a proof")
        assert (proven.certificate, proven.claims > 0) == ("proven", True)
        assert client.committee()["headers"] == [] and len(client.committee()["members"]) == NODE_COUNT


async def run_examples(network: LocalNetwork, trader: funding.ChainAccount, kept: Path) -> None:
    """All at once, each with a node of its own, until the maker quotes and the keeper has kept."""
    programs = (market_maker, delta_hedger, funding_arbitrage, liquidation_alert, proof_keeper)

    async def run(program: ModuleType, url: str, task_status: Any) -> None:
        async with AsyncClient(url, "0x" + trader.key.hex()) as client:
            with trio.CancelScope() as scope:
                task_status.started(scope)
                await program.run(client)

    async with AsyncClient(network.urls[0], owner="0x" + trader.address.hex()) as watcher:
        async with trio.open_nursery() as nursery:
            scopes = [
                await nursery.start(run, program, network.urls[at % NODE_COUNT]) for at, program in enumerate(programs)
            ]
            with trio.fail_after(60):
                while len(await watcher.open_orders(market_maker.INSTRUMENT)) != 4 or not kept.exists():
                    await trio.sleep(0.2)
            for scope in scopes:
                scope.cancel()
        assert await watcher.open_orders() == [], "the maker takes its quotes along"


def test_the_example_programs_run_beside_real_validators(network, tmp_path, monkeypatch):
    trader = network.traders[2]
    monkeypatch.setattr(proof_keeper, "FOLDER", tmp_path)
    trio.run(run_examples, network, trader, tmp_path / f"0x{trader.address.hex()}-0.json")


@pytest.mark.slow
def test_what_the_pages_say_can_be_typed(network, tmp_path):
    with network.client(1, network.traders[1]) as maker:
        price_usd = int(maker.ticker(MARKET).mark_price_usd * Decimal("1.01"))
        offer = maker.sell(MARKET, "0.01", price_usd).order
        printed = type_pages(network, tmp_path)
        assert offer.order_id not in [order.order_id for order in maker.open_orders()]
    assert "filled" in printed["README.md"] and "bid-1" in printed["docs/trade.md"]


@pytest.mark.slow
def test_a_follower_prints_the_blocks_that_the_validators_certified(network):
    ports = network._ports.choose(31_500, 2)
    addresses = start_public_hosts(network.folder, ports, network.processes)
    logs = [network.folder / f"node{index}" / "public.txt" for index in range(2)]
    for log in logs:
        wait_until(lambda log=log: "public.feed number=" in log.read_text(), 60, f"{log} is linked to its validator")
    command = [
        sys.executable,
        "-m",
        "validator",
        "follow",
        "--json",
        "--blocks",
        str(FOLLOWED_BLOCKS),
        "--from-height",
        "3",
    ]
    command += ["--genesis", str(network.folder / "node0" / "genesis.toml"), "--bootstrap", addresses[1]]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert ended.returncode == 0, ended.stderr
    blocks = [json.loads(line) for line in ended.stdout.splitlines()]
    assert [block["height"] for block in blocks] == list(range(3, 3 + FOLLOWED_BLOCKS))
    for block in (blocks[0], blocks[-1]):
        assert len(block["signers"]) >= 3
        assert network.header(2, block["height"])["header_hash"] == block["hash"]


def test_ccxt_trades_through_the_gateway_and_goes_on_when_its_node_is_killed(network, tmp_path):
    """`ccxt.deribit` and `ccxt.pro.deribit`, unmodified: markets, prices, account, orders, feeds, fills, history."""
    trader = network.traders[2]
    with running_gateway(network, trader, tmp_path) as place:
        answers = drive_sync(place)
        account = network.client(1, trader).account()
        assert answers["refused"] and answers["balance"]["USDC"]["total"] == float(account.equity)
        assert answers["ticker"]["symbol"] == answers["book"]["symbol"] == SYMBOL
        asyncio.run(drive_pro(network, place))
        kept = wait_until(lambda: list((tmp_path / "proofs").glob("0x*-0.json")), 60, "a proof of the account")
        assert json.loads(kept[0].read_text())["owner"] == "0x" + trader.address.hex()


def test_a_killed_validator_is_not_missed_and_votes_again_after_its_restart(network):
    victim, others = 3, [0, 1, 2]
    signed_before = network.header(0, network.height(0))
    network.kill_node(victim)
    killed_at = network.height(0)
    resting, taken = trade(network, maker_node=0, taker_node=1, label=8)
    assert resting.order.state == "open" and taken.order.state == "filled"
    wait_until(lambda: network.height(0) >= killed_at + 20, 60, "progress without the fourth")
    network.start_node(victim)
    wait_until(lambda: network.height(victim) >= killed_at + 20, 120, "the restarted node catches up")

    def signs_again() -> bool:
        certificate = network.client(0).certificate()
        return certificate["height"] > killed_at + 20 and victim in certificate["signers"]

    wait_until(signs_again, 60, "its signature in a certificate")
    assert common_headers(network, [*others, victim], max(1, killed_at - 20)) > 20
    assert signed_before["header"] == network.header(victim, signed_before["height"])["header"]


def test_an_api_process_that_is_killed_stops_no_block_and_comes_back(network):
    """The command that it passed on before is not executed again when it is sent to the new one."""
    trader = network.traders[2]
    record, name = sign_resting(network, trader)
    network.client(0).call("public/x_submit", command=record, x_wait="received")
    process = network.find_api_process(0)
    os.kill(process, signal.SIGKILL)
    height = network.height(1)
    wait_until(lambda: network.height(1) > height + 10, 30, "blocks go on")
    wait_until(lambda: network.find_api_process(0) not in (None, process), 60, "another API process")
    wait_until(lambda: not network.status(0)["is_syncing"], 60, "it is where the node is")
    wait_until(lambda: network.client(0).command_status(name)["is_final"], 20, "the result")
    network.client(0).call("public/x_submit", command=record, x_wait="received")
    height = network.height(0)
    wait_until(lambda: network.height(0) > height + 5, 20, "blocks that could hold it again")
    assert len(network.client(0, trader).open_orders()) == 1
    assert network.client(0, trader).cancel_all().count == 1


def test_an_api_process_ends_with_its_node_and_makes_room_for_the_next(network):
    process = network.find_api_process(2)
    node = network.nodes.pop(2)
    os.kill(node.process.pid, signal.SIGKILL)  # the node alone, not its group
    node.process.wait()
    wait_until(lambda: not Path(f"/proc/{process}").exists(), 20, "the API process has seen its node end")
    network.processes.stop(node)
    network.start_node(2)
    wait_until(lambda: not network.status(2)["is_syncing"], 90, "the node and its API are back")
    assert network.find_api_process(2) not in (None, process)


def test_a_voting_key_moves_to_a_signer_and_no_copy_of_either_votes_twice(network):
    SignerDrill(network, index=1).run()


def test_money_is_conserved_to_the_unit(network):
    wait_until(lambda: network.client(1).certificate(), 10, "a certificate")
    header = Header.decode(bytes.fromhex(network.client(1).certificate()["header"][2:]))
    words = Commitment.decode(header.commitment)
    claims = int.from_bytes(words.account_sums[:16], "big")
    debt = int.from_bytes(words.account_sums[16:], "big")
    deposits_quote = TRADER_COUNT * DEPOSIT_QUOTE + DEFAULT_TERMS.insurance_quote + PAGES_DEPOSIT_QUOTE
    assert claims - debt + words.withdrawals_total_quote == deposits_quote
    escrow_quote = network.settlement.token_balance(address_bytes(network.config.contract))
    assert escrow_quote == deposits_quote - 1_234_567_890


def test_all_nodes_killed_at_once_continue_where_they_were(network):
    height = network.height(0)
    position = network.client(0, network.traders[0]).account().positions[0].size_base
    for index in range(NODE_COUNT):
        network.kill_node(index)
    for index in range(NODE_COUNT):
        network.start_node(index)
    for index in range(NODE_COUNT):  # each has an API of its own, which begins in its own time
        wait_until(lambda node=index: network.height(node) > height + 3, 120, f"node {index} goes on")
    assert network.client(2, network.traders[0]).account().positions[0].size_base == position
    assert common_headers(network, list(range(NODE_COUNT)), max(1, height - 5)) > 5


def test_a_validator_that_contradicts_itself_is_convicted_on_chain_and_starts_no_more(network):
    """A stranger with the keys of node 3 tells node 0 alone that a view is given up and final at once."""
    liar = 3
    network.kill_node(liar)
    court = Court(network.chain.rpc_url, network.config.court)
    assert court.convictions() == []
    keys = load_keys(homes.node_home(network.folder, liar).keys)
    members = [
        MemberAddress(index, bytes.fromhex(entry.network_key), peer.host, peer.port)
        for index, (entry, peer) in enumerate(
            zip(network.config.validators, load_node(homes.node_home(network.folder, liar).config).peers)
        )
    ]
    # A view that began long enough after its end: the node never voted in it, so this is the only lie.
    height = network.height(0)
    wait_until(lambda: network.height(0) > height + 30, 60, "blocks without it")
    view = network.client(0).certificate()["view"] + 1
    state = HelloState(network.height(0), view, network.config.exchange_params().digest())
    domain = compute_domain(network.config.chain_id, address_bytes(network.config.contract))
    votes = [
        Vote(kind, 1, state.view, named, liar, crypto.sign(keys.bls, vote_digest(domain, kind, 1, state.view, named)))
        for kind, named in ((NULLIFY, ZERO_HASH), (FINALIZE, b"x" * 32))
    ]

    async def lie() -> None:
        async with open_committee(
            seed=keys.network, me=liar, members=members, network_id=network.config.digest(), listen_host="127.0.0.1",
            hello=lambda: state,
        ) as committee:  # fmt: skip
            with trio.fail_after(20):
                while not all(committee.send(0, Consensus(vote)) for vote in votes):
                    await trio.sleep(0.1)
            await trio.sleep(1)

    trio.run(lie)
    wait_until(lambda: court.is_culprit(1, liar), 60, "a conviction")
    (conviction,) = court.convictions()
    operator = address_bytes(network.config.validators[liar].operator)
    assert (conviction.member, conviction.operator, conviction.offence) == (liar, operator, 3)

    for index in (0, 1, 2):  # gossip: also who heard no lie knows
        url = f"{network.urls[index]}/api/v2/public/x_get_evidence"
        wait_until(lambda url=url: httpx.get(url).json()["result"][0]["is_in_court"], 30, f"node{index} knows")
    show = [sys.executable, "-m", "validator", "evidence", "show", "--json"]
    show += ["--home", str(homes.node_home(network.folder, 1).path)]
    (case,) = json.loads(subprocess.run(show, capture_output=True, text=True, timeout=60, check=True).stdout)
    assert [culprit["index"] for culprit in case["culprits"]] == case["court"]["guilty"] == [liar]
    assert [known["is_genuine"] for known in case["statements"]] == [True, True]

    height = network.height(0)
    network.start_node(liar)
    process = network.nodes.pop(liar).process
    assert process.wait(timeout=120) == 3  # the others tell it what its key has signed
    wait_until(lambda: network.height(0) > height + 5, 60, "the others go on")
    with httpx.Client() as client:
        uptime = client.get(f"{network.urls[0]}/api/v2/public/x_get_uptime").json()["result"]
    assert [entry["index"] for entry in uptime["validators"]] == [0, 1, 2, 3]
    assert all(entry["signed"] > 0 for entry in uptime["validators"][:3])


def test_when_the_committee_is_gone_a_saved_proof_takes_the_money_out(network, tmp_path):
    """The last test: nobody comes back after it."""
    trader = network.traders[1]
    for index in sorted(network.nodes)[1:]:
        network.kill_node(index)
    # One of four is no quorum: what it has is the last that was certified, whether or not it is on chain yet.
    proof = network.client(0, trader).proof()
    network.kill_node(0)
    saved, key = tmp_path / "proof.json", tmp_path / "gas.key"
    saved.write_text(json.dumps(proof.raw))
    key.write_text(trader.key.hex())
    escape = [sys.executable, "-m", "contracts.escape_tool", "--rpc", network.chain.rpc_url]
    escape += ["--contract", network.config.contract, "--proof", str(saved), "--key", str(key)]
    early = subprocess.run(escape, capture_output=True, text=True, timeout=60)
    assert early.returncode == 1 and not network.settlement.is_frozen(), early
    for method, params in (("evm_increaseTime", [25 * 3600]), ("evm_mine", [])):
        call = {"jsonrpc": "2.0", "id": 1, "method": method, "params": params}
        assert "result" in httpx.post(network.chain.rpc_url, json=call).json()
    before_quote = network.settlement.token_balance(trader.address)
    done = subprocess.run(escape, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    paid_quote = network.settlement.token_balance(trader.address) - before_quote
    assert paid_quote == int(proof.claims.scaleb(6)) > 0
    assert network.settlement.is_frozen() and network.settlement.is_escaped(proof.raw["index"])
    subprocess.run(escape, capture_output=True, text=True, timeout=60)
    assert network.settlement.token_balance(trader.address) - before_quote == paid_quote
