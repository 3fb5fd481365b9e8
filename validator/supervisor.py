"""Keeps a node running, and changes its version at a height.

A node that crashed is started again, later each time. One that ended itself is not: exit code 2 is the operator's to
mend, and 3 means that it refused to sign something wrong. The signer's guard and the journal are shared by all
versions and never put back.

A prepared version first has to replay the stored blocks from a snapshot to the same roots (`hansa audit`), while the
old one still works; then it takes over, on trial. A node compares the root of every block with the committee's and ends
with code 3 where its own differs, so a version that has followed `watch_blocks` of them agrees with everybody. One that
ends, or stands still, before that is refused for good, and the version before it takes over again.
"""

import ctypes
import logging
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Awaitable, Callable, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import trio

from validator.config import ConfigError
from validator.upgrades import OWN, Plan, UpgradeState, find_due, find_program, list_plans, load_state, save_state

log = logging.getLogger("hansa.supervise")

EXIT_MISTAKE, EXIT_STOPPED = 2, 3
STOP_GRACE_S = 30.0
END_POLL_S = 0.05
_DEATH_SIGNAL = 1  # of prctl


@dataclass(frozen=True, slots=True)
class Pace:
    """`healthy_s`: who ran for so long starts with the shortest pause again. `patience_s`: how long a version on trial
    may stand still.
    """

    poll_s: float = 1.0
    pause_s_min: float = 1.0
    pause_s_max: float = 60.0
    healthy_s: float = 600.0
    patience_s: float = 300.0
    admission_s: float = 30.0


@dataclass(frozen=True, slots=True)
class End:
    """How a run of the node ended: by itself with a code, or because we stopped it for a plan or for standing still."""

    code: int
    ran_s: float
    due: Plan | None = None
    is_stuck: bool = False


class Supervisor:
    """`own`: the command line of this version, without its words. `words`: what follows `start --home DIR`."""

    def __init__(
        self, home: Path, own: Sequence[str], words: Sequence[str] = (), *, pace: Pace = Pace(),
        admitted: Callable[[], Awaitable[int]] | None = None,
    ) -> None:  # fmt: skip
        """`admitted`: the newest engine version that the contract takes; 0 while nobody can tell."""
        self._home, self._own, self._words, self._pace = home, tuple(own), tuple(words), pace
        self._admitted = admitted
        self._state = load_state(home)
        self._stopping = trio.Event()
        self._asked_s = float("-inf")

    def stop(self) -> None:
        """End the node and return."""
        self._stopping.set()

    async def run(self) -> int:
        """0 after `stop` or when somebody else ended the node, else the node's exit code. Raises `ConfigError`."""
        pause_s = self._pace.pause_s_min
        while not self._stopping.is_set():
            ended = await self._run_node(self._find_program())
            if self._stopping.is_set() or (ended.code == 0 and ended.due is None and not ended.is_stuck):
                return 0
            if ended.due is not None:
                self._switch(ended.due)
                continue
            if self._state.before is not None and (ended.is_stuck or ended.code != 0):
                self._roll_back(ended)
                continue
            if ended.code in (EXIT_MISTAKE, EXIT_STOPPED):
                log.error("supervise.stopped code=%d (the node ended itself, and is not started again)", ended.code)
                return ended.code
            if ended.ran_s >= self._pace.healthy_s:
                pause_s = self._pace.pause_s_min
            log.warning("supervise.restarting code=%d ran_s=%.1f pause_s=%.1f", ended.code, ended.ran_s, pause_s)
            with trio.move_on_after(pause_s):
                await self._stopping.wait()
            pause_s = min(2 * pause_s, self._pace.pause_s_max)
        return 0

    def _find_program(self) -> tuple[str, ...]:
        if self._state.running == OWN:
            return self._own
        program = find_program(self._home, self._state.running)
        if not program.exists():
            raise ConfigError(
                f"{program} is gone, and it is the version that this node runs: put it back, or delete "
                "upgrades/state.json to run the supervisor's own"
            )
        return (str(program),)

    # one run

    async def _run_node(self, program: tuple[str, ...]) -> End:
        began_s = trio.current_time()
        argv = [*program, "start", "--home", str(self._home), *self._words]
        # Not by trio, which starts processes in threads: the death of one's parent is that of the thread.
        process = subprocess.Popen(argv, stdin=subprocess.DEVNULL, preexec_fn=_end_with_parent)
        log.info("supervise.started version=%s pid=%d", self._state.running or "own", process.pid)
        found: list[Plan | None] = []
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._watch, process, found)
                nursery.start_soon(self._end_when_stopping, process)
                while process.poll() is None:
                    await trio.sleep(self._pace.poll_s / 4)
                nursery.cancel_scope.cancel()
        finally:
            if process.poll() is None:  # nothing that went wrong here may leave it alone
                process.terminate()
                process.wait()
        due = found[0] if found else None
        return End(process.returncode, trio.current_time() - began_s, due, found == [None])

    async def _end_when_stopping(self, process: subprocess.Popen[bytes]) -> None:
        await self._stopping.wait()
        await _end(process)

    async def _watch(self, process: subprocess.Popen[bytes], found: list[Plan | None]) -> None:
        """Ends the node for the plan that is due and was rehearsed, or, None, where a version on trial stands still."""
        height, moved_s = read_height(self._home), trio.current_time()
        while True:
            await trio.sleep(self._pace.poll_s)
            seen, now_s = read_height(self._home), trio.current_time()
            if seen > height:
                height, moved_s = seen, now_s
            if self._state.before is not None and self._is_stuck(height, now_s - moved_s):
                found.append(None)
                return await _end(process)
            plan = await self._find_due(height)
            if plan is not None and await self._rehearse(plan):
                found.append(plan)
                return await _end(process)

    def _is_stuck(self, height: int, still_s: float) -> bool:
        """Of a version on trial; one that has followed enough blocks is on trial no more."""
        if height >= self._state.until_height:
            log.info("upgrade.proven version=%s height=%d", self._state.running, height)
            self._save(replace(self._state, before=None))
            return False
        return still_s > self._pace.patience_s

    # upgrades

    async def _find_due(self, height: int) -> Plan | None:
        try:
            plan = find_due(list_plans(self._home), self._state, height)
        except ConfigError as error:
            log.warning("upgrade.unreadable error=%s", error)
            return None
        if plan is None or not plan.engine_version or self._admitted is None:
            return plan
        if trio.current_time() < self._asked_s + self._pace.admission_s:
            return None
        self._asked_s = trio.current_time()
        admitted_version = await self._admitted()
        if admitted_version >= plan.engine_version:
            return plan
        log.warning(
            "upgrade.not_admitted version=%s engine=%d admitted=%d (the council has not voted for it yet)",
            plan.name, plan.engine_version, admitted_version,
        )  # fmt: skip
        return None

    async def _rehearse(self, plan: Plan) -> bool:
        """Whether it replays what is stored to the same roots; one that does not is refused."""
        snapshots = sorted((self._home / "data" / "snapshots").glob("*.snapshot"))
        argv = [str(plan.program), "audit", "--home", str(self._home), "--offline"]
        argv += ["--from-snapshot", str(snapshots[0])] if snapshots else []
        run = partial(trio.run_process, argv, check=False, capture_stdout=True, capture_stderr=True)
        try:
            done = await run(stdin=b"")
        except OSError as error:
            self._refuse(plan, str(error))
            return False
        if done.returncode != 0:
            said = (done.stdout + done.stderr).decode(errors="replace").strip().splitlines()
            self._refuse(plan, said[-1] if said else f"exit code {done.returncode}")
            return False
        log.info("upgrade.rehearsed version=%s", plan.name)
        return True

    def _refuse(self, plan: Plan, reason: str) -> None:
        log.error("upgrade.refused version=%s reason=%s (its replay of the stored blocks failed)", plan.name, reason)
        self._save(replace(self._state, refused=(*self._state.refused, plan.name)))

    def _switch(self, plan: Plan) -> None:
        height = read_height(self._home)
        log.info("upgrade.switched version=%s from=%s height=%d", plan.name, self._state.running or "own", height)
        self._save(UpgradeState(plan.name, self._state.running, height + plan.watch_blocks, self._state.refused))

    def _roll_back(self, ended: End) -> None:
        state = self._state
        assert state.before is not None
        log.error(
            "upgrade.rolled_back version=%s to=%s code=%d stuck=%s height=%d",
            state.running, state.before or "own", ended.code, ended.is_stuck, read_height(self._home),
        )  # fmt: skip
        self._save(UpgradeState(state.before, None, 0, (*state.refused, state.running)))

    def _save(self, state: UpgradeState) -> None:
        self._state = state
        save_state(self._home, state)


def read_height(home: Path) -> int:
    """Of the last final block on the disk, whatever version wrote it; 0 without any."""
    path = home / "data" / "blocks.sqlite"
    try:
        with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as database:
            return int(database.execute("SELECT COALESCE(MAX(height), 0) FROM blocks").fetchone()[0])
    except sqlite3.OperationalError:
        return 0


async def _end(process: subprocess.Popen[bytes]) -> None:
    """Asked first, then made to."""
    if process.poll() is None:
        process.send_signal(signal.SIGTERM)
        give_up_at_s = trio.current_time() + STOP_GRACE_S
        while process.poll() is None:
            if trio.current_time() > give_up_at_s:
                process.kill()
            await trio.sleep(END_POLL_S)


def _end_with_parent() -> None:
    """In the child: a supervisor that was killed leaves no node behind that would keep the next one out (Linux). An
    interrupt at the terminal reaches the supervisor alone, which ends the node in order.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_DEATH_SIGNAL, signal.SIGTERM)
