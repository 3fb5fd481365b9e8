"""`python -m tests.net.fuzz_wire`, `make fuzz-wire`: every decoder of bytes that strangers send, on damaged good bytes.

A decoder may answer, or raise its own error; anything else, or an answer that takes longer than `SLOW_S`, is a finding
and printed with the bytes. What a link's decoder answers must be spelled again exactly as it came.
"""

import argparse
import json
import random
import secrets
import sys
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from consensus.messages import FINALIZE, Certificate
from engine.commands import CANCEL_ALL, Command
from engine.payload import DecodeError as PayloadDecodeError
from engine.payload import Payload
from net.feed.orders import Judged, Submission
from net.feed.protocol import FeedError, Subscribe, decode_feed, encode_feed
from net.feed.questions import BY_ID, BY_LABEL, BY_NONCE, Question, Told
from net.framing import FrameSplitter
from net.gateway.backend import CommandResult, Status
from net.gateway.wire import RequestError, parse_named_request, parse_request
from net.order_frames import RECEIPT_ROW, FrameError, Orders, decode_answer, refuse
from net.public import messages as public
from net.public.messages import PublicError
from net.wire import HEADER_BYTES, FrameType, WireError, decode_frame, encode_frame
from testnet.hostile.frames import FrameSource
from validator.payloads import decode_payload

SLOW_S = 2.0
# What a frame of the link costs is paid for by a budget; a bound on its decoding keeps that true.
FINDINGS_MAX = 20
HOSTILE_ITEMS = (
    b"\x9f", b"\xbf", b"\x5f", b"\xdb" + b"\xff" * 8, b"\x9b" + b"\x7f" * 8, b"\x81" * 300, b"\xfb\x7f\xf0" + bytes(6),
    b"\xc2\x49" + b"\x01" * 9, b"\xd8\x1c", b"\xd8\x1d\x00", b"\xf7", b"[" * 400, b'"\\ud800"', b"1e999999",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Target:
    """`draw` makes good bytes, `decode` reads them and may check what it has read; `errors` are its own."""

    name: str
    draw: Callable[[random.Random], bytes]
    decode: Callable[[bytes], object]
    errors: tuple[type[Exception], ...]


def damage(draw: random.Random, data: bytes, other: bytes) -> bytes:
    """One of the ways in which bytes go wrong: by chance, and by somebody who knows the encoding."""
    body = bytearray(data)
    at = draw.randrange(len(body) + 1)
    match draw.randrange(8):
        case 0:
            return bytes(body[:at])
        case 1:
            body += draw.randbytes(draw.randint(1, 40))
        case 2 if body:
            for _ in range(draw.randint(1, 8)):
                body[draw.randrange(len(body))] ^= 1 << draw.randrange(8)
        case 3:
            body[at:at] = draw.randbytes(draw.randint(1, 9))
        case 4:
            del body[at : at + draw.randint(1, 9)]
        case 5:
            body[at:] = other[draw.randrange(len(other) + 1) :]
        case 6:
            body[at:at] = draw.choice(HOSTILE_ITEMS)
        case _:
            body[at : at + 8] = draw.choice((b"\xff" * 8, bytes(8), *HOSTILE_ITEMS))
    return bytes(body)


def _spelled_again(kind: FrameType) -> Callable[[bytes], object]:
    def decode(body: bytes) -> object:
        frame = decode_frame(kind, body)
        assert encode_frame(frame)[HEADER_BYTES:] == body, "accepted another spelling"
        return frame

    return decode


def _source(draw: random.Random) -> FrameSource:
    return FrameSource(draw, height=50, view=70)


def _draw_json(draw: random.Random) -> bytes:
    params = {"command": "0x00", "n": 1.5}
    call = {"jsonrpc": "2.0", "id": draw.randrange(9), "method": "public/x_submit", "params": params}
    return json.dumps(call).encode()


def _draw_run(draw: random.Random) -> bytes:
    block = _source(draw).block()
    header = block.header._replace(view=max(1, block.header.view))
    bitmap, signature = draw.randbytes(1), draw.randbytes(96)
    certificate = Certificate(FINALIZE, header.epoch, header.view, header.hash(), bitmap, signature)
    return public.encode_run(public.Run((public.Item(header, block.payload),), certificate))


def _draw_payload(draw: random.Random) -> bytes:
    refs = tuple((draw.randrange(4), draw.randint(1, 1 << 40), draw.randbytes(32)) for _ in range(draw.randrange(5)))
    return Payload(refs, (_source(draw).report(),), (), draw.randrange(1 << 30)).encode()


def _draw_bundle(draw: random.Random) -> bytes:
    return public.encode_bundle([_source(draw).batch().encode()])


def _draw_request(draw: random.Random) -> bytes:
    return public.encode_request(draw.getrandbits(40), 16, 1)


def _draw_submission(draw: random.Random, message: bytes) -> bytes:
    return Submission(draw.getrandbits(64), draw.random() < 0.5, message).encode()[4:]


def _draw_verdict(draw: random.Random) -> bytes:
    count = draw.randrange(4)
    rows = np.zeros(count, RECEIPT_ROW)
    return Judged(7, 0, rows, np.ones(count, np.int64), np.zeros(count, np.bool_), bytes(64 * bool(count))).encode()[4:]


def _draw_question(draw: random.Random) -> bytes:
    kind = draw.choice((BY_ID, BY_NONCE, BY_LABEL))
    return Question(9, kind, draw.randbytes(32), draw.randbytes(20), 1, 7).encode()[4:]


def _cut(data: bytes) -> object:
    return FrameSplitter().feed(data)


def list_targets() -> list[Target]:
    """Every decoder of bytes from outside this process but the contracts' (`make fuzz-contracts`)."""
    message = Command.of(CANCEL_ALL, bytes(20), 1, 1).encode()
    link = [
        Target(
            f"link {kind.name}", lambda draw, kind=kind: encode_frame(_source(draw).frame(kind))[HEADER_BYTES:],
            _spelled_again(kind), (WireError,),
        )
        for kind in FrameType
    ]  # fmt: skip
    orders = Orders(7, 1, message).encode()
    proof = public.encode_committee(public.CommitteeProof(b"", (), None))
    peers = public.encode_peers(["/ip4/127.0.0.1/tcp/1"])
    told = Told(3, (CommandResult(bytes(32), Status.EXECUTED, filled_lots=2, height=7),) * 2).encode()[4:]
    own, strange = (PayloadDecodeError, ValueError), (PublicError,)
    return [
        *link,
        Target("link stream", lambda draw: encode_frame(_source(draw).any_frame()), _cut, (WireError,)),
        Target("payload", _draw_payload, decode_payload, own),
        Target("orders", lambda _: orders, Orders.decode, (FrameError,)),
        Target("answers to orders", lambda draw: refuse(draw.getrandbits(64), 11), decode_answer, (FrameError,)),
        Target("JSON", _draw_json, parse_request, (RequestError,)),
        Target("named JSON", _draw_json, lambda data: parse_named_request(data, "public/status"), (RequestError,)),
        Target("public blocks", _draw_run, public.decode_run, strange),
        Target("public batches", _draw_bundle, public.decode_bundle, strange),
        Target("public requests", _draw_request, lambda data: public.decode_request(data, 3), strange),
        Target("public peers", lambda _: peers, public.decode_peers, strange),
        Target("public committee", lambda _: proof, public.decode_committee, strange),
        Target("feed", lambda _: encode_feed(Subscribe(1, 1))[4:], decode_feed, (FeedError,)),
        Target("orders socket", lambda draw: _draw_submission(draw, message), Submission.decode, (FeedError,)),
        Target("verdicts", _draw_verdict, Judged.decode, (FeedError,)),
        Target("questions", _draw_question, Question.decode, (FeedError,)),
        Target("answers to questions", lambda _: told, Told.decode, (FeedError,)),
    ]


def try_once(target: Target, draw: random.Random) -> tuple[bool, str]:
    """Whether it was accepted, and what is wrong; empty when nothing is."""
    body = damage(draw, target.draw(draw), target.draw(draw))
    began_s = time.perf_counter()
    try:
        target.decode(body)
        is_accepted = True
    except target.errors:
        is_accepted = False
    except Exception as error:
        return False, f"{target.name}: {error!r} from {body[:400].hex()}"
    elapsed_s = time.perf_counter() - began_s
    return is_accepted, f"{target.name}: {elapsed_s:.1f} s for {body[:400].hex()}" if elapsed_s > SLOW_S else ""


def run(seconds: float, seed: int) -> tuple[Counter[str], Counter[str], list[str]]:
    """Trials and acceptances by decoder, and findings. Every decoder is tried equally often."""
    draw, targets = random.Random(seed), list_targets()
    tried, accepted, findings = Counter[str](), Counter[str](), list[str]()
    give_up_s = time.monotonic() + seconds
    while time.monotonic() < give_up_s and len(findings) < FINDINGS_MAX:
        for target in targets:
            is_accepted, finding = try_once(target, draw)
            tried[target.name] += 1
            accepted[target.name] += is_accepted
            findings += [finding] if finding else []
    return tried, accepted, findings


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.net.fuzz_wire", description=__doc__)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--seed", type=int, default=secrets.randbits(32))
    options = parser.parse_args()
    tried, accepted, findings = run(options.seconds, options.seed)
    for name, count in tried.items():
        print(f"{name:24} {count:8} damaged, {accepted[name]:6} still good")
    for finding in findings:
        print(f"finding (seed {options.seed}): {finding}")
    return 1 if findings else 0


if __name__ == "__main__":
    sys.exit(main())
