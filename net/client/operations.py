"""Every operation of the SDK once, as a generator that yields calls and is sent their results. No I/O.

`Client` and `AsyncClient` differ only in how they carry a call to a node and back.
"""

from collections.abc import Generator, Sequence
from decimal import Decimal
from typing import Any, TypeVar

from net.client import protocol, records
from net.client.proof import verify_account
from net.client.protocol import Buy, Call, Exact, HansaError, Network, Request, Sell, Signer

T = TypeVar("T")
Operation = Generator[Call, Any, T]


class Operations:
    """The API of both clients. `owner` reads an account without holding its key."""

    def __init__(
        self, key: str | None = None, *, owner: str | None = None, subaccount: int = 0, network_id: str | None = None
    ) -> None:
        self._signer = Signer.parse(key, subaccount) if key else None
        self._owner = owner or ("0x" + self._signer.owner.hex() if self._signer else None)
        self._subaccount = subaccount
        self._pinned_network_id = network_id
        self._network: Network | None = None

    @property
    def owner(self) -> str:
        """The account's address."""
        if self._owner is None:
            raise HansaError(0, "no account", "pass key= or owner=")
        return self._owner

    @property
    def signer(self) -> Signer:
        """The key that signs. Raises `HansaError` without one."""
        if self._signer is None:
            raise HansaError(0, "no key", "pass key= to sign")
        return self._signer

    def network(self) -> Operation[Network]:
        """Chain, contract and markets; fetched once. With `network_id` given, any other network is refused."""
        if self._network is None:
            network = Network.parse((yield Call("public/x_get_domain", {})))
            if self._pinned_network_id not in (None, "0x" + network.network_id.hex()):
                raise HansaError(0, "another network", f"the node serves 0x{network.network_id.hex()}")
            self._network = network
        return self._network

    def buy(
        self, instrument_name: str, amount_base: Exact, price_usd: Exact, *, time_in_force: str = "good_til_cancelled",
        label: int = 0, wait: str = "final",
    ) -> Operation[records.Placed]:  # fmt: skip
        """good_til_cancelled, immediate_or_cancel, fill_or_kill or post_only; `wait`: final, received."""
        return (yield from self._place(Buy(instrument_name, amount_base, price_usd, time_in_force, label), wait))

    def sell(
        self, instrument_name: str, amount_base: Exact, price_usd: Exact, *, time_in_force: str = "good_til_cancelled",
        label: int = 0, wait: str = "final",
    ) -> Operation[records.Placed]:  # fmt: skip
        """The other side of `buy`."""
        return (yield from self._place(Sell(instrument_name, amount_base, price_usd, time_in_force, label), wait))

    def _place(self, order: Buy, wait: str) -> Operation[records.Placed]:
        network, signer = (yield from self.network()), self.signer
        return records.Placed.parse((yield _waiting(protocol.place_call(network, signer, order), wait)))

    def batch(self, requests: Sequence[Request], *, wait: str = "final") -> Operation[records.Batched]:
        """Up to 128 orders and cancels under one signature: `Buy`, `Sell`, `Cancel`, `CancelLabel`, `CancelAll`.

        A refused one leaves the others alone and is the `error` of its outcome.
        """
        network = yield from self.network()
        answer = yield _waiting(protocol.batch_call(network, self.signer, requests), wait)
        # One request is a message with one action, which is answered like any other.
        return records.Batched.parse(answer if "x_actions" in answer else answer | {"x_actions": [answer]})

    def edit(
        self, order_id: str, amount_base: Exact, price_usd: Exact | None = None, *, wait: str = "final"
    ) -> Operation[records.Placed]:
        """A new total size (what is filled included) and price of an open order, which keeps its id."""
        network = yield from self.network()
        call = protocol.edit_call(network, self.signer, order_id, amount_base, price_usd)
        return records.Placed.parse((yield _waiting(call, wait)))

    def cancel_all_after(self, deadline_ms: int, *, wait: str = "final") -> Operation[records.Progress]:
        """Cancel everything at a time unless called again before; 0 disarms."""
        network = yield from self.network()
        call = protocol.cancel_all_after_call(network, self.signer, deadline_ms)
        return records.Progress.parse((yield _waiting(call, wait)))

    def transfer(self, amount_usdc: Exact, to_subaccount: int, *, wait: str = "final") -> Operation[records.Progress]:
        """To another subaccount of the same owner."""
        network = yield from self.network()
        call = protocol.transfer_call(network, self.signer, amount_usdc, to_subaccount)
        return records.Progress.parse((yield _waiting(call, wait)))

    def cancel(self, order_id: str, *, wait: str = "final") -> Operation[records.Cancelled]:
        network = yield from self.network()
        call = protocol.cancel_call(network, self.signer, order_id)
        return records.Cancelled.parse((yield _waiting(call, wait)))

    def cancel_by_label(self, instrument_name: str, label: int, *, wait: str = "final") -> Operation[records.Cancelled]:
        network = yield from self.network()
        call = protocol.cancel_label_call(network, self.signer, instrument_name, label)
        return records.Cancelled.parse((yield _waiting(call, wait)))

    def cancel_all(self, instrument_name: str | None = None, *, wait: str = "final") -> Operation[records.Cancelled]:
        """Every order of the subaccount, or those of one market."""
        network = yield from self.network()
        call = protocol.cancel_all_call(network, self.signer, instrument_name)
        return records.Cancelled.parse((yield _waiting(call, wait)))

    def withdraw(self, amount_usdc: Exact, *, wait: str = "final") -> Operation[records.Withdrawing]:
        """To the owner's own address."""
        network = yield from self.network()
        call = protocol.withdraw_call(network, self.signer, amount_usdc)
        return records.Withdrawing.parse((yield _waiting(call, wait)))

    def account(self) -> Operation[records.Account]:
        return records.Account.parse((yield Call("private/get_account_summary", self._account())))

    def positions(self) -> Operation[list[records.Position]]:
        return list(map(records.Position.parse, (yield Call("private/get_positions", self._account()))))

    def open_orders(self, instrument_name: str | None = None) -> Operation[list[records.Order]]:
        if instrument_name is None:
            call = Call("private/get_open_orders", self._account())
        else:
            named = {"instrument_name": instrument_name}
            call = Call("private/get_open_orders_by_instrument", named | self._account())
        return list(map(records.Order.parse, (yield call)))

    def order(self, order_id: str) -> Operation[records.Order]:
        return records.Order.parse((yield Call("private/get_order_state", {"order_id": order_id})))

    def user_trades(self, instrument_name: str, count: int = 10) -> Operation[list[records.Fill]]:
        params = {"instrument_name": instrument_name, "count": count} | self._account()
        answer = yield Call("private/get_user_trades_by_instrument", params)
        return list(map(records.Fill.parse, answer["trades"]))

    def instruments(self) -> Operation[list[dict[str, Any]]]:
        answer: list[dict[str, Any]] = yield Call("public/get_instruments", {})
        return answer

    def order_book(self, instrument_name: str, depth: int = 10) -> Operation[records.OrderBook]:
        params = {"instrument_name": instrument_name, "depth": depth}
        return records.OrderBook.parse((yield Call("public/get_order_book", params)))

    def ticker(self, instrument_name: str) -> Operation[records.Ticker]:
        return records.Ticker.parse((yield Call("public/ticker", {"instrument_name": instrument_name})))

    def trades(self, instrument_name: str, count: int = 10) -> Operation[list[records.Trade]]:
        params = {"instrument_name": instrument_name, "count": count}
        answer = yield Call("public/get_last_trades_by_instrument", params)
        return list(map(records.Trade.parse, answer["trades"]))

    def status(self) -> Operation[dict[str, Any]]:
        answer: dict[str, Any] = yield Call("public/status", {})
        return answer

    def command_status(self, command_id: str) -> Operation[dict[str, Any]]:
        answer: dict[str, Any] = yield Call("public/x_get_command_status", {"command_id": command_id})
        return answer

    def certificate(self, height: int | None = None) -> Operation[dict[str, Any]]:
        answer: dict[str, Any] = yield Call("public/x_get_certificate", {} if height is None else {"height": height})
        return answer

    def proof(self, height: int | None = None) -> Operation[records.ProvenAccount]:
        """The account's proof, checked. Raises `net.client.proof.ProofError` when the node's does not hold."""
        params = self._account() | ({} if height is None else {"height": height})
        raw = yield Call("public/x_get_proof", params)
        claims_quote, debt_quote, header = verify_account(raw, bytes.fromhex(self.owner[2:]), self._subaccount)
        claims, debt = Decimal(claims_quote).scaleb(-6), Decimal(debt_quote).scaleb(-6)
        return records.ProvenAccount(header.height, "0x" + header.hash().hex(), claims, debt, raw)

    def checkpoint_proof(self, above_height: int = 0) -> Operation[records.ProvenAccount | None]:
        """The account's proof at the last checkpoint on the settlement chain, checked; None if that is not above
        `above_height`. Where the node has forgotten that state, the newest certified proof, whose header anyone may
        post.
        """
        status = yield Call("public/status", {})
        height = status["onchain_posted_height"]
        if height <= above_height:
            return None
        try:
            return (yield from self.proof(height))
        except HansaError:
            return (yield from self.proof())

    def withdrawals(self) -> Operation[list[dict[str, Any]]]:
        answer: list[dict[str, Any]] = yield Call("public/x_get_withdrawals", {"owner": self.owner})
        return answer

    def inbox(self) -> Operation[list[dict[str, Any]]]:
        """Own deposits and forced actions: which wait, and what became of the others."""
        answer: list[dict[str, Any]] = yield Call("public/x_get_inbox", {"owner": self.owner})
        return answer

    def withdrawal_proof(self, index: int, height: int | None = None) -> Operation[dict[str, Any]]:
        """Its path in the withdrawal tree of block `height`: ask the contract by which checkpoint it pays."""
        params = {"index": index} | ({} if height is None else {"height": height})
        answer: dict[str, Any] = yield Call("public/x_get_withdrawal_proof", params)
        return answer

    def call(self, method: str, **params: Any) -> Operation[Any]:
        """Any method by name, with its raw result."""
        return (yield Call(method, params))

    def _account(self) -> dict[str, Any]:
        return {"owner": self.owner, "subaccount": self._subaccount}


def _waiting(call: Call, wait: str) -> Call:
    return Call(call.method, call.params | {"x_wait": wait})


NAMES = tuple(name for name in vars(Operations) if not name.startswith("_") and name not in ("owner", "signer"))
