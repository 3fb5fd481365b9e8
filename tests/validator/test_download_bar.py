"""Who fetches a snapshot sees how far it has come: a line every tenth, and a bar where there is a terminal."""

import io
import logging

from validator.download_bar import DownloadBar


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_a_log_gets_a_line_every_tenth_and_a_terminal_a_bar(caplog):
    caplog.set_level(logging.INFO, "hansa.syncing")
    log_only, terminal = io.StringIO(), Terminal()
    for stream in (log_only, terminal):
        caplog.clear()
        bar = DownloadBar(stream)
        for held in range(1, 41):
            bar.show(800, held, 40, 40 << 20, 3)
        percents = [int(line.split("percent=")[1].split()[0]) for line in caplog.messages]
        assert percents == [2, 10, 20, 30, 40, 50, 60, 70, 80, 90, 100]
    assert log_only.getvalue() == ""
    assert terminal.getvalue().endswith(f"\rsnapshot of height 800 [{'#' * 30}] 100 % of 40.0 MiB\n")


def test_another_snapshot_begins_anew(caplog):
    caplog.set_level(logging.INFO, "hansa.syncing")
    bar = DownloadBar(io.StringIO())
    bar.show(800, 39, 40, 1 << 20, 1)
    bar.show(1_000, 1, 40, 1 << 20, 1)
    assert [line.split()[1:3] for line in caplog.messages] == [
        ["height=800", "percent=97"], ["height=1000", "percent=2"]
    ]  # fmt: skip
