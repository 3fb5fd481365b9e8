"""The outbound queue: order by priority, large joined writes, bounded room."""

from hypothesis import given
from hypothesis import strategies as st

from net.link_queue import OutboundQueue
from net.wire import Priority


def test_votes_overtake_orders_and_orders_overtake_sync() -> None:
    queue = OutboundQueue(100, 100)
    for data, priority in ((b"s", Priority.SYNC), (b"o", Priority.ORDERS), (b"v", Priority.AGREEMENT)):
        assert queue.push(data, priority)
    assert queue.take(100) == (b"vos", 3)
    assert queue.take(100) == (b"", 0)


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


@given(st.lists(st.tuples(st.binary(min_size=1, max_size=20), st.sampled_from(Priority))), st.integers(1, 64))
def test_nothing_is_lost_and_sizes_add_up(frames: list[tuple[bytes, Priority]], bytes_max: int) -> None:
    queue = OutboundQueue(10_000, 10_000)
    for data, priority in frames:
        queue.push(data, priority)
    assert queue.size_bytes == sum(len(data) for data, _ in frames)
    out = b""
    while queue:
        data, count = queue.take(bytes_max)
        assert count >= 1
        out += data
    assert out == b"".join(data for data, _ in sorted(frames, key=lambda frame: frame[1]))
    assert queue.size_bytes == 0
