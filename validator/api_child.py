"""The node's side of its API process: started once the engine is warm, and again when it ends, ever more slowly.

The node never waits for it. It ends with the node, because its standard input is a pipe that only the node holds: the
system closes that however the node ends. On a busy machine it gets less of the processor than the node.
"""

import json
import logging
import os
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import trio

from validator.config import NodeConfig

log = logging.getLogger("hansa.api")

# A tenth of the node's share where both want one processor: 250 clients who never read cost finality's p99 a quarter.
# At half of this niceness they doubled it.
NICER = 10
PAUSE_S_MIN, PAUSE_S_MAX = 0.25, 30.0
# Who lived that long did not fail at its start.
WELL_S = 60.0
LOOK_S = 0.25
STOP_GRACE_S = 3.0


async def keep_api_process(home: Path, config: NodeConfig) -> None:
    """Until cancelled; then it is ended, too. `config`: as the node has it, wherever each option came from."""
    pause_s = PAUSE_S_MIN
    while True:
        started_s = trio.current_time()
        child = _start(home, config)
        log.info("api.started process=%d", child.pid)
        try:
            while child.poll() is None:
                await trio.sleep(LOOK_S)
        finally:
            await _end(child)
        pause_s = PAUSE_S_MIN if trio.current_time() - started_s > WELL_S else min(PAUSE_S_MAX, 2 * pause_s)
        log.error("api.ended code=%s pause_s=%.1f (started again; nothing else stops)", child.returncode, pause_s)
        await trio.sleep(pause_s)


def _start(home: Path, config: NodeConfig) -> subprocess.Popen[bytes]:
    """Its errors go where ours go."""
    argv = [sys.executable, "-m", "validator", "api", "--home", str(home), "--child"]
    for name in ("index", "api_host", "api_port", "log_level"):
        argv += ["--set", f"{name}={json.dumps(getattr(config, name))}"]
    child = subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL)
    with suppress(OSError):
        os.setpriority(os.PRIO_PROCESS, child.pid, os.getpriority(os.PRIO_PROCESS, 0) + NICER)
    return child


async def _end(child: subprocess.Popen[bytes]) -> None:
    """Asked by the end of its input, then made to."""
    assert child.stdin is not None, "it was started with a pipe"
    with suppress(OSError):
        child.stdin.close()
    with trio.CancelScope(shield=True), trio.move_on_after(STOP_GRACE_S):
        while child.poll() is None:
            await trio.sleep(0.02)
    if child.poll() is None:
        child.kill()
        child.wait()
