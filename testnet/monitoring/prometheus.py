"""A Prometheus server of our own and what it answers. Debian's package `prometheus` has its programs."""

import json
import math
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import trio

from testnet.local import Child, Processes

PROGRAMS = ("prometheus", "promtool")
READY_S_MAX = 60
ASK_S_MAX = 10


class Missing(Exception):
    """A program is not here; the message says how to get it."""


@dataclass(frozen=True, slots=True)
class Programs:
    """Where the two are."""

    prometheus: Path
    promtool: Path


def find_programs() -> Programs:
    """On the PATH. Raises `Missing`."""
    found = [shutil.which(name) for name in PROGRAMS]
    if None in found:
        raise Missing(
            "prometheus and promtool are not on the PATH: apt-get install prometheus, or unpack it anywhere "
            "(apt-get download prometheus; dpkg -x prometheus_*.deb DIR) and put DIR/usr/bin there"
        )
    return Programs(*(Path(str(path)) for path in found))


def run_promtool(programs: Programs, *words: str, folder: Path) -> tuple[bool, str]:
    """Whether it is content, and what it says."""
    done = subprocess.run([programs.promtool, *words], cwd=folder, capture_output=True, text=True, timeout=60)
    return done.returncode == 0, (done.stdout + done.stderr).strip()


class Prometheus:
    """Asks a server. Use as an async context manager."""

    def __init__(self, url: str) -> None:
        self._http = httpx.AsyncClient(base_url=url, timeout=ASK_S_MAX, trust_env=False)

    async def __aenter__(self) -> "Prometheus":
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._http.aclose()

    async def wait(self) -> None:
        """Until it serves."""
        with trio.fail_after(READY_S_MAX):
            while not await self._is_ready():
                await trio.sleep(0.2)

    async def _is_ready(self) -> bool:
        try:
            return (await self._http.get("/-/ready")).status_code == 200
        except httpx.HTTPError:
            return False

    async def ask(self, path: str, **params: str) -> Any:
        """The data of an answer. Raises `ValueError` with what is wrong with the question."""
        answer = json.loads((await self._http.get(f"/api/v1/{path}", params=params)).text)
        if answer["status"] != "success":
            raise ValueError(answer.get("error", "it fails"))
        return answer["data"]

    async def count_series(self, expression: str) -> int:
        """How many series of numbers an expression has now."""
        data = await self.ask("query", query=expression)
        return sum(math.isfinite(float(series["value"][1])) for series in data["result"])

    async def value(self, expression: str) -> float:
        """Of an expression with one series; 0 where it has none."""
        result = (await self.ask("query", query=expression))["result"]
        return float(result[0]["value"][1]) if result else 0.0


def start_server(processes: Processes, programs: Programs, folder: Path, port: int) -> Child:
    """With the configuration in the folder; its data goes there too."""
    argv = [
        str(programs.prometheus), f"--config.file={folder / 'prometheus.yml'}", "--web.enable-lifecycle",
        f"--storage.tsdb.path={folder / 'data'}", f"--web.listen-address=127.0.0.1:{port}", "--log.level=warn",
    ]  # fmt: skip
    return processes.start("prometheus", argv, folder / "prometheus.log")
