"""What the node gives its API about accounts (`net.gateway.account_data.AccountData`), read from the last final state
and the ledger.
"""

from validator.executor import Executor
from validator.ledger import Ledger


class NodeAccountData:
    """Implements `AccountData`."""

    def __init__(self, executor: Executor, ledger: Ledger) -> None:
        self._executor = executor
        self._ledger = ledger
