"""How fast signed messages become verified actions in arrays: `python -m tests.engine.bench --only signatures`.

Thread CPU time of one core, variants interleaved round by round, medians. The baseline handles one message at a time
with the plain functions of `engine.commands`; signers and ids must be equal, or the figures mean nothing.
"""

from coincurve import PrivateKey

from engine.apply import BatchInput, BlockInput
from engine.commands import (
    BUY,
    PLACE,
    SELL,
    Action,
    Command,
    address_of,
    command_id,
    compute_action_ids,
    keccak,
    recover_address,
    split_messages,
)
from engine.intake import decode_batch, gather, order_actions
from engine.signatures import verify_messages
from tests.engine.bench_row import Row, measure_s, require_equal

ROUNDS = 11
SEPARATOR = keccak(b"bench")
KEYS = [PrivateKey((number + 1).to_bytes(32, "big")) for number in range(64)]
BLOCK_ACTIONS = 5_000


def make_batch(messages: int, actions: int) -> bytes:
    """A batch of quotes: `messages` of many owners with `actions` orders each."""
    made = []
    for number in range(messages):
        key = KEYS[number % len(KEYS)]
        quotes = tuple(
            Action(PLACE, side=(BUY, SELL)[at % 2], market=at % 3, price_ticks=500_000 + at, size_lots=1 + at,
                   client_id=number * 64 + at)
            for at in range(actions)
        )  # fmt: skip
        command = Command(address_of(key.public_key), number + 1, 1 << 50, quotes)
        made.append(command.signed(key, SEPARATOR).encode())
    return b"".join(made)


def verify_plainly(blob: bytes) -> tuple[list[bytes], list[bytes]]:
    signers, ids = [], []
    for record in split_messages(blob):
        command = Command.decode(record)
        name = command_id(command, SEPARATOR)
        signers.append(recover_address.__wrapped__(command.signature, name))
        ids.extend(compute_action_ids(name, len(command.actions)))
    return signers, ids


def verify_at_once(blob: bytes) -> tuple[list[bytes], list[bytes]]:
    verified = verify_messages(*decode_batch(blob), SEPARATOR)
    return [row.tobytes() for row in verified.signers], [row.tobytes() for row in verified.ids]


def decode_plainly(blobs: list[bytes]) -> list[Command]:
    return [Command.decode(record) for blob in blobs for record in split_messages(blob)]


def decode_at_once(blobs: list[bytes]) -> object:
    """Everything between the bytes of a block's batches and the arrays and order its kernel executes."""
    batches = []
    for author, blob in enumerate(blobs):
        messages, actions = decode_batch(blob)
        batches.append(BatchInput(author % 4, author + 1, messages, actions, messages["owner"]))
    intake = gather(tuple(batches))
    return intake, order_actions(BlockInput(1, 1, bytes(32), (), (), 0, tuple(batches)), intake)


def run(rounds: int = ROUNDS) -> list[Row]:
    """Rates of verification, with one action a message and with 20, and the time to decode a block's batches."""
    rows = []
    for name, messages, actions, target in (("1 action", 250, 1, 18_000), ("20 actions", 25, 20, 300_000)):
        blob = make_batch(messages, actions)
        signers, ids = verify_at_once(blob)
        require_equal("signers and ids", (signers, ids), verify_plainly(blob))
        digest = keccak(b"".join(signers + ids)).hex()[:16]
        taken = measure_s({"a": lambda b=blob: verify_at_once(b), "b": lambda b=blob: verify_plainly(b)}, rounds)
        fast_s, slow_s = taken["a"], taken["b"]
        figure = messages * actions / fast_s
        what = f"signatures verified, {name} a message"
        rows.append(Row(what, figure, "actions/s", target, slow_s / fast_s, "one at a time", digest))
    for name, actions in (("1 action", 1), ("20 actions", 20)):
        size = 500 if actions > 1 else 250
        blobs = [make_batch(size // actions, actions)] * (BLOCK_ACTIONS // size)
        taken = measure_s({"a": lambda b=blobs: decode_at_once(b), "b": lambda b=blobs: decode_plainly(b)}, rounds)
        fast_s, slow_s = taken["a"], taken["b"]
        what = f"decoded, judged, ordered: {BLOCK_ACTIONS} actions, {name} a message"
        rows.append(Row(what, fast_s * 1e6, "us", 1_000, slow_s / fast_s, "Command.decode"))
    return rows
