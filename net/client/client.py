"""`Client` and `AsyncClient`: the operations of `net.client.operations`, carried over HTTP and over a WebSocket."""

import queue
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from functools import wraps
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, TypeVar
from urllib.parse import urlsplit, urlunsplit

import httpx
import trio

from net.client import keeping
from net.client.link import Link
from net.client.operations import NAMES, Operation, Operations
from net.client.order_stream import OrderStream
from net.client.protocol import Answer, Call, HansaError, Notification, OutcomeUnknown, decode_message, encode_call

T = TypeVar("T")
_BUFFER_MESSAGES = 10_000
_ATTEMPTS = 3


class AsyncClient:
    """A trader's connection to one node, for trio. Use as `async with AsyncClient(url, key=...) as client`.

    Every public method of `Operations` is a coroutine method here. `url` is the node's, such as `http://127.0.0.1:8080`.
    """

    def __init__(self, url: str, key: str | None = None, *, timeout_s: float = 30.0, **account: Any) -> None:
        self.operations = Operations(key, **account)
        self._url = url
        self._link = Link(websocket_url(url), timeout_s)

    async def __aenter__(self) -> Self:
        self._manager = trio.open_nursery()
        self._nursery = await self._manager.__aenter__()
        self._nursery.start_soon(self._link.run)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """An error of the block leaves it as it is, in no group."""
        self._nursery.cancel_scope.cancel()
        await self._manager.__aexit__(None, None, None)

    if TYPE_CHECKING:  # the operations are bound at the end of this module

        def __getattr__(self, name: str) -> Any: ...

    @property
    def owner(self) -> str:
        return self.operations.owner

    @property
    def connection_count(self) -> int:
        """How often the connection was made."""
        return self._link.connection_count

    @asynccontextmanager
    async def subscribe(self, *channels: str) -> AsyncIterator[AsyncIterator[Notification]]:
        """`async with client.subscribe("book.BTC-PERPETUAL.raw") as messages: async for message in messages: ...`"""
        receiver = await self._link.listen(channels, _BUFFER_MESSAGES)
        try:
            yield receiver
        finally:
            with trio.CancelScope(shield=True), trio.move_on_after(1):
                await self._link.unlisten(receiver)

    @asynccontextmanager
    async def order_stream(self) -> AsyncIterator[OrderStream]:
        """Orders by the hundred over a connection of their own: `await stream.send([Buy(...), ...])`, and in another
        task `async for outcome in stream` (`net.client.order_stream`).
        """
        network = await self._carry(self.operations.network())
        stream = OrderStream(self._url, network, self.operations.signer)
        manager = trio.open_nursery()
        nursery = await manager.__aenter__()
        nursery.start_soon(stream.run)
        try:
            yield stream
        finally:  # an error of the block leaves it as it is, in no group
            nursery.cancel_scope.cancel()
            await manager.__aexit__(None, None, None)

    async def keep_proofs(self, folder: str | Path) -> None:
        """Keep the account's proof in `folder`, anew at every checkpoint, until cancelled (`net.client.keeping`)."""
        await keeping.keep_proofs(lambda height: self._carry(self.operations.checkpoint_proof(height)), Path(folder))

    async def _carry(self, operation: Operation[T]) -> T:
        try:
            call = next(operation)
            while True:
                try:
                    answer = await self._link.call(call)
                except HansaError as error:
                    call = operation.throw(error)
                else:
                    call = operation.send(answer)
        except StopIteration as done:
            result: T = done.value
            return result


class Client:
    """A trader's connection to one node, blocking, over HTTP. Every public method of `Operations` is a method here."""

    def __init__(self, url: str, key: str | None = None, *, timeout_s: float = 30.0, **account: Any) -> None:
        self.operations = Operations(key, **account)
        self._account = account
        self._url = url
        self._http = httpx.Client(base_url=url, timeout=timeout_s)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        self._http.close()

    if TYPE_CHECKING:  # the operations are bound at the end of this module

        def __getattr__(self, name: str) -> Any: ...

    @property
    def owner(self) -> str:
        return self.operations.owner

    def subscribe(self, *channels: str) -> Iterator[Notification]:
        """Messages as they come, from a WebSocket in a thread of its own. Closing the iterator ends it."""
        messages: queue.Queue[Notification | BaseException] = queue.Queue(_BUFFER_MESSAGES)
        reader = _Reader(self._url, channels, messages)
        reader.start()
        try:
            while True:
                message = messages.get()
                if isinstance(message, BaseException):
                    raise message
                yield message
        finally:
            reader.stop()

    def keep_proofs(self, folder: str | Path) -> keeping.ProofKeeper:
        """`with client.keep_proofs(folder): ...` keeps the account's proof there, anew at every checkpoint."""

        async def run(place: Path) -> None:
            async with AsyncClient(self._url, **self._account | {"owner": self.owner}) as client:
                await client.keep_proofs(place)

        return keeping.ProofKeeper(run, Path(folder))

    def _carry(self, operation: Operation[T]) -> T:
        try:
            call = next(operation)
            while True:
                try:
                    answer = self._post(call)
                except HansaError as error:
                    call = operation.throw(error)
                else:
                    call = operation.send(answer)
        except StopIteration as done:
            result: T = done.value
            return result

    def _post(self, call: Call) -> Any:
        """Sends the same text again after a lost connection, which is harmless (see `net.client.link`)."""
        text = encode_call(1, call)
        for attempt in range(_ATTEMPTS):
            try:
                response = self._http.post("/api/v2", content=text, headers={"content-type": "application/json"})
                break
            except httpx.TransportError as error:
                if attempt + 1 == _ATTEMPTS:
                    raise OutcomeUnknown(0, f"no answer to {call.method}", repr(error)) from error
        answer = decode_message(response.content)
        if not isinstance(answer, Answer):
            raise HansaError(0, "the node sent no answer", response.text[:100])
        if answer.error is not None:
            raise answer.error
        return answer.result


class _Reader(threading.Thread):
    """Runs an `AsyncClient` that fills a queue."""

    def __init__(
        self, url: str, channels: tuple[str, ...], messages: queue.Queue[Notification | BaseException]
    ) -> None:
        super().__init__(name="hansa-subscription", daemon=True)
        self._url, self._channels, self._messages = url, channels, messages
        self._scope = trio.CancelScope()
        self._token: trio.lowlevel.TrioToken | None = None
        self._is_started = threading.Event()

    def run(self) -> None:
        trio.run(self._read)

    def stop(self) -> None:
        self._is_started.wait()
        assert self._token is not None
        try:
            self._token.run_sync_soon(self._scope.cancel)
        except trio.RunFinishedError:
            return
        self.join()

    async def _read(self) -> None:
        self._token = trio.lowlevel.current_trio_token()
        self._is_started.set()
        lagged: BaseException = HansaError(0, "the subscription fell behind")
        with self._scope:
            try:
                async with AsyncClient(self._url) as client, client.subscribe(*self._channels) as messages:
                    async for message in messages:
                        self._messages.put_nowait(message)
            except queue.Full:
                pass
            except HansaError as error:
                lagged = error
            self._end(lagged)

    def _end(self, error: BaseException) -> None:
        while self._messages.full():
            self._messages.get_nowait()
        self._messages.put_nowait(error)


def websocket_url(url: str) -> str:
    """The WebSocket endpoint of a node's HTTP URL."""
    parts = urlsplit(url)
    scheme = {"http": "ws", "https": "wss"}.get(parts.scheme, parts.scheme)
    return urlunsplit((scheme, parts.netloc, "/ws/api/v2", "", ""))


def _blocking(name: str) -> Callable[..., Any]:
    operation = getattr(Operations, name)

    @wraps(operation)
    def method(self: Client, *args: Any, **kwargs: Any) -> Any:
        return self._carry(operation(self.operations, *args, **kwargs))

    return method


def _awaitable(name: str) -> Callable[..., Awaitable[Any]]:
    operation = getattr(Operations, name)

    @wraps(operation)
    async def method(self: AsyncClient, *args: Any, **kwargs: Any) -> Any:
        return await self._carry(operation(self.operations, *args, **kwargs))

    return method


for _name in NAMES:
    setattr(Client, _name, _blocking(_name))
    setattr(AsyncClient, _name, _awaitable(_name))
