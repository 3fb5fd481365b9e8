"""The console blocks of the pages: every `$ ` line of them is typed by some test.

A comment above a block, `<!-- run: NAME -->`, says who types it; without one it is the page's typist, or `network`, the
test with a real local network. `# until Ctrl-C` at the end of a line says that the command does not end by itself.
"""

import os
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]
NETWORK, ALONE, DEVELOP = "network", "alone", "develop"
# Who types the blocks of that name, where it looks for them by this name or by their page.
TYPISTS = {
    NETWORK: "tests/network/test_path.py",
    ALONE: "tests/test_console_blocks.py",
    "exit": "tests/contracts/test_exit_page.py",
    "testnet": "make testnet, on every change",
    DEVELOP: "tests/testnet/test_develop_page.py",
    "drill-join": "make drill-join: testnet/drill_join.py",
}
PAGE_TYPISTS = {"docs/exit.md": "exit", "docs/simulator.md": ALONE}
UNTIL_CTRL_C = "# until Ctrl-C"
WATCHED_S = 8
_BLOCK = re.compile(r"(?:^<!-- run: ([\w-]+) -->\n)?^```console\n(.*?)^```$", re.DOTALL | re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Block:
    page: str
    typist: str
    commands: tuple[str, ...]


def list_pages() -> list[Path]:
    return [ROOT / name for name in ("README.md", "ARCHITECTURE.md", "CONTRIBUTING.md")] + sorted(
        path for path in (ROOT / "docs").rglob("*.md")
    )


def read_blocks(page: Path) -> list[Block]:
    name = str(page.relative_to(ROOT))
    typist = PAGE_TYPISTS.get(name, NETWORK)
    return [Block(name, found[1] or typist, split_commands(found[2])) for found in _BLOCK.finditer(page.read_text())]


def split_commands(text: str) -> tuple[str, ...]:
    """Lines after a command's own belong to it while a here-document is open; otherwise they show its output."""
    commands: list[str] = []
    end = ""
    for line in text.splitlines():
        if end or line.startswith("$ "):
            commands.append(line.removeprefix("$ ") if not end else commands.pop() + "\n" + line)
            opened = re.search(r"<<'(\w+)'", line) if not end else None
            end = opened[1] if opened else "" if line == end else end
    return tuple(commands)


def make_script(blocks: list[Block]) -> str:
    """One shell for a whole page, as what a reader exports stays. Stops at the first command that fails."""
    lines = ["set -eo pipefail"]
    for command in (command for block in blocks for command in block.commands):
        lines.append(f"echo {quote('$ ' + command)} >&2")
        if UNTIL_CTRL_C in command:
            watched = quote(command.split(UNTIL_CTRL_C)[0])
            lines.append(f"timeout --signal=INT {WATCHED_S} bash -o pipefail -c {watched} || [ $? = 124 ]")
        else:
            lines.append(command)
    return "\n".join(lines) + "\n"


def quote(text: str) -> str:
    return "'" + text.replace("'", "'\\''") + "'"


def type_page(blocks: list[Block], folder: Path, replaced: dict[str, str], environment: dict[str, str]) -> str:
    """Runs them in `folder`, whose `hansa` is this repository's; what was printed. Fails with it if a command fails."""
    programs = folder / ".venv" / "bin"
    programs.mkdir(parents=True, exist_ok=True)
    for name, words in (("python", ""), ("hansa", " -m validator")):
        (programs / name).write_text(f'#!/bin/sh\nexec {sys.executable}{words} "$@"\n')
        (programs / name).chmod(0o755)
    script = make_script(blocks)
    for shown, real in replaced.items():
        script = script.replace(shown, real)
    own = {
        "PATH": f"{programs}:{os.environ['PATH']}", "HOME": str(folder), "PYTHONPATH": str(ROOT), "COLUMNS": "140",
    }  # fmt: skip
    ended = subprocess.run(
        ["bash", "-c", script], cwd=folder, env=os.environ | own | environment, stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=300,
    )  # fmt: skip
    assert ended.returncode == 0, ended.stdout[-4000:]
    return ended.stdout
