"""What a key has signed travels as a file, and only ever adds to what a guard knows."""

import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from consensus import crypto
from consensus.guard import VIEWS_MAX, Allowed, GuardState, Same, SignedView, check
from consensus.messages import FINALIZE, NOTARIZE, NULLIFY, ZERO_HASH, compute_domain
from tests.validator.test_config import NETWORK
from validator.config import ConfigError, Home, NodeConfig, PeerAddress, address_bytes, load_node, save_toml
from validator.keys import Keys, copy_voting_key, load_keys, load_voting_key, save_keys
from validator.options import write_explained
from validator.protection import decode_protection, encode_protection, merge
from validator.signer import Signer, read_guard
from validator.signer_command import export, import_, take

NETWORK_ID, KEY = b"\1" * 32, b"\2" * 48
ONE, OTHER = b"\1" * 32, b"\2" * 32
SECRET = crypto.derive_secret(b"\7" * 32)
SAID = ((NOTARIZE, ONE), (NOTARIZE, OTHER), (NULLIFY, ZERO_HASH), (FINALIZE, ONE), (FINALIZE, OTHER))
STATEMENTS = [(kind, epoch, view, named) for epoch in (2, 3) for view in range(1, 7) for kind, named in SAID]


@st.composite
def guards(draw) -> GuardState:
    """Whatever a guard may have allowed, in any order."""
    state = GuardState.new(draw(st.sampled_from((2, 3))), draw(st.integers(0, 3)))
    for statement in draw(st.lists(st.sampled_from(STATEMENTS), max_size=12)):
        answer = check(state, statement[0], state.epoch, *statement[2:])
        state = answer.state if isinstance(answer, Allowed) else state
    return state


@settings(max_examples=60)
@given(known=guards(), told=guards())
def test_after_reading_a_file_nothing_new_is_signed_that_either_side_forbids(known, told):
    merged = merge(known, told)
    for statement in STATEMENTS:
        before = [check(state, *statement) for state in (known, told)]
        match check(merged, *statement):
            case Allowed():
                assert all(isinstance(answer, Allowed | Same) for answer in before), statement
            case Same():
                assert any(isinstance(answer, Same) for answer in before), statement


@settings(max_examples=40)
@given(known=guards())
def test_reading_its_own_file_teaches_nothing(known):
    text = encode_protection(NETWORK_ID, KEY, known)
    assert decode_protection(text, NETWORK_ID, KEY) == known == merge(known, known)


def test_what_two_signers_contradicted_each_other_in_is_closed():
    known = GuardState(3, 0, (SignedView(4, ONE), SignedView(5, ONE)))
    told = GuardState(3, 0, (SignedView(4, OTHER), SignedView(6, None, True)))
    assert merge(known, told) == GuardState(3, 4, (SignedView(5, ONE), SignedView(6, None, True)))


def test_a_guard_keeps_the_newest_views_it_has_room_for():
    known = GuardState(3, 0, tuple(SignedView(view, ONE) for view in range(1, 1 + VIEWS_MAX)))
    told = GuardState(3, 0, tuple(SignedView(view, ONE) for view in range(11, 11 + VIEWS_MAX)))
    merged = merge(known, told)
    assert merged.floor_view == 10 and merged.views == told.views


GOOD = json.loads(encode_protection(NETWORK_ID, KEY, GuardState(3, 7, (SignedView(8, ONE, True), SignedView(9)))))


def changed(path: str, value: object) -> str:
    content = json.loads(json.dumps(GOOD))
    *folders, name = path.split("/")
    place = content
    for folder in folders:
        place = place[int(folder) if folder.isdigit() else folder]
    place[int(name) if name.isdigit() else name] = value
    return json.dumps(content)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (changed("metadata/genesis", "0x" + "33" * 32), "of another network"),
        (changed("data/0/pubkey", "0x" + "33" * 48), "says nothing of this key"),
        (changed("metadata/interchange_format_version", "5"), "version 1"),
        (changed("metadata/interchange_format", "complete"), "no file of the format hansa-votes"),
        (changed("data/0/epoch", 3), "no file of the format"),
        (changed("data/0/epoch", "-3"), "no file of the format"),
        (changed("data/0/floor_view", str(1 << 64)), "no file of the format"),
        (changed("data/0/signed_views/0/notarized", "0x11"), "no file of the format"),
        (changed("data/0/signed_views/0/is_nullified", "false"), "no file of the format"),
        (changed("data/0/signed_views/1", GOOD["data"][0]["signed_views"][0]), "listed twice"),
        ("[]", "no file of the format"),
        ("not JSON", "no file of the format"),
    ],
)
def test_what_is_not_of_this_key_and_network_is_refused(text, message):
    with pytest.raises(ConfigError, match=message):
        decode_protection(text, NETWORK_ID, KEY)


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return make_home(tmp_path / "here", SECRET)


def make_home(folder: Path, secret: bytes) -> Home:
    home = Home(folder)
    save_toml(home.genesis, NETWORK)
    save_keys(home.keys, Keys(secret, b"\1" * 32, b"\2" * 32))
    return home


def open_signer(home: Home) -> Signer:
    domain = compute_domain(NETWORK.chain_id, address_bytes(NETWORK.contract))
    return Signer(home.data / "guard", SECRET, 0, domain, 3)


def test_a_key_that_moves_takes_along_what_it_must_not_contradict(home, tmp_path, capsys):
    signer = open_signer(home)
    for view in (5, 6):
        signer.sign(3, NOTARIZE, view, ONE)
    signer.close()
    assert export(home=home.path) == 0
    file = tmp_path / "protection.json"
    file.write_text(capsys.readouterr().out)
    there = make_home(tmp_path / "there", SECRET)
    assert import_(file, home=there.path) == 0
    assert "learnt from the file: epoch 3, signed up to view 6" in capsys.readouterr().out
    moved = open_signer(there)
    assert moved.sign(3, NOTARIZE, 6, OTHER) == "notarized another block in this view"
    assert moved.highest_view == 6
    moved.close()
    assert import_(file, home=there.path, as_json=True) == 0
    assert json.loads(capsys.readouterr().out) == {"epoch": 3, "highest_view": 6, "is_news": False}


def test_an_older_file_takes_nothing_away(home, tmp_path, capsys):
    signer = open_signer(home)
    signer.sign(3, NOTARIZE, 5, ONE)
    signer.sync()
    assert export(home=home.path) == 0
    told = capsys.readouterr()
    assert "export again once it has stopped" in told.err
    (tmp_path / "old.json").write_text(told.out)
    assert import_(tmp_path / "old.json", home=home.path) == 2
    assert "another process uses" in capsys.readouterr().err
    signer.sign(3, NOTARIZE, 6, ONE)
    signer.close()
    before = read_guard(home.data / "guard")
    assert import_(tmp_path / "old.json", home=home.path) == 0
    assert read_guard(home.data / "guard") == before


def test_a_file_of_another_key_changes_nothing(home, tmp_path, capsys):
    open_signer(home).close()
    assert export(home=home.path) == 0
    (tmp_path / "its.json").write_text(capsys.readouterr().out)
    other = make_home(tmp_path / "other", crypto.derive_secret(b"\x08" * 32))
    assert import_(tmp_path / "its.json", home=other.path) == 2
    assert "says nothing of this key" in capsys.readouterr().err and not other.data.exists()
    assert import_(tmp_path / "missing.json", home=home.path) == 2
    assert export(home=other.path) == 2 and "missing or empty" in capsys.readouterr().err


def test_a_node_gives_its_key_to_a_signer_and_keeps_nothing(tmp_path, capsys):
    node = make_home(tmp_path / "node", SECRET)
    write_explained(
        node.config, NodeConfig(0, ("http://127.0.0.1:8545",), peers=(PeerAddress("127.0.0.1", 1),)), "test"
    )
    signer = open_signer(node)
    signer.sign(3, NOTARIZE, 5, ONE)
    there = Home(tmp_path / "signer")
    assert take(home=there.path, node=node.path) == 2 and "another process uses" in capsys.readouterr().err
    signer.close()
    assert not there.keys.exists() and node.signer_socket(load_node(node.config)) is None
    assert take(home=there.path, node=node.path) == 0
    assert node.signer_socket(load_node(node.config)) == there.path / "signer.sock"
    assert load_node(node.config).peers == (PeerAddress("127.0.0.1", 1),)
    assert load_voting_key(there.keys) == SECRET and read_guard(there.data / "guard")[0].views == (SignedView(5, ONE),)
    assert not (node.data / "guard").exists() and load_keys(node.keys, has_voting_key=False).bls is None
    with pytest.raises(ConfigError, match=r"bls\.key is missing"):
        load_keys(node.keys)
    assert take(home=there.path, node=node.path) == 2 and "names a signer already" in capsys.readouterr().err


def test_a_move_that_was_interrupted_is_done_again(tmp_path, capsys):
    """After the copy, before anything was taken away; the node has voted since."""
    node, there = make_home(tmp_path / "node", SECRET), Home(tmp_path / "signer")
    save_toml(node.config, NodeConfig(0, ()))
    copy_voting_key(node.keys, there.keys)
    signer = open_signer(node)
    signer.sign(3, NOTARIZE, 6, ONE)
    signer.close()
    assert take(home=there.path, node=node.path) == 0
    assert read_guard(there.data / "guard")[0].views == (SignedView(6, ONE),)


def test_a_key_in_two_places_is_refused(tmp_path):
    home = make_home(tmp_path, SECRET)
    with pytest.raises(ConfigError, match=r"a signer holds the voting key, but .*bls\.key is here, too"):
        load_keys(home.keys, has_voting_key=False)


def test_a_signers_folder_with_another_key_is_left_alone(tmp_path, capsys):
    node, there = (
        make_home(tmp_path / "node", SECRET),
        make_home(tmp_path / "signer", crypto.derive_secret(b"\x08" * 32)),
    )
    save_toml(node.config, NodeConfig(0, ()))
    assert take(home=there.path, node=node.path) == 2
    assert "holds another voting key" in capsys.readouterr().err
    assert load_keys(node.keys).bls == SECRET and not (there.data / "guard").exists()
    assert take(home=node.path, node=node.path) == 2
