"""What a node gives its API about accounts beyond `Backend`: plain records and the protocol `AccountData`."""

from typing import Protocol


class AccountData(Protocol):
    """Accounts and their history, seen from the API."""
