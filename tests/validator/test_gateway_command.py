"""`hansa gateway`: keys are made, listed and ended, what is wrong is said, and the snippet is ccxt's."""

import ast

import pytest

from net.keystore import KeystoreError, load_secret, save_secret
from net.trader.api_keys import KeyRing
from net.trader.scopes import ScopeError, is_enough, narrow, needed_for, parse_scope, show_scope
from validator.gateway_command import app, snippet

KEY = "0x" + "07" * 32


def test_keys_are_made_listed_and_ended(tmp_path, monkeypatch, capsys) -> None:
    monkeypatch.setenv("HANSA_KEY", KEY)
    place = ["--folder", str(tmp_path)]
    assert app(["keys", "new", "--name", "bot", "--scope", "trade:read", *place], result_action="return_value") == 0
    words = capsys.readouterr().out.split()
    client_id, secret = words[1], words[3]
    assert app(["keys", "list", *place], result_action="return_value") == 0
    assert capsys.readouterr().out.split() == [client_id, "trade:read", "bot"]
    path = tmp_path / "api_keys.json"
    assert secret not in path.read_text() and path.stat().st_mode & 0o077 == 0
    assert KeyRing.open(path, KEY).secret(client_id) == secret
    with pytest.raises(KeystoreError):
        KeyRing.open(path, "another passphrase")
    assert app(["keys", "remove", client_id, *place], result_action="return_value") == 0
    assert app(["keys", "remove", client_id, *place], result_action="return_value") == 1
    assert app(["keys", "new", "--scope", "trade:all", *place], result_action="return_value") == 2


def test_a_key_is_never_overwritten(tmp_path) -> None:
    path = tmp_path / "session.json"
    save_secret(path, b"\x07" * 32, "a passphrase")
    assert load_secret(path, "a passphrase") == b"\x07" * 32
    with pytest.raises(KeystoreError, match="not overwritten"):
        save_secret(path, b"\x08" * 32, "a passphrase")
    with pytest.raises(KeystoreError, match=r"session\.json"):
        load_secret(path, "another")


@pytest.mark.parametrize(
    ("scope", "method", "is_signed", "may"),
    [
        ("trade:read_write", "private/buy", True, True),
        ("trade:read", "private/buy", True, False),
        ("trade:read", "private/get_open_orders", False, True),
        ("account:read", "private/get_open_orders", False, False),
        ("account:read", "private/get_positions", False, True),
        ("trade:read_write account:read_write", "private/withdraw", True, False),
        ("wallet:read_write", "private/withdraw", True, True),
        ("wallet:read", "private/get_deposits", False, True),
        ("trade:read", "private/enable_cancel_on_disconnect", False, False),
        ("trade:read_write", "private/x_register_session_key", True, False),
        ("account:read_write", "private/x_register_session_key", True, True),
    ],
)
def test_scopes(scope: str, method: str, is_signed: bool, may: bool) -> None:
    needed = needed_for(method, is_signed)
    assert needed is not None and is_enough(parse_scope(scope), needed) is may


def test_a_login_may_ask_for_less_and_never_for_more() -> None:
    granted = parse_scope("trade:read_write account:read")
    assert show_scope(narrow(granted, parse_scope("trade:read wallet:read_write session:x"))) == "trade:read"
    assert narrow(granted, {}) == granted
    with pytest.raises(ScopeError, match="one of account"):
        parse_scope("everything")


def test_what_is_wrong_with_the_call_is_said(tmp_path, monkeypatch, capsys) -> None:
    monkeypatch.setenv("HANSA_KEY", KEY)
    for words, said in (
        (["--wait", "soon"], "final or received"),
        (["--owner", "0x12"], "no address"),
        (["--genesis", str(tmp_path / "none.toml")], "none.toml"),
    ):
        call = ["--node", "http://127.0.0.1:1", "--folder", str(tmp_path), *words]
        assert app(call, result_action="return_value") == 2
        assert said in capsys.readouterr().err


def test_the_snippet_is_python_that_changes_urls_and_keys_only() -> None:
    text = snippet("http://127.0.0.1:8777", "abc")
    ast.parse(text)
    assert "ccxt.deribit(" in text and "ws://127.0.0.1:8777/ws/api/v2" in text
