"""The trader's SDK: `Client` (blocking) and `AsyncClient` (trio). Needs no libp2p, no compiler and no chain library."""

from net.client.client import AsyncClient, Client
from net.client.order_stream import ActionOutcome, MessageOutcome, OrderStream
from net.client.proof import ProofError
from net.client.protocol import Buy, Cancel, CancelAll, CancelLabel, HansaError, Notification, OutcomeUnknown, Sell

__all__ = [
    "ActionOutcome", "AsyncClient", "Buy", "Cancel", "CancelAll", "CancelLabel", "Client", "HansaError",
    "MessageOutcome", "Notification", "OrderStream", "OutcomeUnknown", "ProofError", "Sell",
]  # fmt: skip
