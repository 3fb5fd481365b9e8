"""The trader's SDK: `Client` (blocking) and `AsyncClient` (trio). Needs no libp2p, no compiler and no chain library."""

from net.client.client import AsyncClient, Client
from net.client.proof import ProofError
from net.client.protocol import HansaError, Notification, OutcomeUnknown

__all__ = ["AsyncClient", "Client", "HansaError", "Notification", "OutcomeUnknown", "ProofError"]
