"""`Client` and `AsyncClient`: the operations of `net.client.operations`, carried over HTTP and over a WebSocket."""

import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import asynccontextmanager
from functools import wraps
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, TypeVar

import anyio
import httpx
from anyio.from_thread import start_blocking_portal
from anyio.streams.memory import MemoryObjectReceiveStream

from net.client import keeping
from net.client.link import Link
from net.client.operations import NAMES, Operation, Operations
from net.client.order_stream import OrderStream
from net.client.protocol import Answer, Call, HansaError, Notification, OutcomeUnknown, decode_message, encode_call

T = TypeVar("T")
_BUFFER_MESSAGES = 10_000
_ATTEMPTS = 3


class AsyncClient:
    """A trader's connection to the network, for trio and asyncio: `async with AsyncClient(url, key=...) as client`.

    Every public method of `Operations` is a coroutine method here. `url` is a node's, such as `http://127.0.0.1:8080`,
    or several nodes': one is talked to, and when it is lost the next one, with all that was under way.
    """

    def __init__(
        self, url: str | Sequence[str], key: str | None = None, *, timeout_s: float = 30.0, **account: Any
    ) -> None:
        self.operations = Operations(key, **account)
        self._urls = (url,) if isinstance(url, str) else tuple(url)
        self._link = Link(self._urls, timeout_s)

    async def __aenter__(self) -> Self:
        self._tasks = anyio.create_task_group()
        await self._tasks.__aenter__()
        self._tasks.start_soon(self._link.run)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """An error of the block leaves it as it is, in no group."""
        self._tasks.cancel_scope.cancel()
        await self._tasks.__aexit__(None, None, None)

    if TYPE_CHECKING:  # the operations are bound at the end of this module

        def __getattr__(self, name: str) -> Any: ...

    @property
    def owner(self) -> str:
        return self.operations.owner

    @property
    def url(self) -> str:
        """The node that is talked to, or tried."""
        return self._link.url

    @property
    def connection_count(self) -> int:
        """How often the connection was made."""
        return self._link.connection_count

    @asynccontextmanager
    async def subscribe(self, *channels: str) -> AsyncIterator[MemoryObjectReceiveStream[Notification]]:
        """`async with client.subscribe("book.BTC-PERPETUAL.raw") as messages: async for message in messages: ...`"""
        receiver = await self._link.listen(channels, _BUFFER_MESSAGES)
        try:
            yield receiver
        finally:
            with anyio.move_on_after(1, shield=True):
                await self._link.unlisten(receiver)

    @asynccontextmanager
    async def order_stream(self) -> AsyncIterator[OrderStream]:
        """Orders by the hundred over a connection of their own: `await stream.send([Buy(...), ...])`, and in another
        task `async for outcome in stream` (`net.client.order_stream`).
        """
        network = await self._carry(self.operations.network())
        stream = OrderStream(self._urls, network, self.operations.signer)
        tasks = anyio.create_task_group()
        await tasks.__aenter__()
        tasks.start_soon(stream.run)
        try:
            yield stream
        finally:  # an error of the block leaves it as it is, in no group
            tasks.cancel_scope.cancel()
            await tasks.__aexit__(None, None, None)

    async def keep_proofs(self, folder: str | Path) -> None:
        """Keep the proofs of the account and of its last withdrawals in `folder`, anew at every checkpoint, until
        cancelled (`net.client.keeping`).
        """
        await keeping.keep_proofs(
            lambda height: self._carry(self.operations.checkpoint_proof(height)), Path(folder),
            lambda height: self._carry(self.operations.withdrawals_at(height)),
        )  # fmt: skip

    async def _carry(self, operation: Operation[T]) -> T:
        try:
            call = next(operation)
            while True:
                if call.pause_s:
                    await anyio.sleep(call.pause_s)
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
    """A trader's connection to the network, blocking, over HTTP. Every public method of `Operations` is a method here.

    With several URLs a call goes to the node that answered last, and to the next one when it does not.
    """

    def __init__(
        self, url: str | Sequence[str], key: str | None = None, *, timeout_s: float = 30.0, **account: Any
    ) -> None:
        self.operations = Operations(key, **account)
        self._account = account
        self._urls = (url,) if isinstance(url, str) else tuple(url)
        self._at = 0
        self._http = httpx.Client(timeout=timeout_s)

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

    @property
    def url(self) -> str:
        """The node that is talked to, or tried."""
        return self._urls[self._at]

    def subscribe(self, *channels: str) -> Iterator[Notification]:
        """Messages as they come, from a WebSocket in a thread of its own. Closing the iterator ends it."""
        with (
            start_blocking_portal(name="hansa-subscription") as portal,
            portal.wrap_async_context_manager(AsyncClient(self._urls)) as client,
            portal.wrap_async_context_manager(client.subscribe(*channels)) as messages,
        ):
            while taken := portal.call(_take_some, messages):
                yield from taken
        raise HansaError(0, "the subscription fell behind", "read faster, or take a channel with an interval")

    def keep_proofs(self, folder: str | Path) -> keeping.ProofKeeper:
        """`with client.keep_proofs(folder): ...` keeps the account's proof there, anew at every checkpoint."""

        async def run(place: Path) -> None:
            async with AsyncClient(self._urls, **self._account | {"owner": self.owner}) as client:
                await client.keep_proofs(place)

        return keeping.ProofKeeper(run, Path(folder))

    def _carry(self, operation: Operation[T]) -> T:
        try:
            call = next(operation)
            while True:
                time.sleep(call.pause_s)
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
        for attempt in range(attempts := max(_ATTEMPTS, len(self._urls))):
            try:
                response = self._http.post(
                    f"{self.url}/api/v2", content=text, headers={"content-type": "application/json"}
                )
                break
            except httpx.TransportError as error:
                self._at = (self._at + 1) % len(self._urls)
                if attempt + 1 == attempts:
                    raise OutcomeUnknown(0, f"no answer to {call.method}", repr(error)) from error
        answer = decode_message(response.content)
        if not isinstance(answer, Answer):
            raise HansaError(0, "the node sent no answer", response.text[:100])
        if answer.error is not None:
            raise answer.error
        return answer.result


async def _take_some(messages: MemoryObjectReceiveStream[Notification]) -> list[Notification]:
    """One message, for which it waits, and all that came with it; nothing once the channel was closed."""
    try:
        taken = [await messages.receive()]
    except anyio.EndOfStream:
        return []
    try:
        while len(taken) < _BUFFER_MESSAGES:
            taken.append(messages.receive_nowait())
    except (anyio.WouldBlock, anyio.EndOfStream):
        pass
    return taken


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
