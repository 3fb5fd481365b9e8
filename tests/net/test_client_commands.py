"""The trader's commands against a real gateway: what they print, and what they exit with."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import trio
from test_client import KEY_HEX, MARKET, funded
from test_gateway_inputs import OWNER, running

from net.client.proof import verify_account
from validator.__main__ import app, run_words

ACCOUNT = "0x" + OWNER.hex()


@pytest.fixture(autouse=True)
def clean(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("HANSA_URL", "HANSA_KEY", "HANSA_ACCOUNT", "HANSA_KEYSTORE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HANSA_KEYS", str(tmp_path / "keys"))
    monkeypatch.setenv("COLUMNS", "200")


@pytest.fixture
def shell(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., Any]:
    """`shell(url, "buy ...")` is the exit code; with `--json` what was printed, decoded."""

    def run(url: str, words: str, expected: int = 0) -> Any:
        monkeypatch.setenv("HANSA_URL", url)
        code = run_words(words.split())
        printed = capsys.readouterr()
        assert code == expected, printed.err
        return json.loads(printed.out) if "--json" in words and printed.out else printed.out + printed.err

    return run


async def test_a_day_at_the_command_line(shell: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HANSA_KEY", KEY_HEX)

    def work(url: str) -> None:
        placed = shell(url, f"buy {MARKET} 0.010 @64000 --label bid-1 --json")
        assert placed["order"]["state"] == "open" and placed["order"]["price_usd"] == "64000.0"
        assert placed["order"]["order_id"] in shell(url, "orders")
        assert shell(url, f"book {MARKET} --json")["bids"] == [["64000.0", "0.010"]]
        assert "64000.0" in shell(url, f"book {MARKET}")
        sold = shell(url, f"order sell {MARKET} 0.004 63000 --tif immediate_or_cancel")
        assert "filled" in sold and "taker" in sold
        assert [trade["amount_base"] for trade in shell(url, f"trades {MARKET} --json")] == ["0.004"]
        assert "maker" in shell(url, f"trades {MARKET} --own")
        assert shell(url, f"cancel --instrument {MARKET} --label bid-1 --json")["count"] == 1
        assert "cancelled: 0" in shell(url, "cancel --all")
        assert "1,000.000000" in shell(url, "account")
        assert shell(url, "positions --json")[0]["size_base"] == "0.000"
        assert shell(url, "withdraw 12.5 --json")["index"] == 0
        assert shell(url, "status --json")["peer_count"] == 3
        assert "peer_count" in shell(url, "status")
        assert shell(url, f"call public/ticker instrument_name={MARKET}").count("mark_price") == 1

    async with running(funded()) as url:
        await trio.to_thread.run_sync(work, url)


async def test_exit_codes_say_whose_fault_it_was(shell: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> None:
    def work(url: str) -> None:
        assert "no key" in shell(url, f"buy {MARKET} 0.010 @64000", 2)
        monkeypatch.setenv("HANSA_KEY", KEY_HEX)
        assert "nearest" in shell(url, f"buy {MARKET} 0.010 @64000.05", 2)
        assert "unknown instrument" in shell(url, "buy DOGE 1 @1", 2)
        assert "say which" in shell(url, "cancel", 2)
        shell(url, "buy", 2)
        shell(url, "buy X 1 --tif for_ever", 2)
        refused = shell(url, "withdraw 99999999 --json", 1)
        assert refused["error"]["code"] > 0
        assert "refused, code" in shell(url, f"cancel {MARKET}-99", 1)
        assert "no answer" in shell("http://127.0.0.1:9", "status", 3)
        assert "no answer" in shell("http://127.0.0.1:9", "positions", 3)
        shell(f"http://127.0.0.1:9,{url}", "status", 0)

    async with running(funded()) as url:
        await trio.to_thread.run_sync(work, url)


async def test_a_proof_is_checked_and_kept(shell: Callable[..., Any], tmp_path: Path) -> None:
    def work(url: str) -> None:
        assert shell(url, f"proof --account {ACCOUNT} --json")["claims"] == "1000.000000"
        assert "kept in" in shell(url, f"proof --account {ACCOUNT} --save {tmp_path / 'proofs'}")

    async with running(funded()) as url:
        await trio.to_thread.run_sync(work, url)
    kept = json.loads((tmp_path / "proofs" / f"{ACCOUNT}-0.json").read_text())
    assert verify_account(kept, OWNER, 0)[0] == 1_000_000_000


async def test_keys_are_locked_and_sign(
    shell: Callable[..., Any], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("validator.keystores._KDFS", {"operator": "pbkdf2"})
    passphrase = tmp_path / "passphrase"
    passphrase.write_text("correct horse battery\n")
    passphrase.chmod(0o600)
    monkeypatch.setenv("HANSA_PASSPHRASE_FILE", str(passphrase))

    def work(url: str) -> None:
        with monkeypatch.context() as patched:
            patched.setattr("sys.stdin", (tmp_path / "passphrase").open())
            assert "no private key" in shell(url, "key import bad", 2)
        (tmp_path / "secret").write_text(KEY_HEX + "\n")
        with monkeypatch.context() as patched:
            patched.setattr("sys.stdin", (tmp_path / "secret").open())
            assert shell(url, "key import main --json")["address"] == ACCOUNT
        file = tmp_path / "keys" / "main.json"
        assert file.stat().st_mode & 0o077 == 0 and KEY_HEX[2:] not in file.read_text()
        assert shell(url, "key list --json") == {"main": ACCOUNT}
        assert "main" in shell(url, "key list")
        assert shell(url, "key show main --secret --json")["secret"] == KEY_HEX
        shell(url, "key new main", 2)
        assert shell(url, f"buy {MARKET} 0.010 @64000 --key main --json")["order"]["state"] == "open"
        assert "the names in" in shell(url, f"buy {MARKET} 0.010 @64000 --key other", 2)
        passphrase.write_text("another one, and wrong\n")
        assert "another passphrase" in shell(url, f"buy {MARKET} 0.010 @64000 --key main", 2)

    async with running(funded()) as url:
        await trio.to_thread.run_sync(work, url)


async def test_what_is_watched_is_a_json_object_a_line() -> None:
    exchange = funded()

    def watch(url: str, *words: str) -> list[dict[str, Any]]:
        command = [sys.executable, "-m", "validator", *words, "--url", url]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=os.environ) as process:
            assert process.stdout is not None
            lines = [json.loads(process.stdout.readline())]
            process.terminate()
        return lines

    async with running(exchange) as url:
        (found,) = await trio.to_thread.run_sync(watch, url, "watch", f"book.{MARKET}.raw")
        assert found["channel"] == f"book.{MARKET}.raw" and found["data"]["type"] == "snapshot"
        (book,) = await trio.to_thread.run_sync(watch, url, "book", MARKET, "--watch", "--json")
        assert book["instrument_name"] == MARKET and book["bids"] == []


@pytest.mark.parametrize("name", [
    "account", "book", "buy", "call", "cancel", "deposit", "edit", "key new", "order", "proof", "sell", "session new",
    "status", "trades", "watch", "withdraw",
])  # fmt: skip
def test_a_commands_help_has_an_example(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run_words([*name.split(), "--help"]) == 0
    printed = capsys.readouterr().out
    assert printed.startswith(f"Usage: hansa {name}") and f" hansa {name} " in printed


@pytest.mark.parametrize("shell_name", ["bash", "zsh", "fish"])
def test_shells_complete_the_commands(shell_name: Any) -> None:
    script = app.generate_completion(shell=shell_name)
    assert "positions" in script and "session" in script
