"""Catching up believes nothing but certificates, parent hashes and its own execution; answering costs bounded work."""

from dataclasses import replace

import pytest
import trio

from consensus.messages import encode_message
from engine.commands import BUY, PLACE, POST_ONLY
from net.wire import RANGE_RESPONSE_BYTES_TARGET, RangeBlock, RangeRequest, RangeResponse, encode_frame
from tests.validator.chainlet import (
    DOMAIN,
    GENESIS,
    GENESIS_STATE,
    MARK_TICKS,
    MEMBERS,
    NETWORK_KEYS,
    PARAMS,
    SEPARATOR,
    Chainlet,
    certify,
    seal,
    sign,
)
from validator import catchup
from validator.batches import BatchPool
from validator.catchup import RangeSync, answer_range
from validator.executor import Executor
from validator.store import Store


@pytest.fixture(scope="module")
def history():
    """Six blocks, four of them with a batch each."""
    chain = Chainlet()
    blocks = [RangeBlock(chain.fund(), ())]
    for sequence in range(1, 5):
        ticks = MARK_TICKS - sequence
        order = sign(0, PLACE, sequence, side=BUY, time_in_force=POST_ONLY, price_ticks=ticks, size_lots=1)
        sealed = seal(1, sequence, [order.encode()])
        blocks.append(RangeBlock(chain.add([sealed]), (sealed.batch,)))
    blocks.append(RangeBlock(chain.add([]), ()))
    return tuple(blocks)


@pytest.fixture(autouse=True)
def short_patience(monkeypatch):
    monkeypatch.setattr(catchup, "RESPONSE_TIMEOUT_S", 0.2)


class Laggard:
    """A node at genesis whose peers answer as told: `answers[peer]` is a response, or None for silence."""

    def __init__(self, answers) -> None:
        self.pool = BatchPool(MEMBERS)
        self.executor = Executor(PARAMS, self.pool, GENESIS.hash(), GENESIS_STATE)
        self.answers, self.kept, self.blamed, self.asked = answers, [], [], []
        self.sync = RangeSync(
            executor=self.executor, pool=self.pool, network_keys=NETWORK_KEYS, domain=DOMAIN,
            domain_separator=SEPARATOR, is_genuine=lambda certificate: len(certificate.signers()) >= 3,
            request=self._request, peers=lambda: sorted(self.answers), keep=self._keep, accept=self._accept,
        )  # fmt: skip

    def _request(self, peer, request) -> bool:
        self.asked.append((peer, request.from_height))
        answer = self.answers[peer]
        for other, unasked in self.answers.items():
            if other != peer and unasked is not None:
                self.sync.on_response(other, unasked)  # nobody asked: must not take the slot
        if answer is not None:
            self.sync.on_response(peer, answer)
        return True

    def _keep(self, checked) -> None:
        self.kept.append(checked.batch_hash)
        self.pool.add_named(checked)

    def _accept(self, response) -> None:
        for entry in response.blocks:
            assert self.executor.execute(entry.block) == entry.block.header.commitment
            self.executor.finalise(entry.block.hash())

    async def run(self) -> None:
        with trio.move_on_after(60):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self.sync.run, lambda peer, reason: self.blamed.append((peer, reason)))
                self.sync.start()
                await trio.testing.wait_all_tasks_blocked()
                while self.sync.is_active:
                    await trio.sleep(0.01)
                nursery.cancel_scope.cancel()


async def test_a_laggard_takes_a_whole_range(history):
    laggard = Laggard({2: RangeResponse(history, certify(history[-1].block))})
    await laggard.run()
    assert laggard.executor.final.height == 6 and len(laggard.kept) == 4 and laggard.blamed == []


@pytest.mark.parametrize("kind", ["batches missing", "batch forged", "unnamed batch", "gap", "other certificate"])
async def test_an_answer_that_does_not_hold_is_blamed_and_harms_nobody(history, kind):
    blocks, certificate = list(history), certify(history[-1].block)
    if kind == "batches missing":
        blocks[2] = RangeBlock(blocks[2].block, ())
    elif kind == "batch forged":
        blocks[2] = RangeBlock(blocks[2].block, (replace(blocks[2].batches[0], signature=bytes(64)),))
    elif kind == "unnamed batch":
        blocks[2] = RangeBlock(blocks[2].block, blocks[3].batches)
    elif kind == "gap":
        del blocks[2]
    else:
        certificate = certify(history[2].block)
    laggard = Laggard({1: RangeResponse(tuple(blocks), certificate), 2: None})
    await laggard.run()
    assert laggard.executor.final.height == 0 and [peer for peer, _ in laggard.blamed] == [1]
    laggard.answers[2] = RangeResponse(history, certify(history[-1].block))
    await laggard.run()
    assert laggard.executor.final.height == 6


async def test_answers_nobody_asked_for_do_not_starve_the_asked_one(history):
    honest = RangeResponse(history, certify(history[-1].block))
    laggard = Laggard({1: RangeResponse((), None), 2: honest, 3: RangeResponse((), None)})
    await laggard.run()
    assert laggard.executor.final.height == 6


async def test_silent_peers_are_asked_once_and_then_left_alone():
    laggard = Laggard({1: None, 2: None, 3: None})
    await laggard.run()
    assert len(laggard.asked) == 3 and not laggard.sync.is_active


def test_an_answer_ends_at_a_certificate_of_its_own(tmp_path, history):
    store = Store(tmp_path / "blocks.sqlite")
    top = certify(history[3].block)
    for height, entry in enumerate(history, start=1):
        direct = certify(entry.block) if height in (4, 6) else top
        store.put_final(entry.block, direct)
        for batch in entry.batches:
            store.put_batch(batch.hash(), batch.author, batch.sequence, batch.encode())
    answer = answer_range(store, RangeRequest(2, 4))
    assert [entry.block.header.height for entry in answer.blocks] == [2, 3, 4]
    assert answer.certificate.header_hash == history[3].block.hash()
    assert len(encode_frame(answer)) < RANGE_RESPONSE_BYTES_TARGET
    assert answer_range(store, RangeRequest(7, 64)) == RangeResponse((), None)
    assert encode_message(answer.blocks[0].block) == encode_message(history[1].block)
