"""Claims files fetched from a node. Nothing is kept before it has proven itself: a claims file by its own root, the
withdrawals file by the header of a claims file.
"""

from pathlib import Path

import httpx

from contracts.claims_file import ClaimsFile, ClaimsFileError, read_claims
from contracts.withdrawals_file import WithdrawalsFileError, read_withdrawals
from validator.files import write_whole

DOWNLOAD_S_MAX = 900
DOWNLOAD_BYTES_MAX = 4 << 30


class MirrorError(Exception):
    """What the node sent is not kept; the message says why."""


def mirror_node(url: str, folder: Path) -> None:
    """Fetch what is not there yet; a line for each file on stdout. Raises `MirrorError`, `OSError`."""
    try:
        with httpx.Client(base_url=url, timeout=DOWNLOAD_S_MAX) as http:
            mirror_files(http, folder)
    except httpx.HTTPError as error:
        raise MirrorError(f"{url} does not answer as a node: {error}") from None


def mirror_files(http: httpx.Client, folder: Path) -> None:
    """`mirror_node` over an open connection."""
    index = http.get("/claims").raise_for_status().json()
    files = []
    for row in index["claims"]:
        name = str(row["account_root"]).removeprefix("0x")
        if len(name) != 64 or set(name) - set("0123456789abcdef"):
            raise MirrorError(f"the node lists {row['account_root']!r}, which is no account root: ask another node")
        path = folder / name
        data = path.read_bytes() if path.exists() else _fetch(http, f"/claims/0x{name}")
        try:
            file = read_claims(data)
        except ClaimsFileError as error:
            raise MirrorError(f"{name}: {error}. Ask another node") from None
        if file.account_root.hex() != name:
            raise MirrorError(f"the node sent the accounts of another root for {name}: ask another node")
        if not path.exists():
            write_whole(path, data)
        files.append(file)
        print(f"{file.height:>10}  {name}  {file.account_count} accounts, {len(data)} bytes")
    if index.get("withdrawals") and files:
        _mirror_withdrawals(_fetch(http, "/claims/withdrawals"), files, folder)


def _mirror_withdrawals(data: bytes, files: list[ClaimsFile], folder: Path) -> None:
    """Kept if the header of the newest file proves it."""
    try:
        proven = read_withdrawals(data, max(files, key=lambda file: file.height).header)
    except WithdrawalsFileError as error:
        raise MirrorError(f"the withdrawals file: {error}") from None
    write_whole(folder / "withdrawals.log", data)
    print(f"{len(proven.rows)} withdrawals proven")


def _fetch(http: httpx.Client, path: str) -> bytes:
    data = bytearray()
    with http.stream("GET", path) as answer:
        answer.raise_for_status()
        for chunk in answer.iter_bytes():
            data += chunk
            if len(data) > DOWNLOAD_BYTES_MAX:
                raise MirrorError(f"{path} has no end: ask another node")
    return bytes(data)
