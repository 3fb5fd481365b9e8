"""Deribit's requests that leave to the exchange what must be named before it is signed: the gateway looks it up."""

from typing import Any

from net.gateway.errors import NOT_FOUND, ORDER_NOT_FOUND, ApiError
from net.trader.pool import Pool


class Fitting:
    """Reads of one account, to complete the parameters of its writes."""

    def __init__(self, pool: Pool, owner: str, subaccount: int) -> None:
        self._pool = pool
        self._account = {"owner": owner, "subaccount": subaccount}

    async def complete(self, method: str, params: dict[str, Any]) -> list[dict[str, Any]]:
        """The parameters of each request that is to be signed for this one. Raises `ApiError`, `NodeRefused`."""
        if method == "private/close_position" and "x_direction" not in params:
            return [params | {"x_direction": await self._closing_direction(params)}]
        if method == "private/cancel_by_label" and "instrument_name" not in params:
            return await self._by_label(params)
        return [params]

    async def _closing_direction(self, params: dict[str, Any]) -> str:
        named = self._account | {"instrument_name": params.get("instrument_name")}
        position = await self._pool.call("private/get_position", named, is_fresh=True)
        if position["direction"] not in ("buy", "sell"):
            raise ApiError(NOT_FOUND, "instrument_name", "there is no position to close")
        return "sell" if position["direction"] == "buy" else "buy"

    async def _by_label(self, params: dict[str, Any]) -> list[dict[str, Any]]:
        """One cancel for each instrument in which an order carries the label."""
        named = self._account | {"label": params.get("label"), "currency": params.get("currency", "any")}
        orders = await self._pool.call("private/get_open_orders_by_label", named, is_fresh=True)
        if not orders:
            raise ApiError(ORDER_NOT_FOUND, "label")
        kept = {name: value for name, value in params.items() if name != "currency"}
        return [kept | {"instrument_name": name} for name in sorted({order["instrument_name"] for order in orders})]
