"""The exchange as a ccxt class: ccxt's own Deribit class that asks a node and signs with an Ethereum key. No gateway,
no API key, no account to open. Needs the extra `ccxt`.

    exchange = HansaExchange({"url": "http://127.0.0.1:8645", "walletAddress": "0x…", "privateKey": "0x…"})
    exchange.create_order("BTC/USDC:USDC", "limit", "buy", "0.01", "60000", {"postOnly": True, "label": "bid-1"})

`walletAddress` is the account; `privateKey` its own or a session key's. Parameters become a signed command exactly as a
node reads them (`net.gateway.writes`), and are signed by libsecp256k1: ccxt's own Keccak is pure Python and a hundred
times slower. ccxt asks of a class that it inherits; so these do.
"""

import json
from dataclasses import dataclass, field
from typing import Any

import ccxt
import ccxt.async_support
import ccxt.pro

from engine.params import MarketParams
from net.client.labels import number_label
from net.client.protocol import HansaError, Network, Signer
from net.gateway.errors import ApiError
from net.gateway.instruments import Instruments
from net.gateway.params import Params
from net.gateway.writes import WRITES

DEFAULT_URL = "http://127.0.0.1:8645"
_LABELS_MAX = 10_000


@dataclass(slots=True)
class _Markets:
    """The part of `MarketData` that parameters are read with."""

    known: tuple[MarketParams, ...] = ()

    def markets(self) -> tuple[MarketParams, ...]:
        return self.known


@dataclass(slots=True)
class Pen:
    """What one exchange object signs with, and the texts of the labels that it has signed."""

    network: Network | None = None
    signer: Signer | None = None
    markets: _Markets = field(default_factory=_Markets)
    labels: dict[str, str] = field(default_factory=dict)

    def learn(self, domain: dict[str, Any]) -> None:
        """What `public/x_get_domain` says."""
        self.network = Network.parse(domain)
        self.markets.known = self.network.markets

    def sign(self, exchange: Any, method: str, params: dict[str, Any]) -> dict[str, Any]:
        """The parameters with a signature. Raises ccxt's exceptions."""
        if self.network is None:
            raise ccxt.ExchangeError(f"{exchange.id} does not know the network yet: call load_markets() first")
        if self.signer is None:
            try:
                self.signer = Signer.parse(exchange.privateKey, exchange.options["subaccount"], exchange.walletAddress)
            except HansaError as error:
                raise ccxt.AuthenticationError(f"{exchange.id} {error}") from None
        try:
            # MarketData has more, which reading parameters never asks for.
            actions = WRITES[method].build(Params(params), Instruments(self.markets))  # type: ignore[arg-type]
        except ApiError as error:
            exchange.throw_refusal(error.to_json())
        command = self.signer.sign(self.network, *actions)
        return params | {
            "owner": exchange.walletAddress, "subaccount": command.subaccount, "nonce": command.nonce,
            "expiry_ms": command.expiry_ms, "signature": "0x" + command.signature.hex(),
        }  # fmt: skip

    def number_label(self, label: str) -> str:
        """The number in place of a text, which is kept."""
        try:
            number = str(number_label(label))
        except ValueError as error:
            raise ccxt.InvalidOrder(str(error)) from None
        if number != label:
            self.labels[number] = label
            while len(self.labels) > _LABELS_MAX:
                del self.labels[next(iter(self.labels))]
        return number


def sign_request(exchange: Any, path: str, api: Any, params: dict[str, Any]) -> dict[str, Any]:
    """One request as ccxt wants it: a read as a GET with its account, a write as signed JSON-RPC."""
    kind = api if isinstance(api, str) else api[0]
    method, rest = f"{kind}/{path}", exchange.urls["api"]["rest"]
    if kind == "private":
        exchange.check_required_credentials()
    if method in WRITES:
        if params.get("label"):
            params = params | {"label": exchange.pen.number_label(str(params["label"]))}
        body = {"jsonrpc": "2.0", "id": 1, "method": method, "params": exchange.pen.sign(exchange, method, params)}
        headers = {"Content-Type": "application/json"}
        return {"url": f"{rest}/api/v2", "method": "POST", "body": json.dumps(body), "headers": headers}
    if kind == "private":
        params = {"owner": exchange.walletAddress, "subaccount": exchange.options["subaccount"]} | params
    query = "?" + exchange.urlencode(params) if params else ""
    return {"url": f"{rest}/api/v2/{method}{query}", "method": "GET", "body": None, "headers": None}


def describe_hansa(described: dict[str, Any]) -> dict[str, Any]:
    """ccxt's description of Deribit with what differs."""
    urls = described["urls"] | {"api": _addresses(DEFAULT_URL), "test": {}, "www": DEFAULT_URL, "doc": [], "fees": None}
    needed = dict.fromkeys(described.get("requiredCredentials", {}), False)
    return described | {
        "id": "hansa", "name": "Hansa", "urls": urls, "rateLimit": 10,
        "requiredCredentials": needed | {"walletAddress": True, "privateKey": True},
        "options": described["options"] | {"subaccount": 0, "code": "USDC"},
    }  # fmt: skip


def _addresses(url: str) -> dict[str, str]:
    return {"rest": url.rstrip("/"), "ws": url.rstrip("/").replace("http", "ws", 1) + "/ws/api/v2"}


def _configure(exchange: Any, config: dict[str, Any]) -> None:
    exchange.pen = Pen()
    if "url" in config:
        exchange.urls = exchange.urls | {"api": _addresses(config["url"])}


class _Hansa:
    """What the three faces of the exchange have in common; stands before ccxt's class in their bases."""

    def __init__(self, config: dict[str, Any] | None = None) -> None:
        super().__init__(config or {})  # type: ignore[call-arg]
        _configure(self, config or {})

    def describe(self) -> Any:
        return describe_hansa(super().describe())  # type: ignore[misc]

    def sign(
        self, path: str, api: Any = "public", method: str = "GET", params: Any = None, headers: Any = None,
        body: Any = None,
    ) -> Any:  # fmt: skip
        return sign_request(self, path, api, params or {})

    def throw_refusal(self, error: dict[str, Any]) -> None:
        """ccxt's exception for a refusal that needed no node."""
        text, answer = json.dumps({"error": error}), {"error": error}
        self.handle_errors(400, "", "", "POST", {}, text, answer, None, None)  # type: ignore[attr-defined]
        raise ccxt.ExchangeError(f"hansa {text}")

    def parse_order(self, order: Any, market: Any = None) -> Any:
        """With the label that this object has signed, as its text where it was one."""
        number = self.safe_string(order, "label") or None  # type: ignore[attr-defined]
        parsed = super().parse_order(order, market)  # type: ignore[misc]
        return parsed | {"clientOrderId": self.pen.labels.get(number, number)}  # type: ignore[attr-defined]


class HansaExchange(_Hansa, ccxt.deribit):
    """Blocking. `url` is a node's; everything else is ccxt's."""

    def fetch_markets(self, params: Any = None) -> Any:
        self.pen.learn(self.request("x_get_domain", ["public"])["result"])
        return super().fetch_markets(params or {})


class _OnAsyncio(_Hansa):
    async def fetch_markets(self, params: Any = None) -> Any:
        domain = await self.request("x_get_domain", ["public"])  # type: ignore[attr-defined]
        self.pen.learn(domain["result"])  # type: ignore[attr-defined]
        return await super().fetch_markets(params or {})  # type: ignore[misc]


class AsyncHansaExchange(_OnAsyncio, ccxt.async_support.deribit):
    """The same for asyncio."""


class ProHansaExchange(_OnAsyncio, ccxt.pro.deribit):
    """The same for asyncio with `watch_*` over a WebSocket, which says once whose account it means."""

    async def authenticate(self, params: Any = None) -> Any:
        """`public/auth` as `x_owner`: nothing secret, so nothing signed."""
        url = self.urls["api"]["ws"]
        client = self.client(url)
        if client.subscriptions.get("authenticated") is None:
            self.check_required_credentials()
            account = {"owner": self.walletAddress, "subaccount": self.options["subaccount"]}
            request = {
                "jsonrpc": "2.0", "id": self.request_id(), "method": "public/auth",
                "params": {"grant_type": "x_owner"} | account,
            }  # fmt: skip
            client.subscriptions["authenticated"] = await self.watch(url, "authenticated", request, "authenticated")
        return client.subscriptions["authenticated"]

    def watch(
        self, url: Any, message_hash: Any, message: Any = None, subscribe_hash: Any = None, subscription: Any = None
    ) -> Any:
        """A node has one kind of subscription: its channels are public, and say whose they are."""
        if isinstance(message, dict) and message.get("method") == "private/subscribe":
            message = message | {"method": "public/subscribe"}
        return super().watch(url, message_hash, message, subscribe_hash, subscription)

    def handle_message(self, client: Any, message: Any) -> Any:
        result = message.get("result") if isinstance(message, dict) else None
        if isinstance(result, dict) and result.get("token_type") == "x_owner":
            return self.handle_authentication_message(client, message)
        params = message.get("params") if isinstance(message, dict) else None
        if isinstance(params, dict) and str(params.get("channel")).startswith("book."):
            for side in ("bids", "asks"):  # the one place where ccxt computes with what it has not parsed
                levels = [[*level[:-2], float(level[-2]), float(level[-1])] for level in params["data"][side]]
                params["data"][side] = levels
        return super().handle_message(client, message)
