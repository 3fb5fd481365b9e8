"""A headless Chromium driven by its DevTools protocol: one page, what it says, what it shows."""

import json
import shutil
import subprocess
from base64 import b64decode
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import trio
from trio_websocket import WebSocketConnection, connect_websocket_url

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
ANSWER_S = 60
MESSAGE_BYTES_MAX = 64 << 20


class PageFailed(AssertionError):
    """The page threw, or what was waited for did not come."""


class Page:
    """`complaints`: what the page's console called an error, exceptions and violations of its policy included."""

    def __init__(self, socket: WebSocketConnection) -> None:
        self._socket = socket
        self._last_id = 0
        self._answers: dict[int, trio.MemorySendChannel[dict[str, Any]]] = {}
        self.complaints: list[str] = []

    async def listen(self) -> None:
        """Until cancelled."""
        while True:
            message = json.loads(await self._socket.get_message())
            if "id" in message:
                self._answers.pop(message["id"]).send_nowait(message)
            else:
                self._on_event(message["method"], message["params"])

    def _on_event(self, method: str, params: dict[str, Any]) -> None:
        if method == "Runtime.exceptionThrown":
            details = params["exceptionDetails"]
            self.complaints.append(details.get("exception", {}).get("description") or details["text"])
        elif method == "Runtime.consoleAPICalled" and params["type"] in ("error", "assert"):
            self.complaints.append(" ".join(str(part.get("value", part.get("description"))) for part in params["args"]))
        elif method == "Log.entryAdded" and params["entry"]["level"] == "error":
            self.complaints.append(f"{params['entry']['text']} {params['entry'].get('url', '')}")

    async def call(self, method: str, **params: Any) -> dict[str, Any]:
        """One command of the protocol."""
        self._last_id += 1
        send, receive = trio.open_memory_channel[dict[str, Any]](1)
        self._answers[self._last_id] = send
        await self._socket.send_message(json.dumps({"id": self._last_id, "method": method, "params": params}))
        with trio.fail_after(ANSWER_S):
            answer = await receive.receive()
        if "error" in answer:
            raise PageFailed(f"{method}: {answer['error']}")
        result: dict[str, Any] = answer["result"]
        return result

    async def open(self, url: str) -> None:
        await self.call("Page.navigate", url=url)

    async def resize(self, width: int, height: int, is_phone: bool = False) -> None:
        await self.call(
            "Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=2 if is_phone else 1,
            mobile=is_phone,
        )  # fmt: skip

    async def evaluate(self, script: str) -> Any:
        """The value of an expression, of a promise what it resolves to. Raises `PageFailed` when it throws."""
        answer = await self.call("Runtime.evaluate", expression=script, awaitPromise=True, returnByValue=True)
        if "exceptionDetails" in answer:
            raise PageFailed(f"{script}: {answer['exceptionDetails']}")
        return answer["result"].get("value")

    async def wait_for(self, condition: str, wait_s: float = ANSWER_S) -> Any:
        """The first value of the expression that is true."""
        with trio.move_on_after(wait_s):
            while True:
                value = await self.evaluate(condition)
                if value:
                    return value
                await trio.sleep(0.1)
        said = await self.evaluate("document.body.innerText.slice(0, 3000)")
        raise PageFailed(f"{condition} did not come; complaints: {self.complaints}; the page says: {said}")

    async def click(self, selector: str) -> None:
        await self.wait_for(f"document.querySelector({selector!r}) !== null")
        await self.evaluate(f"document.querySelector({selector!r}).click()")

    async def fill(self, selector: str, text: str) -> None:
        """What typing does: the value, and the event."""
        await self.evaluate(
            f"(() => {{ const field = document.querySelector({selector!r}); field.value = {text!r}; "
            "field.dispatchEvent(new Event(field.tagName === 'SELECT' ? 'change' : 'input', {bubbles: true})); })()"
        )

    async def press(self, key: str) -> None:
        for kind in ("keyDown", "keyUp"):
            await self.call("Input.dispatchKeyEvent", type=kind, key=key, text=key if kind == "keyDown" else "")

    async def screenshot(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        answer = await self.call("Page.captureScreenshot", format="png")
        path.write_bytes(b64decode(answer["data"]))


@asynccontextmanager
async def open_page(folder: Path) -> AsyncIterator[Page]:
    """A browser of its own with one empty page."""
    command = [
        str(CHROMIUM), "--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--remote-debugging-port=0",
        "--no-first-run", "--disable-background-networking", "--disable-dev-shm-usage", f"--user-data-dir={folder}",
        "about:blank",
    ]  # fmt: skip
    async with trio.open_nursery() as nursery:
        process = await nursery.start(lambda task_status: trio.run_process(
            command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False, task_status=task_status,
        ))  # fmt: skip
        try:
            url = await _find_page(folder)
            socket = await connect_websocket_url(nursery, url, max_message_size=MESSAGE_BYTES_MAX)
            page = Page(socket)
            nursery.start_soon(page.listen)
            for domain in ("Page", "Runtime", "Log"):
                await page.call(f"{domain}.enable")
            yield page
        finally:
            process.terminate()
            nursery.cancel_scope.cancel()


async def _find_page(folder: Path) -> str:
    """Where the empty page listens, once the browser has written down its port."""
    written = folder / "DevToolsActivePort"
    with trio.fail_after(ANSWER_S):
        while not written.exists() or not (lines := written.read_text().splitlines())[1:]:
            await trio.sleep(0.05)
        while True:
            async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{lines[0]}") as http:
                targets = (await http.get("/json/list")).json()
            for target in targets:
                if target["type"] == "page":
                    found: str = target["webSocketDebuggerUrl"]
                    return found
            await trio.sleep(0.05)
