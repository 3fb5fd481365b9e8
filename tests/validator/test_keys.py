"""Keys at rest: plain for local networks, behind a passphrase for everybody else."""

import io
import json
import stat

import eth_keyfile
import pytest

from consensus.crypto import derive_public_key, derive_secret
from validator import passphrase as passphrases
from validator.config import ConfigError
from validator.keys import Keys, has_keys, load_keys, save_keys
from validator.passphrase import CHARS_MIN, CREDENTIAL, FILE_VARIABLE, choose_passphrase, find_passphrase

KEYS = Keys(derive_secret(b"\7" * 32), b"\1" * 32, b"\2" * 32)
PASSPHRASE = "correct horse battery"


@pytest.fixture(scope="module")
def locked(tmp_path_factory):
    folder = tmp_path_factory.mktemp("locked") / "keys"
    save_keys(folder, KEYS, PASSPHRASE)
    return folder


@pytest.fixture
def phrase_file(tmp_path, monkeypatch):
    path = tmp_path / "passphrase"
    path.write_text(PASSPHRASE + "\nsecond line\n")
    path.chmod(0o600)
    monkeypatch.setenv(FILE_VARIABLE, str(path))
    return path


def test_plain_keys_read_back_and_are_never_overwritten(tmp_path):
    assert not has_keys(tmp_path)
    save_keys(tmp_path, KEYS)
    assert load_keys(tmp_path) == KEYS and has_keys(tmp_path)
    with pytest.raises(FileExistsError):
        save_keys(tmp_path, KEYS)


def test_keystores_open_with_their_passphrase_only(locked):
    assert load_keys(locked, PASSPHRASE) == KEYS
    with pytest.raises(ConfigError, match=r"bls\.json: another passphrase locked it"):
        load_keys(locked, PASSPHRASE + "!")


def test_nothing_of_a_secret_is_in_a_keystore(locked):
    for name in ("bls", "network", "operator"):
        path = locked / f"{name}.json"
        assert getattr(KEYS, name).hex() not in path.read_text()
        assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_the_voting_keystore_is_that_of_eip_2335_and_names_its_public_key(locked):
    made = json.loads((locked / "bls.json").read_text())
    assert made["version"] == 4 and set(made["crypto"]) == {"kdf", "checksum", "cipher"}
    assert bytes.fromhex(made["pubkey"]) == derive_public_key(KEYS.bls)
    assert eth_keyfile.decode_keyfile_json(made, PASSPHRASE.encode()) == KEYS.bls


def test_the_passphrase_comes_from_a_file_or_the_service_manager(locked, phrase_file, monkeypatch, tmp_path):
    assert load_keys(locked) == KEYS
    monkeypatch.delenv(FILE_VARIABLE)
    (tmp_path / CREDENTIAL).write_text(PASSPHRASE)
    (tmp_path / CREDENTIAL).chmod(0o400)
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path))
    assert find_passphrase("it") == PASSPHRASE


def test_without_anybody_to_ask_it_says_what_to_do(locked, monkeypatch):
    monkeypatch.delenv(FILE_VARIABLE, raising=False)
    monkeypatch.delenv("CREDENTIALS_DIRECTORY", raising=False)
    monkeypatch.setattr("sys.stdin", io.StringIO())
    with pytest.raises(ConfigError, match=FILE_VARIABLE):
        load_keys(locked)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda path: path.chmod(0o644), "can be read by others"),
        (lambda path: path.write_text("\n"), "is empty"),
        (lambda path: path.write_bytes(b"\xff\xfe"), "is no text"),
        (lambda path: path.unlink(), "cannot be read"),
    ],
)
def test_a_passphrase_file_that_is_wrong_is_named(phrase_file, change, message):
    change(phrase_file)
    with pytest.raises(ConfigError, match=message):
        find_passphrase("it")


def test_a_new_passphrase_is_long_and_typed_twice(phrase_file, monkeypatch):
    assert choose_passphrase("it") == PASSPHRASE
    phrase_file.write_text("x" * (CHARS_MIN - 1))
    with pytest.raises(ConfigError, match="use at least"):
        choose_passphrase("it")
    monkeypatch.delenv(FILE_VARIABLE)
    monkeypatch.setattr(passphrases.sys, "stdin", type("Terminal", (), {"isatty": staticmethod(lambda: True)}))
    typed = iter(["one of them", "another"])
    monkeypatch.setattr(passphrases.getpass, "getpass", lambda _: next(typed))
    with pytest.raises(ConfigError, match="differ"):
        choose_passphrase("it")


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("bls.key", "12", "64 hexadecimal digits"), ("bls.key", "not hex", "64 hexadecimal digits"),
        ("bls.json", "{", "no keystore"), ("bls.json", "[]", "no keystore"),
        ("bls.json", '{"version": 9}', "no keystore"),
        ("bls.json", '{"version": 4, "crypto": {}}', "no keystore"),
    ],
)  # fmt: skip
def test_a_file_that_is_no_key_is_named(tmp_path, name, text, message):
    save_keys(tmp_path, KEYS)
    (tmp_path / "bls.key").unlink()
    (tmp_path / name).write_text(text)
    with pytest.raises(ConfigError, match=message) as caught:
        load_keys(tmp_path, PASSPHRASE)
    assert name in str(caught.value)


def test_two_files_for_one_key_are_refused_and_a_missing_one_is_named(tmp_path):
    save_keys(tmp_path, KEYS)
    (tmp_path / "bls.json").write_text("{}")
    with pytest.raises(ConfigError, match=r"both bls\.json and bls\.key"):
        load_keys(tmp_path, PASSPHRASE)
    (tmp_path / "bls.json").unlink()
    (tmp_path / "network.key").unlink()
    with pytest.raises(ConfigError, match=r"network\.key is missing"):
        load_keys(tmp_path)
