"""`python -m testnet.faults.router`: the wide area between network namespaces, as one process.

Each namespace has a TUN device through which it reaches the others; this process holds the other end of all of them,
and carries every IP packet from one to another through the weather of that direction. Kernels for containers often lack
netem; a TUN device is nearly always there, and what TCP sees is the same: packets that come late or not at all.

Lines of JSON. In first: `{"devices": [name], "addresses": [IPv4], "weather": {...}, "seed": n}`, answered by `{"ready":
true}` once the devices exist (whoever asked moves them into the namespaces). Then `{"weather": {...}, "from": [index],
"to": [index]}` and `{"counters": true}`, answered by what was carried. Ends when its input ends.
"""

import fcntl
import heapq
import json
import os
import random
import select
import socket
import struct
import sys
import time
from typing import Any

from testnet.faults.weather import Direction, Weather

TUN_PATH = "/dev/net/tun"
_TUNSETIFF = 0x400454CA
_IFF_TUN, _IFF_NO_PI = 0x0001, 0x1000
_PACKET_BYTES_MAX = 65_535
_READS_AT_ONCE = 64
_IP_VERSION_4 = 4
# A delay is kept only if this process runs when a packet is due, on a machine that runs the validators, too.
_NICENESS = -15


def open_device(name: str) -> int:
    """A TUN device of that name in our namespace; it follows its descriptor wherever it is moved."""
    descriptor = os.open(TUN_PATH, os.O_RDWR | os.O_NONBLOCK)
    fcntl.ioctl(descriptor, _TUNSETIFF, struct.pack("16sH", name.encode(), _IFF_TUN | _IFF_NO_PI))
    return descriptor


class Router:
    """All directions of all lines, and the packets that are on their way."""

    def __init__(self, devices: list[int], addresses: list[str], weather: Weather, seed: int) -> None:
        self._devices = devices
        self._index_of = {socket.inet_aton(address): index for index, address in enumerate(addresses)}
        self.directions = [
            [Direction(weather, random.Random(f"{seed}/{start}/{end}")) for end in range(len(devices))]
            for start in range(len(devices))
        ]
        self._flying: list[tuple[float, int, int, bytes]] = []
        self._count = 0
        self.late_ms_max = 0.0

    def take(self, start: int, packet: bytes, now_s: float) -> None:
        """A packet that a namespace has sent."""
        end = self._index_of.get(packet[16:20]) if packet[0] >> 4 == _IP_VERSION_4 else None
        if end is None:
            return  # multicast and the like
        due_s = self.directions[start][end].find_due_s(now_s)
        if due_s is not None:
            self._count += 1
            heapq.heappush(self._flying, (due_s, self._count, end, packet))

    def release(self, now_s: float) -> float | None:
        """Hand over what is due; seconds until the next is."""
        flying = self._flying
        while flying and flying[0][0] <= now_s:
            due_s, _, end, packet = heapq.heappop(flying)
            self.late_ms_max = max(self.late_ms_max, (now_s - due_s) * 1000)
            try:
                os.write(self._devices[end], packet)
            except OSError:
                self.directions[end][end].dropped += 1  # its namespace is going down
        return flying[0][0] - now_s if flying else None

    def read(self, start: int, now_s: float) -> None:
        """What a device has for us."""
        for _ in range(_READS_AT_ONCE):
            try:
                packet = os.read(self._devices[start], _PACKET_BYTES_MAX)
            except OSError:
                return  # nothing more, or not up yet
            self.take(start, packet, now_s)

    def change(self, weather: Weather, starts: list[int], ends: list[int]) -> None:
        for start in starts:
            for end in ends:
                self.directions[start][end].weather = weather

    def describe(self) -> dict[str, Any]:
        """Packets carried and dropped in each direction, and the longest that one was handed over too late; that
        begins anew with each answer.
        """
        late_ms, self.late_ms_max = self.late_ms_max, 0.0
        carried = [[direction.carried for direction in row] for row in self.directions]
        dropped = [[direction.dropped for direction in row] for row in self.directions]
        return {"carried": carried, "dropped": dropped, "late_ms": late_ms, "cpu_s": time.process_time()}


def obey(router: Router, message: dict[str, Any]) -> dict[str, Any]:
    """The answer to one line."""
    if "weather" in message:
        router.change(Weather(**message["weather"]), message["from"], message["to"])
    return router.describe()


def run(router: Router, devices: list[int]) -> None:
    """Until the input ends."""
    poll = select.epoll()
    poll.register(0, select.EPOLLIN)
    places = {descriptor: index for index, descriptor in enumerate(devices)}
    for descriptor in devices:
        poll.register(descriptor, select.EPOLLIN)
    buffer = b""
    while True:
        wait_s = router.release(time.monotonic())
        for descriptor, _ in poll.poll(wait_s):
            if descriptor in places:
                router.read(places[descriptor], time.monotonic())
                continue
            data = os.read(0, _PACKET_BYTES_MAX)
            if not data:
                return
            *lines, buffer = (buffer + data).split(b"\n")
            for line in lines:
                say(obey(router, json.loads(line)))


def say(message: dict[str, Any]) -> None:
    os.write(1, json.dumps(message).encode() + b"\n")


def main() -> int:
    first = json.loads(os.read(0, _PACKET_BYTES_MAX))
    os.setpriority(os.PRIO_PROCESS, 0, _NICENESS)
    devices = [open_device(name) for name in first["devices"]]
    say({"ready": True})
    run(Router(devices, first["addresses"], Weather(**first["weather"]), first["seed"]), devices)
    return 0


if __name__ == "__main__":
    sys.exit(main())
