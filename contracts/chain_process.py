"""Runs a development chain as a process of its own: the embedded one, or anvil where it is installed."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

from contracts.records import ChainError

START_TIMEOUT_S = 60.0
STOP_TIMEOUT_S = 20.0
KINDS = ("devchain", "anvil")
_POLL_S = 0.1
_ANVIL_DUMP_INTERVAL_S = 1
_NO_ANVIL = (
    "anvil is not installed: run `npm install --prefix ~/anvil @foundry-rs/anvil@1.7.1` and put"
    " ~/anvil/node_modules/.bin on PATH, or use the embedded chain (`devchain`)"
)


class ChainProcess:
    """A chain on `127.0.0.1:port` whose state lives in `folder`. Usable as a context manager."""

    def __init__(
        self,
        kind: str,
        port: int,
        folder: Path,
        *,
        block_time_s: float = 1.0,
        chain_id: int = 31337,
        anvil_path: str | None = None,
    ) -> None:
        """Starts nothing yet. Raises `ValueError` for an unknown kind."""
        if kind not in KINDS:
            raise ValueError(f"unknown chain {kind!r}: choose one of {', '.join(KINDS)}")
        self.rpc_url = f"http://127.0.0.1:{port}"
        self._kind = kind
        self._port = port
        self._folder = folder
        self._block_time_s = block_time_s
        self._chain_id = chain_id
        self._anvil_path = anvil_path
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int | None:
        """Process id while it runs."""
        return None if self._process is None else self._process.pid

    def start(self) -> None:
        """Start and wait until it answers. Raises `ChainError` with the end of its log if it does not."""
        if self._process is not None:
            raise RuntimeError("the chain already runs")
        command = self._command()
        if self._answers():
            raise ChainError(f"something already answers at {self.rpc_url}: stop it or choose another port")
        self._folder.mkdir(parents=True, exist_ok=True)
        with self._log_path().open("ab") as log:
            # A process group of its own: npm's anvil is a script around the real program, and both must end.
            self._process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
            )
        deadline_s = time.monotonic() + START_TIMEOUT_S
        while not self._answers():
            if self._process.poll() is not None or time.monotonic() > deadline_s:
                self.kill()
                raise ChainError(f"{self._kind} does not answer at {self.rpc_url}; its log ends: {self._log_end()}")
            time.sleep(_POLL_S)

    def stop(self) -> None:
        """Let it write its state and end; kills it if it takes too long."""
        if self._process is None:
            return
        self._signal(signal.SIGTERM)
        # Until the whole group is gone: anvil writes its state after its script has ended.
        deadline_s = time.monotonic() + STOP_TIMEOUT_S
        while time.monotonic() < deadline_s and self._signal(0):
            self._process.poll()
            time.sleep(_POLL_S)
        self.kill()

    def kill(self) -> None:
        """End it at once, as a crash does."""
        if self._process is not None:
            self._signal(signal.SIGKILL)
            self._process.wait()
            self._process = None

    def __enter__(self) -> "ChainProcess":
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def _signal(self, number: int) -> bool:
        """Signal the process group; false if it is gone."""
        assert self._process is not None
        try:
            os.killpg(self._process.pid, number)
        except ProcessLookupError:
            return False
        return True

    def _command(self) -> list[str]:
        if self._kind == "devchain":
            return [
                sys.executable, "-m", "contracts.devchain", "--port", str(self._port), "--data", str(self._folder),
                "--block-time", str(self._block_time_s), "--chain-id", str(self._chain_id),
            ]  # fmt: skip
        anvil = self._anvil_path or shutil.which("anvil")
        if anvil is None:
            raise ChainError(_NO_ANVIL)
        command = [
            anvil, "--host", "127.0.0.1", "--port", str(self._port), "--hardfork", "prague",
            "--chain-id", str(self._chain_id), "--state", str(self._folder / "anvil.json"),
            "--state-interval", str(_ANVIL_DUMP_INTERVAL_S), "--slots-in-an-epoch", "1", "--silent",
        ]  # fmt: skip
        if self._block_time_s > 0:
            command += ["--block-time", str(self._block_time_s), "--mixed-mining"]
        return command

    def _answers(self) -> bool:
        body = json.dumps({"jsonrpc": "2.0", "id": 1, "method": "eth_chainId", "params": []}).encode()
        request = urllib.request.Request(self.rpc_url, body, {"Content-Type": "application/json"})
        try:
            with urllib.request.urlopen(request, timeout=5) as response:
                int(json.load(response)["result"], 16)
        except (urllib.error.URLError, OSError, ValueError, KeyError):
            return False
        return True

    def _log_path(self) -> Path:
        return self._folder / f"{self._kind}.log"

    def _log_end(self) -> str:
        return self._log_path().read_text(errors="replace")[-500:].strip() or "(empty)"
