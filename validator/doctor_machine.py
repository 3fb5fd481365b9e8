"""What `hansa doctor` asks of the machine: disk, memory, files, compiler, ports."""

import os
import resource
import socket
import time
from pathlib import Path

from validator.compilecache import prepare_compile_cache
from validator.config import API_PROCESSES
from validator.join_checks import Answer, Applicant, is_greeted

FREE_BYTES_MIN = 5 << 30
# A vote waits for one to three of them; agreement asks for a block every 50 ms.
FSYNC_MS_MAX = 25
FSYNC_COUNT = 9
FSYNC_BYTES = 4_096
MEMORY_BYTES_MIN = 1 << 30
OPEN_FILES_MIN = 1_024
GIB = 1 << 30


def check_disk(applicant: Applicant) -> Answer:
    folder = applicant.home.path
    found = os.statvfs(folder)
    free_bytes = found.f_bavail * found.f_frsize
    fsync_ms = measure_fsync_ms(applicant.home.data if applicant.home.data.is_dir() else folder)
    words = f"{free_bytes / GIB:.1f} GiB free, an fsync takes {fsync_ms:.1f} ms"
    if free_bytes < FREE_BYTES_MIN:
        return False, f"{words}: make room, or set keep_blocks"
    if fsync_ms > FSYNC_MS_MAX:
        return False, f"{words}: votes wait for it; use a disk with power-loss protection, and no other program on it"
    return True, words


def measure_fsync_ms(folder: Path) -> float:
    """The median of a few, of a page each."""
    path, times_s = folder / ".doctor", []
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        for at in range(FSYNC_COUNT):
            os.pwrite(descriptor, bytes(FSYNC_BYTES), at * FSYNC_BYTES)
            began_s = time.monotonic()
            os.fdatasync(descriptor)
            times_s.append(time.monotonic() - began_s)
    finally:
        os.close(descriptor)
        path.unlink()
    return 1_000 * sorted(times_s)[FSYNC_COUNT // 2]


def check_memory(applicant: Applicant) -> Answer:
    path = Path("/proc/meminfo")
    if not path.exists():
        return True, "not known on this system"
    fields = dict(line.split(":", 1) for line in path.read_text().splitlines())
    available = int(fields["MemAvailable"].split()[0]) * 1_024
    words = f"{available / GIB:.1f} GiB available"
    return available >= MEMORY_BYTES_MIN, words if available >= MEMORY_BYTES_MIN else f"{words}: free some, or add it"


def check_open_files(applicant: Applicant) -> Answer:
    """As this shell hands it on; a service has its own (LimitNOFILE of systemd)."""
    limit, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    words = "unlimited" if limit == resource.RLIM_INFINITY else f"at most {limit} open files"
    is_enough = limit == resource.RLIM_INFINITY or limit >= OPEN_FILES_MIN
    return is_enough, words if is_enough else f"{words}: ulimit -n {OPEN_FILES_MIN * 4}, LimitNOFILE in a unit"


def check_compiler(applicant: Applicant) -> Answer:
    folder = prepare_compile_cache()
    parent = next(path for path in (folder, *folder.parents) if path.exists())
    if not os.access(parent, os.W_OK):
        return False, f"{parent} is not writable: every start compiles for a minute; set HANSA_CACHE to a folder"
    if not folder.exists():
        return True, "the engine is not compiled yet: the first start takes a minute longer"
    return True, f"compiled code in {folder}"


def check_ports(applicant: Applicant) -> Answer:
    """While the node runs they are its own, otherwise nobody's."""
    node, is_running = applicant.node, applicant.is_running
    wanted = {"listen_port": (node.listen_host, node.listen_port)}
    if node.api_process in API_PROCESSES[:2]:
        wanted["api_port"] = (node.api_host, node.api_port)
    if node.metrics_port:
        wanted["metrics_port"] = (node.metrics_host, node.metrics_port)
    wrong = []
    for name, (host, port) in wanted.items():
        is_free = can_bind(host, port)
        if is_running and is_free:
            wrong.append(f"the node runs and does not listen on {name} {port}: see its log")
        if not is_running and not is_free:
            wrong.append(f"{name} {port} cannot be had on {host}: another program has it, or write another number")
    if is_running and not wrong and not is_greeted(_own(node.listen_host), node.listen_port):
        wrong.append(f"something else than this validator answers on listen_port {node.listen_port}")
    ports = ", ".join(f"{name} {port}" for name, (_, port) in wanted.items())
    return not wrong, "; ".join(wrong) or f"{ports}: {'the node listens' if is_running else 'free'}"


def can_bind(host: str, port: int) -> bool:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError:
            return False
    return True


def _own(host: str) -> str:
    return {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)


MACHINE_QUESTIONS = (
    ("disk", check_disk), ("memory", check_memory), ("open files", check_open_files), ("compiler", check_compiler),
    ("ports", check_ports),
)  # fmt: skip
