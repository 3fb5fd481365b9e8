"""The commands that a page tells an operator to type, and a shell to type them into.

Blocks are those under `<!-- run: NAME -->`; in them `$ ` begins a command and all other lines show what it prints.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import trio

from testnet.local import Child, Processes

_BLOCK = "^<!-- run: {} -->\n```console\n(.*?)^```$"
_DONE = "@@done"


class CommandFailed(Exception):
    """A command of the page did not succeed; the message shows it and the end of what was printed."""


def read_page(page: Path, name: str) -> list[list[str]]:
    """The commands of each block that somebody of this name types, in the page's order."""
    found = re.finditer(_BLOCK.format(re.escape(name)), page.read_text(), re.DOTALL | re.MULTILINE)
    return [[line[2:] for line in block[1].splitlines() if line.startswith("$ ")] for block in found]


@dataclass(slots=True)
class OperatorShell:
    """One bash for a whole page, because what is exported and what runs in the background stays."""

    child: Child
    printed: list[str] = field(default_factory=list)

    @classmethod
    def start(cls, processes: Processes, folder: Path, environment: dict[str, str]) -> "OperatorShell":
        """`environment` stands above ours. The shell starts in `folder`; its errors are in `folder`/shell.txt."""
        folder.mkdir(parents=True, exist_ok=True)
        words = [f"{name}={value}" for name, value in environment.items()]
        argv = ["env", "-C", str(folder), *words, "bash", "--noprofile", "--norc"]
        return cls(processes.start("operator's shell", argv, folder / "shell.txt", is_piped=True))

    async def type(self, command: str, limit_s: float) -> list[str]:
        """What it printed. Raises `CommandFailed` if it fails or takes longer."""
        pipe = self.child.process.stdin
        assert pipe is not None
        printed: list[str] = []
        pipe.write(f"{command}\necho {_DONE} $?\n".encode())
        pipe.flush()
        with trio.move_on_after(limit_s):
            while True:
                line = await trio.to_thread.run_sync(self._read_line, abandon_on_cancel=True)  # type: ignore[call-arg]
                if line.startswith(_DONE):
                    self.printed += printed
                    if line.split()[1] != "0":
                        raise CommandFailed(f"`{command}` ended with {line.split()[1]}:\n{self._show(printed)}")
                    return printed
                printed.append(line)
        raise CommandFailed(f"`{command}` did not end within {limit_s:.0f} s:\n{self._show(printed)}")

    async def type_all(self, commands: Sequence[str], limit_s: float) -> list[str]:
        return [line for command in commands for line in await self.type(command, limit_s)]

    def _read_line(self) -> str:
        pipe = self.child.process.stdout
        assert pipe is not None
        line = pipe.readline()
        if not line:
            raise CommandFailed(f"the operator's shell has ended:\n{self.child.tail()}")
        return line.decode().rstrip("\n")

    def _show(self, printed: list[str]) -> str:
        return "\n".join(printed[-20:]) + "\n" + self.child.tail()
