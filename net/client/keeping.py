"""Keeps a trader's latest proofs on the trader's own disk, so that getting out needs no validator.

One file an account, `OWNER-SUBACCOUNT.json`, is the answer of `public/x_get_proof` at the last checkpoint that the node
has seen on the settlement chain, checked before it is kept. It is replaced whole, and the one before it stays beside it
as `OWNER-SUBACCOUNT.previous.json`: the chain may take a checkpoint back. The owner's last withdrawals are proven by
the same checkpoint in `OWNER-withdrawal-INDEX.json`, as `public/x_get_withdrawal_proof` answers.
"""

import json
import logging
import os
from collections.abc import Awaitable, Callable
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import anyio
from anyio.from_thread import start_blocking_portal

from net.client.proof import ProofError
from net.client.protocol import HansaError
from net.client.records import ProvenAccount

logger = logging.getLogger(__name__)
LOOK_INTERVAL_S = 1.0

# The proof of a checkpoint above a height, None while there is none.
FindProof = Callable[[int], Awaitable[ProvenAccount | None]]
# Proofs of withdrawals by the block of a height.
FindWithdrawals = Callable[[int], Awaitable[list[dict[str, Any]]]]


def save_proof(folder: Path, proof: ProvenAccount) -> Path:
    """Durable and whole before it has its name; what had the name is the previous one."""
    return _save(folder, f"{proof.raw['owner']}-{proof.raw['subaccount']}", proof.raw)


def save_withdrawals(folder: Path, proofs: list[dict[str, Any]]) -> list[Path]:
    """A file each, as `save_proof`."""
    return [_save(folder, f"{raw['owner']}-withdrawal-{raw['index']}", raw) for raw in proofs]


def _save(folder: Path, name: str, raw: dict[str, Any]) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}.json"
    aside = path.with_suffix(".partial")
    with aside.open("w", encoding="utf-8") as file:
        json.dump(raw, file)
        file.flush()
        os.fsync(file.fileno())
    if path.exists():
        os.replace(path, path.with_suffix(".previous.json"))
    os.replace(aside, path)
    descriptor = os.open(folder, os.O_RDONLY)
    os.fsync(descriptor)
    os.close(descriptor)
    return path


def read_kept(folder: Path, owner: str, subaccount: int) -> tuple[Path, dict[str, Any]]:
    """The account's newest proof and its file. Raises `HansaError`; what it says is to be checked."""
    path = folder / f"{owner.lower()}-{subaccount}.json"
    try:
        raw: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise HansaError(
            0, f"no proof in {path}: {error}", "a running gateway or `hansa proof --save` keeps one"
        ) from None
    return path, raw


async def keep_proofs(find: FindProof, folder: Path, find_withdrawals: FindWithdrawals | None = None) -> None:
    """Until cancelled. Whatever goes wrong is logged and tried again: a trader trades on without it."""
    height, is_failing = 0, False
    while True:
        try:
            proof = await find(height)
            if proof is not None:
                await anyio.to_thread.run_sync(save_proof, folder, proof)
                height = proof.height
                if find_withdrawals is not None:
                    await anyio.to_thread.run_sync(save_withdrawals, folder, await find_withdrawals(height))
            is_failing = False
        except (HansaError, ProofError, OSError) as error:
            if not is_failing:
                logger.warning("sdk.proof_not_kept error=%s (trying again)", error)
            is_failing = True
        await anyio.sleep(LOOK_INTERVAL_S)


class ProofKeeper:
    """`keep_proofs` in a thread of its own, for the blocking client. Ends with its `with` block."""

    def __init__(self, run: Callable[[Path], Awaitable[Any]], folder: Path) -> None:
        self._run, self._folder = run, folder
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        portal = self._stack.enter_context(start_blocking_portal(name="hansa-proofs"))
        task = portal.start_task_soon(self._run, self._folder)
        self._stack.callback(task.cancel)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()
