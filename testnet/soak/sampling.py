"""What a validator holds: memory, files, threads, tasks, bytes on disk. Read from /proc, the API and its folder."""

from dataclasses import dataclass
from pathlib import Path

import httpx

from testnet.hostile.watching import read_resident_bytes

ASK_TIMEOUT_S = 5.0


@dataclass(frozen=True, slots=True)
class Holdings:
    """Of one validator at one moment. `time_s` counts from the start of the run."""

    time_s: float
    resident_bytes: int
    open_files: int
    threads: int
    tasks: int
    disk_bytes: int
    height: int


def count_open_files(process_id: int) -> int:
    """Descriptors of a process (proc(5))."""
    return sum(1 for _ in Path(f"/proc/{process_id}/fd").iterdir())


def count_threads(process_id: int) -> int:
    return sum(1 for _ in Path(f"/proc/{process_id}/task").iterdir())


def measure_folder(folder: Path) -> int:
    """Bytes of all files. Files come and go meanwhile."""
    total_bytes = 0
    for path in folder.rglob("*"):
        try:
            total_bytes += path.stat().st_size if path.is_file() else 0
        except FileNotFoundError:
            continue
    return total_bytes


async def take_holdings(
    client: httpx.AsyncClient, time_s: float, process_id: int, url: str, data: Path
) -> Holdings | None:
    """None while the validator is down or does not answer."""
    try:
        response = await client.get(f"{url}/api/v2/public/x_get_counters", timeout=ASK_TIMEOUT_S)
        counters = response.json()["result"]
        return Holdings(
            time_s, read_resident_bytes(process_id), count_open_files(process_id), count_threads(process_id),
            counters["task_count"], measure_folder(data), counters["height"],
        )  # fmt: skip
    except (httpx.HTTPError, OSError, ValueError, KeyError):
        return None
