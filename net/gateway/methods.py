"""The method table: every name the API answers, what it takes, what it answers. The reference pages are generated
from it, and a name may have only one row.
"""

from net.gateway.api import Method
from net.gateway.tables.account import ACCOUNT_ROWS
from net.gateway.tables.explorer import EXPLORER_ROWS
from net.gateway.tables.history import HISTORY_ROWS
from net.gateway.tables.market import MARKET_ROWS
from net.gateway.tables.money import MONEY_ROWS
from net.gateway.tables.network import NETWORK_ROWS
from net.gateway.tables.orders import ORDER_ROWS
from net.gateway.tables.session import SESSION_ROWS

_ROWS = (
    *SESSION_ROWS,
    *MARKET_ROWS,
    *HISTORY_ROWS,
    *NETWORK_ROWS,
    *EXPLORER_ROWS,
    *ORDER_ROWS,
    *ACCOUNT_ROWS,
    *MONEY_ROWS,
)

METHODS: dict[str, Method] = {method.name: method for method in _ROWS}
assert len(METHODS) == len(_ROWS)
