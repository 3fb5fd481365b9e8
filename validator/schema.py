"""The tables of a node's store."""

SCHEMA = """
CREATE TABLE IF NOT EXISTS blocks (height INTEGER PRIMARY KEY, hash BLOB NOT NULL, block BLOB NOT NULL,
    certificate BLOB NOT NULL, is_direct INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS batches (id INTEGER PRIMARY KEY, hash BLOB NOT NULL UNIQUE, author INTEGER NOT NULL,
    sequence INTEGER NOT NULL, height INTEGER);
CREATE TABLE IF NOT EXISTS batch_data (id INTEGER PRIMARY KEY, data BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS results (id INTEGER PRIMARY KEY, time_ms INTEGER NOT NULL, ids BLOB NOT NULL,
    rows BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS fills (id INTEGER PRIMARY KEY, time_ms INTEGER NOT NULL, rows BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS trade_ends (one INTEGER PRIMARY KEY CHECK (one = 1), last_trade INTEGER NOT NULL,
    accounts BLOB NOT NULL, markets BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS index_pages (id INTEGER PRIMARY KEY, level INTEGER NOT NULL, slice INTEGER NOT NULL,
    last_place INTEGER NOT NULL, keys BLOB NOT NULL, places BLOB NOT NULL);
CREATE INDEX IF NOT EXISTS index_pages_by_slice ON index_pages (level, slice, last_place);
CREATE TABLE IF NOT EXISTS withdrawals (id INTEGER PRIMARY KEY, height INTEGER NOT NULL, time_ms INTEGER NOT NULL,
    account INTEGER NOT NULL, owner BLOB NOT NULL, amount_quote INTEGER NOT NULL, asset INTEGER NOT NULL);
CREATE INDEX IF NOT EXISTS withdrawals_by_owner ON withdrawals (owner, id);
CREATE TABLE IF NOT EXISTS answers (id INTEGER PRIMARY KEY, height INTEGER NOT NULL, time_ms INTEGER NOT NULL,
    owner BLOB NOT NULL, code INTEGER NOT NULL, number INTEGER NOT NULL, data BLOB NOT NULL);
CREATE INDEX IF NOT EXISTS answers_by_owner ON answers (owner, id);
CREATE INDEX IF NOT EXISTS withdrawals_by_height ON withdrawals (height);
CREATE TABLE IF NOT EXISTS minutes (market INTEGER NOT NULL, minute INTEGER NOT NULL, volume_lots INTEGER NOT NULL,
    high_ticks INTEGER NOT NULL, low_ticks INTEGER NOT NULL, turnover INTEGER NOT NULL, last_fill INTEGER NOT NULL,
    PRIMARY KEY (market, minute)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS nullifications (id INTEGER PRIMARY KEY, data BLOB NOT NULL UNIQUE);
CREATE TABLE IF NOT EXISTS cases (data BLOB PRIMARY KEY, key BLOB NOT NULL, transaction_hash BLOB);
CREATE TABLE IF NOT EXISTS inbox (id INTEGER PRIMARY KEY, data BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS chain_seen (one INTEGER PRIMARY KEY CHECK (one = 1), block INTEGER NOT NULL,
    entry_count INTEGER NOT NULL, height INTEGER NOT NULL, header_hash BLOB NOT NULL);
CREATE INDEX IF NOT EXISTS batches_by_author ON batches (author, sequence);
CREATE TABLE IF NOT EXISTS seals (epoch INTEGER PRIMARY KEY, height INTEGER NOT NULL, certificate BLOB NOT NULL,
    trailing BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS committees (epoch INTEGER PRIMARY KEY, seats BLOB NOT NULL);
"""
# Of what the tables above hold. Data of another version is refused: it has to be made anew from the network.
SCHEMA_VERSION = 2
