"""The first minute of docs/develop.md, typed: a devnet as a process, asked by curl, the command line and the SDK."""

import re
import socket
from pathlib import Path

from tests.console_blocks import DEVELOP, ROOT, read_blocks, type_page

SHOWN_URL, SHOWN_START = "http://127.0.0.1:8645", "hansa devnet --single --block-time 0"


def find_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def test_the_first_minute_is_as_the_page_says(tmp_path: Path) -> None:
    port = find_port()
    blocks = [block for block in read_blocks(ROOT / "docs" / "develop.md") if block.typist == DEVELOP]
    url = f"http://127.0.0.1:{port}"
    # Perpetuals alone: half the time, and nothing on the page asks for options.
    replaced = {SHOWN_URL: url, SHOWN_START: f"{SHOWN_START} --no-options --port {port}"}
    printed = type_page(blocks, tmp_path, replaced, {"HANSA_URL": url})
    assert "(0) 0xf39fd6e51aad88f6f4ce6ab8827279cfffb92266" in printed
    assert re.search(r"^an hour of funding: \d+\.\d+ \d+\.\d+$", printed, re.MULTILINE)
    assert "every root and certificate is as recorded" in printed
