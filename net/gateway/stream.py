"""The messages of one channel: numbered, and the last of them kept for whoever comes back.

A number is one above that of the message before. The first of a stream is the time in microseconds when it began, so
that the numbers of another stream, of this node or of another, are not taken for its own.
"""

import time
from collections import deque
from typing import Protocol

from net.gateway.channel import Channel
from net.gateway.sending import SharedText
from net.gateway.sources import Source
from net.gateway.wire import notification_text

KEPT_MESSAGES, KEPT_BYTES = 256, 256 * 1024


class Subscriber(Protocol):
    """Whoever takes text without ever making the hub wait."""

    @property
    def has_unsent(self) -> bool:
        """Whether something that it took has not left yet."""

    def push(self, text: str) -> None: ...


class Stream:
    """See the module's text."""

    def __init__(self, channel: Channel, source: Source) -> None:
        self.channel = channel
        self.source = source
        self.subscribers: dict[Subscriber, None] = {}  # ordered, unlike a set
        self.left_s = 0.0  # when the last subscriber left
        self._last = time.time_ns() // 1000
        self._kept: deque[str] = deque()
        self._kept_bytes = 0

    def can_wait(self) -> bool:
        """Whether news is better told later and together: most of those who listen have not been sent yet what they
        were told, so more would make them late, or nobody listens. A few who do not read decide nothing for the others.
        """
        waiting_count = sum(subscriber.has_unsent for subscriber in self.subscribers)
        return not self.subscribers or 2 * waiting_count > len(self.subscribers)

    def flush(self) -> None:
        """Tells what has waited."""
        self.source.is_held = False
        for data in self.source.flush():
            self.push(data)

    def push(self, data: object) -> None:
        """To everybody."""
        self._last += 1
        text = SharedText(notification_text(self.channel.name, data, self._last))
        self._keep(text)
        for subscriber in list(self.subscribers):
            subscriber.push(text)

    def _keep(self, text: str) -> None:
        self._kept.append(text)
        self._kept_bytes += len(text)
        while len(self._kept) > KEPT_MESSAGES or self._kept_bytes > KEPT_BYTES:
            self._kept_bytes -= len(self._kept.popleft())

    def greet(self, subscriber: Subscriber) -> None:
        """What a newcomer needs, with the number of the last message that it contains."""
        for item in self.source.again():
            subscriber.push(notification_text(self.channel.name, item, self._last))

    def resume(self, subscriber: Subscriber, seen: int) -> bool:
        """Everything after the message of a number; False, and nothing, if that is not here any more."""
        missed_count = self._last - seen
        if not 0 <= missed_count <= len(self._kept):
            return False
        for text in list(self._kept)[len(self._kept) - missed_count :]:
            subscriber.push(text)
        return True
