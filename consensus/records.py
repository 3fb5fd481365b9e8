"""The records that the core asks its host to keep: messages in their wire form, and evidence.

A message is `[tag, body]` with a tag from 1 to 4; evidence is `[9, first, second]` with two encoded messages.
"""

import cbor2

from consensus.messages import DecodeError, Message, decode_message

_EVIDENCE_TAG = 9


def encode_evidence(first: bytes, second: bytes) -> bytes:
    return cbor2.dumps([_EVIDENCE_TAG, first, second], canonical=True)


def decode_record(record: bytes) -> Message | tuple[bytes, bytes]:
    """A message, or the two messages of a piece of evidence. Raises `DecodeError` on a record that is neither."""
    try:
        item = cbor2.loads(record)
    except Exception as error:  # cbor2 raises many kinds; a record of ours is never damaged in that way
        raise DecodeError("not CBOR") from error
    if type(item) is list and len(item) == 3 and item[0] == _EVIDENCE_TAG:
        return item[1], item[2]
    return decode_message(record)
