"""What the spammer writes by hand is what the library reads: or the spam would be noise, and prove nothing."""

import secrets

from libp2p.pubsub.pb import rpc_pb2
from libp2p.pubsub.validators import signature_validator
from nacl.signing import SigningKey

from testnet.hostile.by_gossip import field, signed_message, subscription, varint, with_length


def parse(frame: bytes) -> rpc_pb2.RPC:
    rpc = rpc_pb2.RPC()
    rpc.ParseFromString(frame)
    return rpc


def test_a_signed_message_is_genuine_to_the_library() -> None:
    key = SigningKey(secrets.token_bytes(32))
    rpc = parse(field(2, signed_message(key, "topic", b"data" * 100, 7)))
    [message] = rpc.publish
    assert message.data == b"data" * 100 and list(message.topicIDs) == ["topic"] and message.seqno[-1] == 7
    assert signature_validator(message)
    message.data += b"!"
    assert not signature_validator(message)


def test_subscriptions_promises_and_questions_are_read() -> None:
    rpc = parse(subscription("blocks") + field(3, field(1, field(1, b"blocks") + field(2, b"id" * 20))))
    assert rpc.subscriptions[0].subscribe and rpc.subscriptions[0].topicid == "blocks"
    assert rpc.control.ihave[0].topicID == "blocks" and len(rpc.control.ihave[0].messageIDs) == 1
    assert len(parse(field(3, field(2, field(2, b"x" * 40)))).control.iwant) == 1


def test_lengths_go_in_front() -> None:
    assert [varint(value) for value in (0, 127, 128, 100_000)] == [b"\0", b"\x7f", b"\x80\x01", b"\xa0\x8d\x06"]
    assert with_length(b"abc") == b"\x03abc"
