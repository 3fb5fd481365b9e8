"""A transaction arrives, once, whatever the mempool, the price, other processes and the node do."""

import pytest
from eth_account import Account
from fake_mempool import GWEI, REPLACE_PERCENT, FakeMempool

from contracts.records import ChainError, Refused
from contracts.sender import GIVE_UP_S, PATIENCE_S, Clock, Sender
from contracts.transactions import Fees, sign_transaction

KEY, CHAIN_ID, TO, CALL = b"\x11" * 32, 7, b"\x22" * 20, b"do it"
LIMIT_WEI = 100 * GWEI


@pytest.fixture
def node() -> FakeMempool:
    return FakeMempool()


def make_sender(node: FakeMempool) -> Sender:
    return Sender(node.ask, KEY, CHAIN_ID, limit_max_wei=LIMIT_WEI, clock=Clock(lambda: node.now_s, node.sleep))


def test_the_bytes_are_those_of_the_reference_wallet() -> None:
    from coincurve import PrivateKey

    for to, data, nonce in ((TO, CALL, 0), (b"", b"\x60\x00", 300), (TO, b"", 1 << 40)):
        signed = sign_transaction(PrivateKey(KEY), CHAIN_ID, nonce, Fees(3, 1 << 60), 21_000, to, data)
        fields = {
            "type": 2, "chainId": CHAIN_ID, "nonce": nonce, "maxPriorityFeePerGas": 3, "maxFeePerGas": 1 << 60,
            "gas": 21_000, "to": to, "value": 0, "data": data,
        }  # fmt: skip
        known = Account.sign_transaction(fields, KEY)
        assert (signed.raw, signed.tx_hash) == (bytes(known.raw_transaction), bytes(known.hash))
    assert make_sender(FakeMempool()).address == bytes.fromhex(Account.from_key(KEY).address[2:])


def test_one_is_sent_and_mined(node: FakeMempool) -> None:
    node.on_sleep = [node.mine]
    result = make_sender(node).send(TO, CALL)
    assert (node.executed, result.block_number, result.gas_used) == ([CALL], 0, 21_000)
    assert node.mined[0].tx_hash == result.tx_hash


def test_what_nobody_mines_is_offered_for_more_until_somebody_does(node: FakeMempool) -> None:
    def rise() -> None:
        node.base_wei = 5 * GWEI  # above twice the base fee that the first offer was made for

    node.on_sleep = [rise, *[node.mine] * 300]
    make_sender(node).send(TO, CALL)
    assert node.executed == [CALL]
    assert {item.nonce for item in node.offers} == {0} and len(node.offers) >= 2
    for before, after in zip(node.offers, node.offers[1:]):
        assert 100 * after.tip_wei >= (100 + REPLACE_PERCENT) * before.tip_wei
        assert 100 * after.limit_wei >= (100 + REPLACE_PERCENT) * before.limit_wei
    assert node.now_s >= PATIENCE_S


def test_no_offer_is_above_the_operators_limit(node: FakeMempool) -> None:
    def rise() -> None:
        node.base_wei = 10 * LIMIT_WEI

    node.on_sleep = [rise]
    with pytest.raises(ChainError, match="no block took"):
        make_sender(node).send(TO, CALL)
    assert node.executed == [] and GIVE_UP_S <= node.now_s < 2 * GIVE_UP_S
    assert max(item.limit_wei for item in node.offers) <= LIMIT_WEI
    assert all(item.tip_wei <= item.limit_wei for item in node.offers)


def test_what_is_stuck_before_it_makes_room(node: FakeMempool) -> None:
    """A process of the operator died and left two transactions at a price that nobody takes."""
    other = FakeMempool(base_wei=GWEI // 100)
    for nonce in range(2):
        other.pool[nonce] = node.pool[nonce] = _offer(nonce, b"old", GWEI // 10)
    node.on_sleep = [node.mine] * 300
    make_sender(node).send(TO, CALL)
    assert node.executed == [CALL]
    assert [item.nonce for item in node.mined] == [0, 1, 2]


def test_a_nonce_that_another_process_took_is_left_to_it(node: FakeMempool) -> None:
    def steal() -> None:
        """The node drops ours, and the other process's is mined with its nonce."""
        node.pool = {0: _offer(0, b"theirs", 9 * GWEI)}
        node.mine()

    node.on_sleep = [steal, *[lambda: None] * 30, *[node.mine] * 300]
    make_sender(node).send(TO, CALL)
    assert node.executed == [b"theirs", CALL]


def test_two_processes_that_read_the_same_nonce_both_arrive(node: FakeMempool) -> None:
    first, second = make_sender(node), make_sender(node)
    count = node.ask

    def stale(method: str, params: list) -> object:
        """The second reads the count before the first has sent."""
        if method == "eth_getTransactionCount" and not node.mined:
            return hex(0)
        return count(method, params)

    second._ask = stale
    node.on_sleep = [node.mine]
    first.send(TO, b"first")
    node.on_sleep = [node.mine] * 300
    second.send(TO, b"second")
    assert node.executed == [b"first", b"second"]


def test_a_call_is_executed_once_although_the_node_forgets_and_lags(node: FakeMempool) -> None:
    """It is mined while the receipt is not shown yet: an offer with the next nonce would be a second deposit."""
    receipts, hidden = node._receipt, [True]
    node._receipt = lambda tx_hash: None if hidden[0] else receipts(tx_hash)  # type: ignore[method-assign]

    def show() -> None:
        hidden[0] = False

    sleeps = [node.mine]
    while sum(1 for _ in sleeps) < 22:  # patience ends, the offer is renewed, the node says: nonce too low
        sleeps.append(lambda: None)
    node.on_sleep = [*sleeps, lambda: None, show]
    make_sender(node).send(TO, CALL)
    assert node.executed == [CALL] and len(node.mined) == 1


def test_what_makes_no_sense_any_more_is_given_up(node: FakeMempool) -> None:
    """Another member posted first."""

    def refuse() -> None:
        node.refusal = "checkpoint: height"

    node.on_sleep = [refuse]
    with pytest.raises(Refused, match=r"^checkpoint: height$"):
        make_sender(node).send(TO, CALL)
    assert len(node.offers) == 1


def test_a_refusal_costs_nothing(node: FakeMempool) -> None:
    node.refusal = "deposit: frozen"
    with pytest.raises(Refused, match=r"^deposit: frozen$"):
        make_sender(node).send(TO, CALL)
    assert node.offers == []


def test_a_call_that_fails_in_its_block_is_refused_not_repeated(node: FakeMempool) -> None:
    node.on_sleep, node.fails_in_block = [node.mine], True
    with pytest.raises(Refused, match="reason that is gone"):
        make_sender(node).send(TO, CALL)
    assert len(node.offers) == 1


@pytest.mark.parametrize("deaths", [1, 2, 3, 4])
def test_a_node_that_dies_is_the_worlds_failure(node: FakeMempool, deaths: int) -> None:
    sender = make_sender(node)
    node.deaths_left = deaths
    for _ in range(deaths):
        with pytest.raises(ChainError, match="did not answer"):
            sender.send(TO, CALL)
    node.on_sleep = [node.mine]
    sender.send(TO, CALL)
    assert node.executed == [CALL]


def test_a_call_after_an_unknown_end_replaces_what_may_still_be_there(node: FakeMempool) -> None:
    """The node died after it took the transaction; the next call finds the nonce taken and stands behind it."""
    sender, ask = make_sender(node), node.ask

    def die_after_sending(method: str, params: list) -> object:
        answer = ask(method, params)
        if method == "eth_sendRawTransaction":
            raise ChainError("the settlement chain did not answer: reset")
        return answer

    sender._ask = die_after_sending
    with pytest.raises(ChainError, match="reset"):
        sender.send(TO, b"lost")
    sender._ask = ask
    node.on_sleep = [node.mine]
    sender.send(TO, CALL)
    assert node.executed == [b"lost", CALL]


def _offer(nonce: int, data: bytes, limit_wei: int):
    from coincurve import PrivateKey
    from fake_mempool import Pending

    signed = sign_transaction(PrivateKey(KEY), CHAIN_ID, nonce, Fees(limit_wei // 10, limit_wei), 99_000, TO, data)
    return Pending(nonce, limit_wei // 10, limit_wei, TO, data, signed.tx_hash)
