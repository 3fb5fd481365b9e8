"""The outbound queue: order by priority, joined writes, a slow stream in parts, bounded room."""

from hypothesis import given
from hypothesis import strategies as st

from net.framing import PART_BYTES_MAX, FrameSplitter, encode_part
from net.link_queue import OutboundQueue
from net.wire import HEADER_BYTES, FrameType, Priority


def test_votes_overtake_orders_and_orders_overtake_sync() -> None:
    queue = OutboundQueue(100, 100)
    for data, priority in ((b"s", Priority.SYNC), (b"o", Priority.ORDERS), (b"v", Priority.AGREEMENT)):
        assert queue.push(data, priority)
    assert queue.take(2000) == (b"vo" + encode_part(b"s"), 3)
    assert queue.take(2000) == (b"", 0)


def test_a_write_is_bounded_but_a_larger_frame_goes_alone() -> None:
    queue = OutboundQueue(100, 100)
    for data in (b"a" * 30, b"b" * 3, b"c" * 3):
        queue.push(data, Priority.ORDERS)
    assert queue.take(8) == (b"a" * 30, 1)
    assert queue.take(8) == (b"bbbccc", 2)


def test_a_write_never_skips_a_frame_for_a_smaller_one_of_lower_priority() -> None:
    queue = OutboundQueue(100, 100)
    queue.push(b"v1", Priority.AGREEMENT)
    queue.push(b"v" * 20, Priority.AGREEMENT)
    queue.push(b"s", Priority.SYNC)
    assert queue.take(10) == (b"v1", 1)


def test_sync_runs_out_of_room_first_and_does_no_harm() -> None:
    queue = OutboundQueue(10, 5)
    assert queue.push(b"12345", Priority.SYNC)
    assert not queue.push(b"6", Priority.SYNC)
    assert not queue.overflowed
    assert queue.push(b"12345", Priority.AGREEMENT)
    assert not queue.push(b"6", Priority.AGREEMENT)
    assert queue.overflowed


def test_a_vote_overtakes_the_rest_of_an_answer() -> None:
    queue = OutboundQueue(1_000_000, 1_000_000)
    queue.push(bytes(300_000), Priority.SYNC)
    first, ended = queue.take(65_507)
    assert (len(first), ended) == (65_507, 0)
    queue.push(b"vote", Priority.AGREEMENT)
    second, ended = queue.take(65_507)
    assert second.startswith(b"vote") and len(second) <= 65_507 and ended == 1


def test_no_part_is_larger_than_a_receiver_takes() -> None:
    queue = OutboundQueue(1_000_000, 1_000_000)
    queue.push(bytes(300_000), Priority.SYNC)
    data, _ = queue.take(1_000_000)
    assert int.from_bytes(data[:4], "big") == PART_BYTES_MAX


def make_frame(size_bytes: int, filler: int) -> bytes:
    return size_bytes.to_bytes(4, "big") + bytes([FrameType.CHUNK]) + bytes([filler]) * size_bytes


@given(
    st.lists(st.tuples(st.integers(0, 5000), st.sampled_from(Priority)), max_size=40),
    st.one_of(st.integers(1, 64), st.integers(1000, 9000)),
)
def test_nothing_is_lost_and_sizes_add_up(sizes: list[tuple[int, Priority]], bytes_max: int) -> None:
    """What the other side's splitter makes of all writes is what was queued, by priority, in order."""
    queue, splitter = OutboundQueue(1_000_000, 1_000_000), FrameSplitter()
    frames = [(make_frame(size, at), priority) for at, (size, priority) in enumerate(sizes)]
    for data, priority in frames:
        assert queue.push(data, priority)
    assert queue.size_bytes == sum(len(data) for data, _ in frames)
    out, ended = [], 0
    while queue.size_bytes:
        data, count = queue.take(bytes_max)
        assert data
        ended += count
        out += splitter.feed(data)
    assert [body for _, body in out] == [data[HEADER_BYTES:] for data, _ in sorted(frames, key=lambda frame: frame[1])]
    assert ended == len(frames)
    assert not queue and splitter.pending_bytes == 0
