"""The trader's SDK: `Client` (blocking) and `AsyncClient` (trio and asyncio). Needs no libp2p, no compiler and no chain
library.
"""

from net.client.client import AsyncClient, Client
from net.client.order_stream import ActionOutcome, MessageOutcome, OrderStream
from net.client.proof import ProofError
from net.client.protocol import HansaError, Notification, OutcomeUnknown
from net.client.requests import (
    Accept,
    Buy,
    Cancel,
    CancelAll,
    CancelAllAfter,
    CancelLabel,
    Combo,
    Edit,
    Offer,
    Sell,
    SetMarginMode,
    SetProtection,
    SetSession,
    Transfer,
    Trigger,
    Withdraw,
)

__all__ = [
    "Accept", "ActionOutcome", "AsyncClient", "Buy", "Cancel", "CancelAll", "CancelAllAfter", "CancelLabel", "Client",
    "Combo", "Edit", "HansaError", "MessageOutcome", "Notification", "Offer", "OrderStream", "OutcomeUnknown",
    "ProofError", "Sell", "SetMarginMode", "SetProtection", "SetSession", "Transfer", "Trigger", "Withdraw",
]  # fmt: skip
