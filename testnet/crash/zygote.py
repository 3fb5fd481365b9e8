"""`python -m testnet.crash.zygote FOLDER`: loads all that a validator needs, once, then forks one for each start.

Lines of JSON. In: `{"start": index}`. Out: `{"ready": true}`, `{"started": index, "pid": pid}`,
`{"ended": index, "status": wait status}`. A fork is safe here because nothing has started a thread of Python's yet and
no event loop runs: both begin in the child. Ends, and its children with it, when its input ends.
"""

import ctypes
import gc
import json
import logging
import os
import random
import select
import signal
import sys
from pathlib import Path

from testnet.homes import node_home
from validator.compilecache import prepare_compile_cache
from validator.config import load_node
from validator.logs import begin_logs

POLL_S = 0.02
_PR_SET_PDEATHSIG = 1


class Zygote:
    """The loop of the parent."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._index_of: dict[int, int] = {}

    def run(self) -> None:
        self._say({"ready": True})
        buffer = b""
        while True:
            readable, _, _ = select.select([0], [], [], POLL_S)
            if readable:
                data = os.read(0, 65536)
                if not data:
                    break
                *lines, buffer = (buffer + data).split(b"\n")
                for line in lines:
                    self._start(int(json.loads(line)["start"]))
            self._reap()
        for pid in self._index_of:
            os.kill(pid, signal.SIGKILL)

    def _start(self, index: int) -> None:
        pid = os.fork()
        if pid == 0:
            _become_validator(self._folder, index)
        self._index_of[pid] = index
        self._say({"started": index, "pid": pid})

    def _reap(self) -> None:
        while self._index_of:
            pid, status = os.waitpid(-1, os.WNOHANG)
            if pid == 0:
                return
            self._say({"ended": self._index_of.pop(pid), "status": status})

    @staticmethod
    def _say(message: dict[str, object]) -> None:
        os.write(1, json.dumps(message).encode() + b"\n")


def _become_validator(folder: Path, index: int) -> None:
    """In the child: never returns."""
    code = 70
    try:
        os.setsid()
        if sys.platform == "linux":
            ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        home = node_home(folder, index)
        log = os.open(home.path / "log.txt", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        nothing = os.open(os.devnull, os.O_RDONLY)
        for target, source in ((0, nothing), (1, log), (2, log)):
            os.dup2(source, target)
        random.seed()
        config = load_node(home.config)
        begin_logs(config.log_level, config.log_format)
        from validator.run import run_node

        code = run_node(home, config, is_warm=True)
    except BaseException:
        logging.getLogger("hansa.run").exception("process.ended")
    finally:
        os._exit(code)


def main() -> int:
    prepare_compile_cache()
    # Numba reads where its cache is when it is imported.
    import contracts.court
    import contracts.settlement  # noqa: F401
    import validator.run  # noqa: F401
    from engine.warm import warm

    warm()
    gc.collect()
    gc.freeze()
    Zygote(Path(sys.argv[1])).run()
    return 0


if __name__ == "__main__":
    sys.exit(main())
