"""The bench of the API's readers: frames are cut where they end, and what is beyond noise is called so."""

from collections import Counter

import pytest

from testnet.bench_api.__main__ import judge
from testnet.bench_api.fleet import cut_frames, make_frame


def server_frame(payload: bytes) -> bytes:
    size_bytes = len(payload)
    if size_bytes < 126:
        return bytes([0x81, size_bytes]) + payload
    if size_bytes < 1 << 16:
        return bytes([0x81, 126]) + size_bytes.to_bytes(2, "big") + payload
    return bytes([0x81, 127]) + size_bytes.to_bytes(8, "big") + payload


def test_frames_of_all_lengths_are_cut_wherever_the_stream_is_torn() -> None:
    payloads = [b"", b"a" * 125, b"b" * 126, b"c" * 70_000, b"d"]
    stream = b"".join(server_frame(payload) for payload in payloads)
    for step in (1, 7, 1000, len(stream)):
        buffer, found = bytearray(), []
        for at in range(0, len(stream), step):
            buffer += stream[at : at + step]
            found += cut_frames(buffer)
        assert found == payloads and not buffer


def test_a_clients_frame_is_masked_with_zeros() -> None:
    frame = make_frame(b"x" * 200)
    assert frame[:4] == bytes([0x81, 0xFE, 0, 200]) and frame[4:8] == bytes(4) and frame[8:] == b"x" * 200


@pytest.mark.parametrize(
    ("value_ms", "baseline_ms", "is_met"),
    [(100, 100, True), (125, 100, True), (126, 100, False), (30, 15, True), (36, 15, False)],
)
def test_beyond_noise_is_a_quarter_and_some_milliseconds(value_ms: int, baseline_ms: int, is_met: bool) -> None:
    row = judge("delay", Counter({value_ms: 10}), Counter({baseline_ms: 10}), 99)
    assert (row.is_met, row.ratio) == (is_met, value_ms / baseline_ms)


def test_a_window_in_which_nothing_came_is_no_success() -> None:
    assert judge("delay", Counter(), Counter({5: 1}), 50).is_met is False
