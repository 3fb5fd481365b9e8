"""What a page tells an operator to type is typed as it stands, and the first thing that fails is named."""

import pytest
import trio

from testnet.drill_join import PAGE
from testnet.local import Processes
from testnet.operator_shell import CommandFailed, OperatorShell, read_page


def test_only_blocks_of_that_name_are_typed_and_only_their_commands(tmp_path):
    page = tmp_path / "page.md"
    page.write_text(
        "<!-- run: a -->\n```console\n$ one\nits output\n$ two $X\n```\ntext\n```console\n$ other\n```\n"
        "<!-- run: b -->\n```console\n$ not this\n```\n<!-- run: a -->\n```console\n$ three\n```\n"
    )
    assert read_page(page, "a") == [["one", "two $X"], ["three"]]


def test_the_operators_page_goes_from_the_folder_to_the_stakes_way_back():
    commands = [command for block in read_page(PAGE, "drill-join") for command in block]
    order = ["export NODE_HOME", "hansa init", "hansa start", "--dry-run", "hansa join", "hansa doctor", "serving",
             "hansa leave", "has left", "--withdraw", "kill"]  # fmt: skip
    at = [next(at for at, command in enumerate(commands) if words in command) for words in order]
    assert at == sorted(at)


def test_one_shell_remembers_and_a_failure_is_told_with_what_was_printed(tmp_path):
    async def run() -> list[str]:
        told = []
        with Processes() as processes:
            shell = OperatorShell.start(processes, tmp_path / "operator", {"WORD": "one two"})
            told += await shell.type_all(['echo "$WORD"', "export NEXT=3 && sleep 60 &", "NEXT=4", "echo $NEXT"], 20)
            told += await shell.type("until test -f there; do touch there; done; ls; kill %1", 20)
            with pytest.raises(CommandFailed) as failure:
                await shell.type("echo why >&2; (exit 7)", 20)
            told.append(str(failure.value))
        return told

    printed, four, listed, shell_log, failure = trio.run(run)
    assert (printed, four, listed, shell_log) == ("one two", "4", "shell.txt", "there")
    assert "ended with 7" in failure and "why" in failure
