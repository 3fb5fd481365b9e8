"""The key that pays gas can be replaced; for the others the way of a newcomer is told."""

import stat
from dataclasses import replace

import pytest

from consensus.crypto import derive_secret
from tests.validator.test_config import NETWORK
from validator.candidate import address_of
from validator.config import Home, NodeConfig, save_toml
from validator.keys import Keys, load_keys, load_operator_key, read_key_file, save_keys
from validator.keystores import lock
from validator.passphrase import FILE_VARIABLE
from validator.rotate_command import rotate_key

KEYS = Keys(derive_secret(b"\7" * 32), b"\1" * 32, b"\2" * 32)


@pytest.fixture
def home(tmp_path) -> Home:
    home = Home(tmp_path / "node")
    save_toml(home.genesis, replace(NETWORK, epoch_length_ms=60_000))
    save_toml(home.config, NodeConfig(2, ()))
    save_keys(home.keys, KEYS)
    return home


def test_another_account_pays_and_the_one_before_is_kept(home, tmp_path, capsys):
    kept = tmp_path / "operator-kept.key"
    assert rotate_key("gas", home=home.path, keep=kept) == 0
    keys = load_keys(home.keys)
    assert (keys.bls, keys.network) == (KEYS.bls, KEYS.network) and keys.operator != KEYS.operator
    assert address_of(keys.operator) in capsys.readouterr().out
    assert read_key_file(kept) == KEYS.operator
    assert [stat.S_IMODE(path.stat().st_mode) for path in (kept, home.keys / "operator.key")] == [0o600, 0o600]
    assert rotate_key("gas", home=home.path, keep=kept) == 2 and load_keys(home.keys) == keys
    assert "exists already" in capsys.readouterr().err
    assert rotate_key("gas", home=home.path) == 2 and "--keep FILE" in capsys.readouterr().err


def test_a_locked_one_stays_locked_by_the_same_passphrase(home, tmp_path, monkeypatch, capsys):
    (home.keys / "operator.key").unlink()
    cheap_to_open = lock("network", KEYS.operator, "correct horse battery")
    (home.keys / "operator.json").write_text(cheap_to_open)
    phrase = tmp_path / "passphrase"
    phrase.write_text("something else entirely\n")
    phrase.chmod(0o600)
    monkeypatch.setenv(FILE_VARIABLE, str(phrase))
    before = (home.keys / "operator.json").read_text()
    assert rotate_key("gas", home=home.path, keep=tmp_path / "kept.json") == 2
    assert "another passphrase" in capsys.readouterr().err
    assert (home.keys / "operator.json").read_text() == before and not (tmp_path / "kept.json").exists()
    phrase.write_text("correct horse battery\n")
    assert rotate_key("gas", home=home.path, keep=tmp_path / "kept.json") == 0
    assert (tmp_path / "kept.json").read_text() == before and load_operator_key(home.keys) != KEYS.operator


@pytest.mark.parametrize(
    ("key", "length_ms", "words"),
    [
        ("voting", 60_000, ("the registry keeps it for number 2 for ever", "stop this node now", "hansa leave --home")),
        ("network", 60_000, ("keys/network", "hansa init --home NEW", "--withdraw")),
        ("operator", 60_000, ("the account that registered", "hansa join --home NEW")),
        ("voting", 0, ("committee is fixed",)),
    ],
)
def test_what_is_registered_stays_and_the_way_to_new_keys_is_told(home, capsys, key, length_ms, words):
    save_toml(home.genesis, replace(NETWORK, epoch_length_ms=length_ms))
    assert rotate_key(key, home=home.path) == 1
    told = capsys.readouterr().err
    assert all(part in told for part in words)
    assert load_keys(home.keys) == KEYS
