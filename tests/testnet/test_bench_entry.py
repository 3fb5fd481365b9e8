"""What a client of `make bench-net` believes of its own messages: each is refused, done or under way, once."""

import numpy as np

from net.client.socket import Socket
from net.order_frames import OUTCOME_ROW, RECEIPT_ROW, Orders, Outcomes, Receipts
from testnet.bench_net.accounts import derive_traders
from testnet.bench_net.entry import is_final
from testnet.bench_net.frame_entry import FrameEntry
from testnet.bench_net.signing import sign_messages
from testnet.bench_net.tally import Tally


class Line:
    """The other end of a `Socket`, in memory: what was sent, and what is to be received before it ends."""

    def __init__(self) -> None:
        self.sent: list[bytes] = []
        self.answers: list[bytes] = []

    async def send(self, data: bytes) -> bool:
        self.sent.append(data)
        return True

    async def receive(self) -> bytes | None:
        return self.answers.pop(0) if self.answers else None


async def test_a_message_is_done_when_a_block_names_it_and_refused_when_its_receipt_says_so() -> None:
    signed = sign_messages(derive_traders(0, [0]), 30, 100, bytes(32), 1_000)
    line, tally = Line(), Tally(0.0, 1e18)
    socket: Socket = line  # type: ignore[assignment]
    entry = FrameEntry(socket, signed, tally, lambda: None)
    await entry.send(np.arange(30))
    frames = [Orders.decode(data) for data in line.sent]
    assert [frame.tag for frame in frames] == [1, 2, 3]
    assert b"".join(frame.messages for frame in frames) == signed.records.tobytes()
    assert (tally.sent, entry.outstanding) == (30, 30)

    per_frame = len(frames[0].messages) // signed.records.shape[1]
    rows = np.zeros(per_frame, RECEIPT_ROW)
    rows["message_id"] = signed.ids[:per_frame]
    rows["code"][1] = 103
    line.answers.append(Receipts(1, 0, rows, bytes(64)).encode())
    line.answers.append(Receipts(2, 13_000, np.empty(0, RECEIPT_ROW), b"").encode())
    done = np.concatenate((signed.ids[:1], signed.ids[2:per_frame]))
    for _ in range(2):  # told again after a reconnect
        line.answers.append(Outcomes(7, 1_000, done, np.zeros(0, OUTCOME_ROW)).encode())
    await entry.receive()
    assert tally.done == len(tally.latencies_s) == per_frame - 1
    assert dict(tally.codes) == {103: 1, 13_000: per_frame}
    assert entry.outstanding == tally.outstanding == 30 - 2 * per_frame


def test_only_a_blocks_verdict_is_final() -> None:
    assert is_final({"result": {"x_is_final": True}})
    assert is_final({"error": {"code": 11_029, "data": {"x_is_final": True}}})
    assert not is_final({"error": {"code": 10_028}})
    assert not is_final({"result": {"x_is_final": False}})
