"""What final blocks made of the messages of each order connection, pushed in one frame a block and connection.

Works on columns: the receipts of our own batches are sorted by the connection that their messages were taken for. A
connection that does not keep up is its session's matter; it loses nothing, since whoever sends a message again is told
what became of it.
"""

from collections import OrderedDict
from collections.abc import Callable, Iterable

import numpy as np

from engine.results import Code
from engine.state import EngineState
from net.gateway.backend import CommandResult, Status
from net.order_frames import OUTCOME_ROW, Outcomes
from validator.batches import CheckedBatch, Sources

_COPIED = ("code", "order_state", "order_id", "filled_lots", "remaining_lots", "cancelled_count", "withdrawal_index")
MOVED_MAX = 50_000
Push = Callable[[bytes], None]


class OutcomeBook:
    """Which connections want to know, and what they have not been told yet."""

    def __init__(self, result: Callable[[bytes], CommandResult | None]) -> None:
        """`result(action_id)`: what a final block made of an action, whoever's batch it was in."""
        self._result = result
        self._listeners: dict[int, Push] = {}
        self._moved: OrderedDict[bytes, int] = OrderedDict()  # message id -> the connection that asks now
        self._unpublished: list[tuple[int, Outcomes, np.ndarray]] = []

    def listen(self, origin: int, push: Push) -> None:
        """From now on; `push` must not fail or wait."""
        self._listeners[origin] = push

    def forget(self, origin: int) -> None:
        self._listeners.pop(origin, None)

    def move(self, message_id: bytes, origin: int) -> None:
        """A message that waits for a block was sent again, on this connection."""
        self._moved[message_id] = origin
        while len(self._moved) > MOVED_MAX:
            self._moved.popitem(last=False)

    def on_final(self, state: EngineState, receipts: np.ndarray, batches: list[CheckedBatch]) -> None:
        """`receipts`: one row an action of all the batches of the block that led to a state, in their order."""
        ends = np.cumsum([len(checked.actions) for checked in batches])
        for end, checked in zip(ends, batches):
            if checked.sources is None or not self._listeners:
                continue
            own = receipts[end - len(checked.actions) : end]
            origins = self._find_origins(checked.sources)
            for origin in np.unique(origins).tolist():
                if origin in self._listeners:
                    self._unpublished.append((origin, *_select(state, own, checked, origins == origin)))

    def _find_origins(self, sources: Sources) -> np.ndarray:
        """(m,): who asks for each message now."""
        if not self._moved:
            return sources.origins
        origins, names = sources.origins.copy(), sources.message_ids.tobytes()
        for at in range(len(origins)):
            origins[at] = self._moved.pop(names[at * 32 : at * 32 + 32], origins[at])
        return origins

    def publish(self) -> None:
        """Tell it, once it is durable."""
        unpublished, self._unpublished = self._unpublished, []
        for origin, outcomes, action_ids in unpublished:
            push = self._listeners.get(origin)
            if push is not None:
                self._correct_copies(outcomes, action_ids)
                push(outcomes.encode())

    def _correct_copies(self, outcomes: Outcomes, action_ids: np.ndarray) -> None:
        """A message that another node's batch carried first is spent in ours: what counts is what it did there."""
        for at in np.flatnonzero(outcomes.rows["code"] == Code.NONCE_REUSED):
            result = self._result(action_ids[at].tobytes())
            if result is not None and result.status in (Status.CERTIFIED, Status.ON_CHAIN):
                _enter(outcomes.rows[at : at + 1], result)


def show_known(message_id: bytes, results: Iterable[CommandResult]) -> Outcomes:
    """What became of a message that a final block carried before; its actions in their order."""
    known = list(results)
    rows = np.zeros(len(known), dtype=OUTCOME_ROW)
    rows["action"] = np.arange(len(known))
    for at, result in enumerate(known):
        _enter(rows[at : at + 1], result)
    ids = np.frombuffer(message_id, np.uint8).reshape(1, 32)
    return Outcomes(known[0].height, known[0].time_ms, ids, rows)


def _select(
    state: EngineState, receipts: np.ndarray, checked: CheckedBatch, is_wanted: np.ndarray
) -> tuple[Outcomes, np.ndarray]:
    """The outcomes of some messages of a batch, and the ids of their actions."""
    assert checked.sources is not None
    counts = checked.messages["count"].astype(np.int64)
    is_row = np.repeat(is_wanted, counts)
    counts = counts[is_wanted]
    rows = np.zeros(int(counts.sum()), dtype=OUTCOME_ROW)
    rows["message"] = np.repeat(np.arange(len(counts)), counts)
    rows["action"] = np.arange(len(rows)) - np.repeat(np.cumsum(counts) - counts, counts)
    for name in _COPIED:
        rows[name] = receipts[name][is_row]
    units = state.tables.markets["quote_per_tick_lot"]
    markets = np.minimum(checked.actions["market"][is_row], len(units) - 1)
    rows["filled_quote"] = receipts["filled_value"][is_row] * units[markets]
    return Outcomes(state.height, state.time_ms, checked.sources.message_ids[is_wanted], rows), checked.ids[is_row]


def _enter(row: np.ndarray, result: CommandResult) -> None:
    """A stored result in the place of a receipt."""
    row["code"], row["order_state"], row["order_id"] = result.code, result.order_state, result.order_id
    row["filled_lots"], row["remaining_lots"] = result.filled_lots, result.remaining_lots
    row["filled_quote"], row["cancelled_count"] = result.filled_value_quote, result.cancelled_count
    row["withdrawal_index"] = -1 if result.withdrawal_index is None else result.withdrawal_index
