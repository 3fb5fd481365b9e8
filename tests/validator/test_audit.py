"""An audit agrees with what a node stored, and names the place of whatever was changed since."""

import json
import sqlite3
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from consensus.messages import Commitment
from contracts.records import CheckpointRecord
from engine.commands import BUY, IMMEDIATE_OR_CANCEL, PLACE, POST_ONLY, SELL, WITHDRAW
from engine.payload import InboxEntry
from engine.snapshot import encode_snapshot
from engine.state import EngineState
from tests.validator.chainlet import (
    GENESIS_STATE,
    MARK_TICKS,
    OWNERS,
    PARAMS,
    TOKEN,
    Chainlet,
    certify,
    describe_network,
    seal,
    sign,
)
from validator.audit import Audit, commitment_words
from validator.audit_command import run_audit
from validator.audit_rows import HEADER_WORDS, Mismatch, Rows
from validator.audit_sources import find_sources
from validator.command_index import CommandIndex
from validator.config import save_toml
from validator.history import RESULT, RESULT_NAMES
from validator.ledger import Ledger
from validator.order_memory import KNOWN_FILL
from validator.snapshots import write_snapshot
from validator.stats import Stats
from validator.store import Store

NETWORK = describe_network()
SNAPSHOT_HEIGHT, LAST_HEIGHT = 3, 6


@dataclass
class Home:
    """A node's folder after six blocks: deposits, trades, a withdrawal, a block without a certificate of its own."""

    path: Path
    states: dict[int, EngineState]
    headers: dict[int, object]
    store: Store

    @property
    def data(self) -> Path:
        return self.path / "data"

    @property
    def database(self) -> Path:
        return self.data / "blocks.sqlite"


def place(trader: int, nonce: int, side: int, lots: int, time_in_force: int = POST_ONLY) -> bytes:
    return sign(
        trader, PLACE, nonce, side=side, time_in_force=time_in_force, price_ticks=MARK_TICKS, size_lots=lots
    ).encode()  # fmt: skip


def make_home(path: Path) -> Home:
    assert NETWORK.exchange_params() == PARAMS
    save_toml(path / "genesis.toml", NETWORK)
    chain, store = Chainlet(), Store(path / "data" / "blocks.sqlite")
    ledger = Ledger(store, Stats(lambda: 0), GENESIS_STATE)
    ledger.history.index = CommandIndex(store, taken_over_at_once=2)
    home = Home(path, {}, {}, store)
    waiting: list = []

    def follow(block, batches, is_direct=True):
        for checked in batches:
            store.put_batch(checked.batch_hash, checked.batch.author, checked.batch.sequence, checked.batch.encode())
        waiting.append((block, chain.executor.final, batches))
        if is_direct:
            for one, executed, own in waiting:
                ledger.apply(one, certify(block), executed, own, is_live=True)
            ledger.publish()
            waiting.clear()
        state = chain.executor.final.state
        home.states[state.height], home.headers[state.height] = state, block.header
        if state.height == SNAPSHOT_HEIGHT:
            write_snapshot(path / "data" / "snapshots", state)

    follow(chain.fund(), [])
    work = [
        [seal(0, 1, [place(0, 1, SELL, 3)]), seal(2, 1, [place(1, 1, BUY, 2, IMMEDIATE_OR_CANCEL)])],
        [seal(1, 1, [sign(2, WITHDRAW, 1, size_lots=777).encode()])],
        [seal(0, 2, [place(0, 2, SELL, 1), place(0, 1, SELL, 3)])],
        [],
        [seal(3, 1, [place(2, 2, BUY, 4, IMMEDIATE_OR_CANCEL)])],
    ]
    for number, batches in enumerate(work, 2):
        follow(chain.add(batches), batches, is_direct=number != 4)
    ledger.history.settle()
    store.commit()
    return home


@pytest.fixture(scope="module")
def home(tmp_path_factory) -> Home:
    return make_home(tmp_path_factory.mktemp("audited"))


def audit(home: Home, start: EngineState | None = None, compare: tuple[Path, ...] = (), checkpoints=()):
    rows = Rows(home.database)
    try:
        sources = find_sources([home.data, *compare], PARAMS)
        return Audit(NETWORK, rows, start, sources, checkpoints).run(rows.heights()[1])
    finally:
        rows.close()


def find_mismatch(home: Home, **how) -> Mismatch:
    with pytest.raises(Mismatch) as caught:
        audit(home, **how)
    return caught.value


def flip(at: int):
    def change(data: bytes) -> bytes:
        position = at % len(data)
        return data[:position] + bytes([data[position] ^ 1]) + data[position + 1 :]

    return change


def mismatch_of(home: Home, table: str, column: str, where: str, value: object) -> Mismatch:
    """What the audit says while one value of one row is another."""
    database = sqlite3.connect(home.database, isolation_level=None)
    row, before = database.execute(f"SELECT rowid, {column} FROM {table} WHERE {where}").fetchone()
    update = f"UPDATE {table} SET {column}=? WHERE rowid=?"
    database.execute(update, (value(before) if callable(value) else value, row))
    try:
        return find_mismatch(home)
    finally:
        database.execute(update, (before, row))
        database.close()


def test_the_whole_history_agrees_while_the_node_has_it_open(home: Home) -> None:
    tally = audit(home)
    assert (tally.first_height, tally.last_height, tally.blocks, tally.certificates) == (1, 6, 6, 6)
    assert (tally.batches, tally.commands, tally.withdrawals) == (5, 6, 1)
    assert [Path(name).name for name in tally.sources] == ["000000000003.snapshot"]


def test_it_begins_at_a_snapshot(home: Home) -> None:
    tally = audit(home, start=home.states[SNAPSHOT_HEIGHT])
    assert (tally.first_height, tally.last_height, tally.blocks) == (4, 6, 3)


SAMPLES = [0, 1, 2, 3, 5, 7, 11, 40, 100, 200, 333, 400, 480, 520, 560, 600, 630, 640, -1, -2, -9, -40]


@pytest.mark.parametrize("at", SAMPLES)
@pytest.mark.parametrize("height", [2, 4])
def test_a_byte_of_a_stored_block(home: Home, height: int, at: int) -> None:
    found = mismatch_of(home, "blocks", "block", f"height={height}", flip(at))
    assert (found.height, found.table, found.field) == (height, "blocks", "block"), found


@pytest.mark.parametrize("word", range(1, 20))
def test_a_byte_of_the_header_is_named_by_its_word(home: Home, word: int) -> None:
    header = home.headers[5].encode()
    prefix = (
        sqlite3.connect(home.database).execute("SELECT block FROM blocks WHERE height=5").fetchone()[0].index(header)
    )
    found = mismatch_of(home, "blocks", "block", "height=5", flip(prefix + 32 * word + 31))
    assert found.reason == f"one byte of header word {word} ({HEADER_WORDS[word]}) was changed"


@pytest.mark.parametrize("at", [0, 1, 2, 3, 4, 5, 8, 20, 42, 44, 60, 100, -1, -50])
@pytest.mark.parametrize("height", [1, 4, 6])
def test_a_byte_of_a_certificate(home: Home, height: int, at: int) -> None:
    found = mismatch_of(home, "blocks", "certificate", f"height={height}", flip(at))
    assert (found.height, found.table) == (height, "blocks"), found
    assert found.field in ("certificate", "is_direct")


@pytest.mark.parametrize("at", [0, 1, 2, 5, 14, 20, 60, 100, 118, 150, -1, -30, -64, -66])
def test_a_byte_of_a_batch(home: Home, at: int) -> None:
    where = "id=(SELECT id FROM batches WHERE author=2 AND sequence=1)"
    found = mismatch_of(home, "batch_data", "data", where, flip(at))
    assert (found.height, found.table, found.field) == (2, "batch_data", "data"), found


@pytest.mark.parametrize(
    ("table", "column", "where", "value", "height"),
    [
        ("blocks", "hash", "height=3", flip(9), 3),
        ("blocks", "is_direct", "height=3", 0, 3),
        ("blocks", "is_direct", "height=3", 7, 3),
        ("blocks", "is_direct", "height=4", 1, 4),
        ("blocks", "block", "height=3", "text", 3),
        ("blocks", "certificate", "height=3", 3, 3),
        ("batches", "author", "author=2", 1, 2),
        ("batches", "sequence", "author=2", 9, 2),
        ("batches", "height", "author=2", 3, 2),
        ("batches", "height", "author=2", None, 2),
        ("batch_data", "data", "id=(SELECT id FROM batches WHERE author=2)", 12, 2),
        ("withdrawals", "owner", "id=0", flip(3), 3),
        ("withdrawals", "amount_quote", "id=0", 778, 3),
        ("withdrawals", "height", "id=0", 4, 3),
        ("fills", "rows", "id=2<<20", b"short", 2),
        ("fills", "time_ms", "id=2<<20", 3, 2),
        ("results", "rows", "id=3<<20", 5, 3),
        ("results", "time_ms", "id=2<<20", 1, 2),
        ("results", "ids", "id=2<<20", flip(33), 2),
    ],
)
def test_a_value_of_another_column(home: Home, table: str, column: str, where: str, value: object, height: int) -> None:
    found = mismatch_of(home, table, column, where, value)
    assert (found.height, found.table, found.field) == (height, table, column), found


def set_field(record: np.dtype, name: str, row: int, value: int):
    """A change of one field of one row of a blob."""

    def change(data: bytes) -> bytes:
        rows = np.frombuffer(data, record).copy()
        rows[name][row] = value
        return rows.tobytes()

    return change


@pytest.mark.parametrize("name", [name for name in KNOWN_FILL.names if name != "spare"])
def test_a_value_of_a_trade(home: Home, name: str) -> None:
    found = mismatch_of(home, "fills", "rows", "id=2<<20", set_field(KNOWN_FILL, name, 0, 99))
    assert (found.height, found.table, found.field) == (2, "fills", name), found
    assert "99 instead of" in found.reason and f"in row {2 << 20}" in found.reason


@pytest.mark.parametrize("name", RESULT_NAMES)
def test_a_value_of_a_result(home: Home, name: str) -> None:
    found = mismatch_of(home, "results", "rows", "id=2<<20", set_field(RESULT, name, 1, 99))
    assert (found.height, found.table, found.field) == (2, "results", name), found
    assert "99 instead of" in found.reason and f"in row {(2 << 20) + 1}" in found.reason


def test_a_byte_that_no_field_has(home: Home) -> None:
    found = mismatch_of(home, "results", "rows", "id=3<<20", flip(-1))
    assert (found.height, found.table, found.field) == (3, "results", "rows"), found


def test_the_index_leads_to_every_command_and_to_nothing_else(home: Home) -> None:
    database = sqlite3.connect(home.database, isolation_level=None)
    pages = database.execute("SELECT id, length(places) FROM index_pages WHERE length(places)>0").fetchall()
    assert sum(size for _, size in pages) == 8 * 4  # two of the six commands are in memory
    for page, _ in pages:
        found = mismatch_of(home, "index_pages", "places", f"id={page}", flip(0))
        assert (found.table, found.field) == ("index_pages", "places") and found.height in (2, 3, 4), found
        found = mismatch_of(home, "index_pages", "keys", f"id={page}", flip(0))
        assert found.table == "index_pages" and found.height in (2, 3, 4, 6), found
        found = mismatch_of(home, "index_pages", "keys", f"id={page}", b"odd")
        assert (found.table, found.field) == ("index_pages", "keys"), found
        found = mismatch_of(home, "index_pages", "slice", f"id={page}", 9)
        assert (found.table, found.field) == ("index_pages", "keys"), found
        row = database.execute("SELECT * FROM index_pages WHERE id=?", (page,)).fetchone()
        database.execute("DELETE FROM index_pages WHERE id=?", (page,))
        found = find_mismatch(home)
        database.execute("INSERT INTO index_pages VALUES (?,?,?,?,?,?)", row)
        assert (found.table, found.field) == ("index_pages", "places"), found
    assert audit(home).blocks == 6
    database.close()


def test_rows_that_are_missing_or_too_many(home: Home, tmp_path: Path) -> None:
    database = sqlite3.connect(home.database, isolation_level=None)
    for sql, wanted in [
        ("DELETE FROM blocks WHERE height=3", (3, "blocks", "height")),
        ("DELETE FROM blocks WHERE height=1", (1, "blocks", "height")),
        ("DELETE FROM batches WHERE author=2", (2, "batches", "hash")),
        ("DELETE FROM withdrawals", (3, "withdrawals", "(rows)")),
        ("DELETE FROM fills WHERE id=2<<20", (2, "fills", "(rows)")),
        ("INSERT INTO fills VALUES (3<<20, 1, x'')", (3, "fills", "(rows)")),
        ("DELETE FROM results WHERE id=3<<20", (3, "results", "(rows)")),
        ("DELETE FROM minutes", (6, "minutes", "(rows)")),
        ("UPDATE minutes SET volume_lots=9", (6, "minutes", "volume_lots")),
        ("UPDATE minutes SET low_ticks=9", (6, "minutes", "low_ticks")),
        ("DELETE FROM batch_data", (2, "batch_data", "data")),
        ("UPDATE batches SET hash=x'00' WHERE author=2", (2, "batches", "hash")),
    ]:
        copy = Home(tmp_path / sql[:11], home.states, home.headers, home.store)
        copy.data.mkdir(parents=True, exist_ok=True)
        database.execute("VACUUM INTO ?", (str(copy.database),))
        copied = sqlite3.connect(copy.database, isolation_level=None)
        copied.execute(sql)
        copied.close()
        found = find_mismatch(copy)
        assert (found.height, found.table, found.field) == wanted, found
        copy.database.unlink()
    database.close()


def test_a_byte_of_the_file_itself(home: Home, tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    """As a disk does it: no traceback wherever it is, and within a block never unnoticed."""
    database = sqlite3.connect(home.database, isolation_level=None)
    copy = tmp_path / "data" / "blocks.sqlite"
    copy.parent.mkdir()
    database.execute("VACUUM INTO ?", (str(copy),))
    block = database.execute("SELECT block FROM blocks WHERE height=5").fetchone()[0]
    database.close()
    save_toml(tmp_path / "genesis.toml", NETWORK)
    image = copy.read_bytes()
    begin = image.index(block)
    for at in [*range(begin, begin + len(block), 41), *range(0, len(image), len(image) // 40)]:
        copy.write_bytes(flip(at)(image))
        status = run_audit(tmp_path, None, (), None, None, is_offline=True, as_json=False)
        shown = capsys.readouterr()
        assert status in (0, 1, 2) and "Traceback" not in shown.err
        if begin <= at < begin + len(block):
            assert status == 1 and shown.out.startswith("MISMATCH at height 5, table blocks, field block"), shown


def test_a_damaged_snapshot_of_the_node_is_named(home: Home) -> None:
    path = home.data / "snapshots" / "000000000003.snapshot"
    data = path.read_bytes()
    path.write_bytes(flip(len(data) // 2)(data))
    try:
        found = find_mismatch(home)
    finally:
        path.write_bytes(data)
    assert (found.height, found.table, found.field) == (3, "snapshot", str(path))
    assert "damaged file" in found.reason


def make_other_state() -> EngineState:
    """Height 1 of an exchange in which trader 1 brought five units more."""
    chain = Chainlet()
    entries = tuple(
        InboxEntry(at, 1, TOKEN, owner, 0, owner, 10**10 + 5 * (at == 1), bytes(32), 0)
        for at, owner in enumerate(OWNERS)
    )
    chain.add([], entries, with_prices=True)
    return chain.executor.final.state


def test_a_snapshot_that_nobody_certified_is_refused_and_its_first_wrong_leaf_named(home: Home, tmp_path: Path) -> None:
    genuine = write_snapshot(tmp_path, home.states[1])
    found = find_mismatch(home, start=make_other_state(), compare=(genuine,))
    assert (found.height, found.table) == (1, "snapshot")
    assert "header word 12 (inbox_hash)" in found.reason
    assert "account 65, balance_quote: 10000000000 instead of 10000000005" in found.reason


def certify_theft(home: Home, folder: Path) -> Home:
    """A store whose quorum certified the roots of another state than its own block 1 gives."""
    state = make_other_state()
    header = home.headers[1]
    ours = Commitment.decode(header.commitment)
    stolen = ours._replace(
        state_root=state.state_root, account_root=state.account_root, account_sums=state.account_sums
    )  # fmt: skip
    thief = Home(folder, {1: state}, {}, Store(folder / "data" / "blocks.sqlite"))
    block = home.store.final(1).block
    forged = type(block)(header._replace(commitment=stolen.encode()), block.payload)
    thief.headers[1] = forged.header
    thief.store.put_final(forged, certify(forged))
    thief.store.commit()
    return thief


def test_roots_of_another_state_are_traced_to_the_leaf(home: Home, tmp_path: Path) -> None:
    thief = certify_theft(home, tmp_path / "thief")
    found = find_mismatch(thief)
    assert (found.height, found.table, found.field) == (1, "blocks", "block")
    assert "header word 14 (state_root) is 0x" in found.reason and "account" not in found.reason.split("replaying")[1]
    snapshot = write_snapshot(tmp_path / "other", thief.states[1])
    found = find_mismatch(thief, compare=(snapshot,))
    assert "account 65, balance_quote: 10000000005 instead of 10000000000" in found.reason


def test_checkpoints_of_the_contract_must_be_of_these_blocks(home: Home) -> None:
    header = home.headers[5]
    record = CheckpointRecord(5, header.hash(), **commitment_words(header), timestamp_s=9, block_number=7)
    beyond = CheckpointRecord(900, bytes(32), bytes(32), bytes(32), bytes(32), bytes(32), 9, 8)
    assert audit(home, checkpoints=[record, beyond]).checkpoints == 1
    for name in ("header_hash", "state_root", "account_root", "account_sums", "withdrawals_root"):
        forged = CheckpointRecord(**{
            **{field: getattr(record, field) for field in record.__slots__}, name: b"\x66" * 32
        })  # fmt: skip
        found = find_mismatch(home, checkpoints=[forged])
        assert (found.height, found.table, found.field) == (5, "(checkpoint on chain)", name)


def test_too_few_signers_and_a_stranger_are_no_quorum(home: Home) -> None:
    genuine = home.store.final(5)
    few = type(genuine.certificate)(
        3, 1, genuine.certificate.view, genuine.certificate.header_hash, b"\x03", genuine.certificate.signature
    )  # fmt: skip
    home.store.put_final(genuine.block, few)
    home.store.commit()
    try:
        found = find_mismatch(home)
    finally:
        home.store.put_final(genuine.block, genuine.certificate)
        home.store.commit()
    assert (found.height, found.field) == (5, "certificate") and "no quorum" in found.reason


def test_the_command_prints_a_report_or_the_place(home: Home, capsys: pytest.CaptureFixture, tmp_path: Path) -> None:
    assert run_audit(home.path, None, (), None, None, is_offline=True, as_json=True) == 0
    figures = json.loads(capsys.readouterr().out)
    assert figures["agrees"] and figures["blocks"] == LAST_HEIGHT and figures["blocks_per_s"] >= 0
    snapshot = home.data / "snapshots" / "000000000003.snapshot"
    assert run_audit(home.path, snapshot, (home.path,), None, None, is_offline=True, as_json=False) == 0
    assert "heights 4 to 6" in capsys.readouterr().out
    assert run_audit(home.path, None, (), "http://127.0.0.1:1", None, is_offline=False, as_json=False) == 2
    assert "--offline" in capsys.readouterr().err
    assert run_audit(tmp_path, None, (), None, None, is_offline=True, as_json=False) == 2
    damaged = tmp_path / "000000000003.snapshot"
    damaged.write_bytes(encode_snapshot(home.states[3])[:-1])
    assert run_audit(home.path, damaged, (), None, None, is_offline=True, as_json=False) == 2
    assert str(damaged) in capsys.readouterr().err
