"""Every operation of the SDK once, as a generator that yields calls and is sent their results. No I/O.

`Client` and `AsyncClient` differ only in how they carry a call to a node and back.
"""

from collections.abc import Generator, Mapping, Sequence
from decimal import Decimal
from typing import Any, TypeVar

from net.client import records
from net.client.proof import ProofError, verify_account, verify_withdrawal
from net.client.protocol import (
    Call,
    Exact,
    HansaError,
    Network,
    Signer,
    UnknownInstrument,
    exact_text,
    refuse_floats,
    submit_call,
)
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
    Request,
    Sell,
    SetMarginMode,
    SetProtection,
    SetSession,
    Transfer,
    Trigger,
    Withdraw,
)
from net.client.verifying import Certainty, Verifier

T = TypeVar("T")
Operation = Generator[Call, Any, T]


class Operations:
    """The API of both clients. `owner` without a key reads an account; with one, the key is a session key of it.

    `wait` of all that is signed: "final" answers when nothing can undo it, "received" at once. With `verify` what a
    node calls final, and what it proves, is checked against the committee's certificate, or `ProofError` is raised.
    """

    def __init__(
        self, key: str | None = None, *, owner: str | None = None, subaccount: int = 0, network_id: str | None = None,
        verify: Verifier | None = None,
    ) -> None:  # fmt: skip
        self._signer = Signer.parse(key, subaccount, owner) if key else None
        self._owner = owner or ("0x" + self._signer.owner.hex() if self._signer else None)
        self._subaccount = subaccount
        self._pinned_network_id = network_id if verify is None else verify.network_id
        self._certainty = Certainty(verify)
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
        return self._network or (yield from self.refresh())

    def refresh(self) -> Operation[Network]:
        """The network anew, with the markets that were listed since. Never another network than before."""
        network = Network.parse((yield Call("public/x_get_domain", {})))
        expected = "0x" + self._network.network_id.hex() if self._network else self._pinned_network_id
        if expected not in (None, "0x" + network.network_id.hex()):
            raise HansaError(0, "another network", f"the node serves 0x{network.network_id.hex()}")
        self._network = network
        return network

    def _submit(self, requests: Sequence[Request], wait: str) -> Operation[dict[str, Any]]:
        """One message. A market that is not known is looked up once: it may be new."""
        network = yield from self.network()
        try:
            call = submit_call(network, self.signer, requests, wait)
        except UnknownInstrument:
            call = submit_call((yield from self.refresh()), self.signer, requests, wait)
        return (yield from self._certainty.check((yield call)))

    def buy(
        self, instrument_name: str, amount_base: Exact, price_usd: Exact | None = None, *, wait: str = "final",
        **order: Any,
    ) -> Operation[records.Placed]:  # fmt: skip
        """A market order without a price. Further arguments are those of `net.client.Buy`: `time_in_force`, `label`,
        `reduce_only`, `mmp`, `display_base`, `good_till_ms`, `self_trade`.
        """
        return (yield from self._place(Buy(instrument_name, amount_base, price_usd, **order), wait))

    def sell(
        self, instrument_name: str, amount_base: Exact, price_usd: Exact | None = None, *, wait: str = "final",
        **order: Any,
    ) -> Operation[records.Placed]:  # fmt: skip
        """The other side of `buy`."""
        return (yield from self._place(Sell(instrument_name, amount_base, price_usd, **order), wait))

    def trigger(
        self, instrument_name: str, direction: str, trigger_usd: Exact, *, wait: str = "final", **trigger: Any
    ) -> Operation[records.Placed]:
        """A stop or take order. Further arguments are those of `net.client.Trigger`."""
        return (yield from self._place(Trigger(instrument_name, direction, trigger_usd, **trigger), wait))

    def _place(self, order: Request, wait: str) -> Operation[records.Placed]:
        return records.Placed.parse((yield from self._submit([order], wait)))

    def batch(self, requests: Sequence[Request], *, wait: str = "final") -> Operation[records.Batched]:
        """Up to 128 requests of `net.client.requests` under one signature, done in their order within each class
        (docs/spec.md, BLK-2). A refused one leaves the others alone and is the `error` of its outcome.
        """
        answer = yield from self._submit(requests, wait)
        # One request is a message with one action, which is answered like any other.
        return records.Batched.parse(answer if "x_actions" in answer else answer | {"x_actions": [answer]})

    def mass_quote(
        self, instrument_name: str, bids: Sequence[tuple[Exact, Exact]], asks: Sequence[tuple[Exact, Exact]], *,
        mmp: bool = True, wait: str = "final",
    ) -> Operation[records.Batched]:  # fmt: skip
        """Replaces all own orders of a market by quotes `(price_usd, amount_base)`, post only, in one message. The
        cancel is the first outcome, then the bids, then the asks.
        """
        quotes: list[Request] = [CancelAll(instrument_name)]
        for kind, levels in ((Buy, bids), (Sell, asks)):
            quotes += [kind(instrument_name, size, price, "post_only_slide", mmp=mmp) for price, size in levels]
        return (yield from self.batch(quotes, wait=wait))

    def combo(self, legs: Sequence[Buy], net_usdc: Exact, *, wait: str = "final") -> Operation[records.Batched]:
        """2 to 4 orders in different markets, all or none, for at most `net_usdc` paid (below 0: received)."""
        return (yield from self.batch([Combo(len(legs), net_usdc), *legs], wait=wait))

    def edit(
        self, order_id: str, amount_base: Exact, price_usd: Exact | None = None, *, wait: str = "final"
    ) -> Operation[records.Placed]:
        """A new total size (what is filled included) and price of an open order, which keeps its id."""
        return (yield from self._place(Edit(order_id, amount_base, price_usd), wait))

    def cancel(self, order_id: str, *, wait: str = "final") -> Operation[records.Cancelled]:
        return records.Cancelled.parse((yield from self._submit([Cancel(order_id)], wait)))

    def cancel_by_label(
        self, instrument_name: str, label: int | str, *, wait: str = "final"
    ) -> Operation[records.Cancelled]:
        return records.Cancelled.parse((yield from self._submit([CancelLabel(instrument_name, label)], wait)))

    def cancel_all(self, instrument_name: str | None = None, *, wait: str = "final") -> Operation[records.Cancelled]:
        """Every order of the subaccount, or those of one market."""
        return records.Cancelled.parse((yield from self._submit([CancelAll(instrument_name)], wait)))

    def cancel_all_after(self, deadline_ms: int, *, wait: str = "final") -> Operation[records.Progress]:
        """Cancel everything at a time unless called again before; 0 disarms."""
        return (yield from self._set(CancelAllAfter(deadline_ms), wait))

    def transfer(
        self, amount_usdc: Exact, to_subaccount: int, *, to_owner: str | None = None, wait: str = "final"
    ) -> Operation[records.Progress]:
        """To another subaccount of the same owner, or to another owner's."""
        return (yield from self._set(Transfer(amount_usdc, to_subaccount, to_owner), wait))

    def withdraw(self, amount_usdc: Exact, *, wait: str = "final") -> Operation[records.Withdrawing]:
        """To the owner's own address."""
        return records.Withdrawing.parse((yield from self._submit([Withdraw(amount_usdc)], wait)))

    def set_session_key(
        self, address: str, scopes: Sequence[str] = ("trade",), *, valid_until_ms: int, order_cap_usdc: Exact = 0,
        wait: str = "final",
    ) -> Operation[records.Progress]:  # fmt: skip
        """Lets another key sign for this account: trade, cancel, transfer; never withdraw."""
        return (yield from self._set(SetSession(address, tuple(scopes), valid_until_ms, order_cap_usdc), wait))

    def revoke_session_key(self, address: str, *, wait: str = "final") -> Operation[records.Progress]:
        return (yield from self._set(SetSession(address, ()), wait))

    def session_keys(self) -> Operation[list[records.SessionKey]]:
        """The keys that may sign for the account."""
        answer = yield Call("private/x_list_session_keys", self._account())
        return list(map(records.SessionKey.parse, answer["keys"]))

    def set_margin_mode(self, mode: str, *, wait: str = "final") -> Operation[records.Progress]:
        """cross, isolated or portfolio."""
        return (yield from self._set(SetMarginMode(mode), wait))

    def set_protection(self, window_ms: int, *, wait: str = "final", **limits: Any) -> Operation[records.Progress]:
        """Market-maker protection. Further arguments are those of `net.client.SetProtection`."""
        return (yield from self._set(SetProtection(window_ms, **limits), wait))

    def offer(
        self, instrument_name: str, direction: str, amount_base: Exact, price_usd: Exact, good_till_ms: int, *,
        wait: str = "final", **offer: Any,
    ) -> Operation[records.Outcome]:  # fmt: skip
        """A block offer off the book. Further arguments are those of `net.client.Offer`."""
        request = Offer(instrument_name, direction, amount_base, price_usd, good_till_ms, **offer)
        return (yield from self.batch([request], wait=wait)).outcomes[0]

    def accept(self, order_id: str, direction: str, *, wait: str = "final") -> Operation[records.Outcome]:
        """Trades all of a block offer."""
        return (yield from self.batch([Accept(order_id, direction)], wait=wait)).outcomes[0]

    def _set(self, request: Request, wait: str) -> Operation[records.Progress]:
        return records.Progress.parse((yield from self._submit([request], wait)))

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

    def order_history(self, instrument_name: str | None = None, count: int = 20) -> Operation[list[records.Order]]:
        """Orders that are gone, newest first, of one market or of all, those that never traded included."""
        method, params = self._of_market("private/get_order_history_by", instrument_name, count)
        answer = yield Call(method, params | {"include_unfilled": True})
        return list(map(records.Order.parse, answer))

    def user_trades(self, instrument_name: str | None = None, count: int = 10) -> Operation[list[records.Fill]]:
        """Own trades, newest first, in one market or in all."""
        answer = yield Call(*self._of_market("private/get_user_trades_by", instrument_name, count))
        return list(map(records.Fill.parse, answer["trades"]))

    def _of_market(self, method: str, instrument_name: str | None, count: int) -> tuple[str, dict[str, Any]]:
        params = {"count": count} | self._account()
        if instrument_name is None:
            return f"{method}_currency", params | {"currency": "any"}
        return f"{method}_instrument", params | {"instrument_name": instrument_name}

    def margins(self, instrument_name: str, amount_base: Exact, price_usd: Exact) -> Operation[dict[str, Any]]:
        """What an order would add to the initial margin, by side, as the engine computes it."""
        named = {"instrument_name": instrument_name, "amount": exact_text(amount_base), "price": exact_text(price_usd)}
        answer: dict[str, Any] = yield Call("private/get_margins", named | self._account())
        return answer

    def explain_margin(self) -> Operation[dict[str, Any]]:
        """Every number that the margin is made of: scenario by scenario, with the worst."""
        answer: dict[str, Any] = yield Call("private/x_margin_explain", self._account())
        return answer

    def simulate(
        self, sizes_base: Mapping[str, Exact] | None = None, *, is_added: bool = True, price_shift_ppm: int = 0,
        vol_shift_ppm: int = 0,
    ) -> Operation[dict[str, Any]]:  # fmt: skip
        """Margins, Greeks and scenarios with other positions (signed sizes by instrument, beside the account's own or
        in their place) after all prices and volatilities have moved, by the engine's own functions, at the node.
        """
        moves = {"x_price_shift_ppm": price_shift_ppm, "x_vol_shift_ppm": vol_shift_ppm, "add_positions": is_added}
        sizes = {name: exact_text(size) for name, size in (sizes_base or {}).items()}
        answer: dict[str, Any] = yield Call(
            "private/simulate_portfolio", moves | {"simulated_positions": sizes} | self._account()
        )
        return answer

    def margin_inputs(self, instruments: Sequence[str] = ()) -> Operation[dict[str, Any]]:
        """What the engine computes the account's margin from, with the rows of more markets than it is in, for
        `validator.local_margin`: which then answers what `simulate` asks a node, as often as wanted.
        """
        named = {"instruments": list(instruments)} if instruments else {}
        answer: dict[str, Any] = yield Call("private/x_get_margin_inputs", named | self._account())
        return answer

    def transaction_log(self, count: int = 100) -> Operation[list[dict[str, Any]]]:
        """What has moved the account's money, newest first."""
        answer = yield Call("private/get_transaction_log", {"count": count, "currency": "USDC"} | self._account())
        logs: list[dict[str, Any]] = answer["logs"]
        return logs

    def candles(
        self, instrument_name: str, start_ms: int, end_ms: int, resolution: str = "1"
    ) -> Operation[list[records.Candle]]:
        """`resolution` in minutes: 1, 3, 5, ... or 1D."""
        params = {"start_timestamp": start_ms, "end_timestamp": end_ms, "resolution": resolution}
        named = {"instrument_name": instrument_name} | params
        return records.Candle.parse_all((yield Call("public/get_tradingview_chart_data", named)))

    def funding_history(self, instrument_name: str, start_ms: int, end_ms: int) -> Operation[list[dict[str, Any]]]:
        params = {"instrument_name": instrument_name, "start_timestamp": start_ms, "end_timestamp": end_ms}
        answer: list[dict[str, Any]] = yield Call("public/get_funding_rate_history", params)
        return answer

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

    def committee(self, epoch: int | None = None) -> Operation[dict[str, Any]]:
        """The members of an epoch, by default this one, and what proves that they are."""
        answer: dict[str, Any] = yield Call("public/x_get_committee", {} if epoch is None else {"epoch": epoch})
        return answer

    def certificate(self, height: int | None = None) -> Operation[dict[str, Any]]:
        answer: dict[str, Any] = yield Call("public/x_get_certificate", {} if height is None else {"height": height})
        return answer

    def proof(self, height: int | None = None) -> Operation[records.ProvenAccount]:
        """The account's proof, checked. Raises `net.client.proof.ProofError` when the node's does not hold."""
        params = self._account() | ({} if height is None else {"height": height})
        raw = yield Call("public/x_get_proof", params)
        claims_quote, debt_quote, header = verify_account(raw, bytes.fromhex(self.owner[2:]), self._subaccount)
        certificate = yield from self._certainty.judge(raw["certificate"])
        claims, debt = Decimal(claims_quote).scaleb(-6), Decimal(debt_quote).scaleb(-6)
        return records.ProvenAccount(header.height, "0x" + header.hash().hex(), claims, debt, raw, certificate)

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

    def withdrawals_at(self, height: int, count: int = 16) -> Operation[list[dict[str, Any]]]:
        """Proofs of the last withdrawals that block `height` and those before it hold, checked: what the contract pays
        by, whether a validator is there or not. Raises `net.client.proof.ProofError`.
        """
        owner, proofs = bytes.fromhex(self.owner[2:]), []
        known = [item for item in (yield from self.withdrawals()) if item["x_height"] <= height]
        for item in sorted(known, key=lambda item: -int(item["index"]))[:count]:
            raw = yield from self.withdrawal_proof(item["index"], height)
            if verify_withdrawal(raw, owner).height != height or raw["index"] != item["index"]:
                raise ProofError("the node proves another withdrawal, or by another block, than was asked for")
            yield from self._certainty.judge(raw["certificate"])
            proofs.append(raw)
        return proofs

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
        """Any method by name, with its raw result. No float may be in the parameters."""
        return (yield Call(method, refuse_floats(params)))

    def _account(self) -> dict[str, Any]:
        return {"owner": self.owner, "subaccount": self._subaccount}


NAMES = tuple(name for name in vars(Operations) if not name.startswith("_") and name not in ("owner", "signer"))
