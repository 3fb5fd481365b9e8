"""`python -m testnet.faults.probe OWN OTHER...`: round trips by UDP to each other address, while it echoes theirs.

Says `{"ready": true}`, waits for a line, measures, says `{"rtt_ms": {address: [...]}}`, and goes on echoing until its
input ends.
"""

import argparse
import json
import os
import select
import socket
import struct
import time

PORT = 9_777
_ANSWERS_S_MAX = 2.0
_QUESTION, _ANSWER = 0, 1
_FORM = struct.Struct("<BQ")


class Probe:
    """One socket: questions out, answers to others."""

    def __init__(self, own: str, others: list[str]) -> None:
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind((own, PORT))
        self._socket.setblocking(False)
        self._others = others
        self.rtt_ms: dict[str, list[float]] = {other: [] for other in others}

    def ask_all(self) -> None:
        for other in self._others:
            self._socket.sendto(_FORM.pack(_QUESTION, time.monotonic_ns()), (other, PORT))

    def listen(self, until_s: float) -> bool:
        """Serve until then; False when our input has something or has ended."""
        while (left_s := until_s - time.monotonic()) > 0:
            own = self._socket.fileno()
            readable, _, _ = select.select([own, 0], [], [], left_s)
            if 0 in readable:
                return False
            if own in readable:
                self._take(*self._socket.recvfrom(64))
        return True

    def _take(self, data: bytes, sender: tuple[str, int]) -> None:
        kind, sent_ns = _FORM.unpack(data)
        if kind == _QUESTION:
            self._socket.sendto(_FORM.pack(_ANSWER, sent_ns), sender)
        elif sender[0] in self.rtt_ms:
            self.rtt_ms[sender[0]].append((time.monotonic_ns() - sent_ns) / 1e6)

    @property
    def answers(self) -> int:
        return sum(map(len, self.rtt_ms.values()))


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m testnet.faults.probe", description=__doc__)
    parser.add_argument("own")
    parser.add_argument("others", nargs="+")
    parser.add_argument("--count", type=int, default=100)
    parser.add_argument("--gap-ms", type=float, default=20.0)
    options = parser.parse_args()
    probe = Probe(options.own, options.others)
    os.write(1, b'{"ready": true}\n')
    while probe.listen(time.monotonic() + 60):
        pass
    os.read(0, 4096)
    next_s = time.monotonic()
    for _ in range(options.count):
        probe.ask_all()
        next_s += options.gap_ms / 1000
        probe.listen(next_s)
    give_up_s = time.monotonic() + _ANSWERS_S_MAX
    while probe.answers < options.count * len(options.others) and time.monotonic() < give_up_s:
        probe.listen(time.monotonic() + 0.05)
    os.write(1, json.dumps({"rtt_ms": probe.rtt_ms}).encode() + b"\n")
    while probe.listen(time.monotonic() + 60):
        pass
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
