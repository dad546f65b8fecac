-- What a daemon keeps besides the chain: a cache that can be lost, and the journal of what it was about to send.
CREATE TABLE meta (
  key   TEXT PRIMARY KEY,
  value TEXT NOT NULL
) WITHOUT ROWID;

-- Blocks that were applied, for parent-hash checks; the highest is the follower's cursor.
CREATE TABLE blocks (
  number INTEGER PRIMARY KEY,
  hash   BLOB NOT NULL
);

-- Canonical logs of the market's contracts; topics are concatenated, 32 bytes each.
CREATE TABLE logs (
  block     INTEGER NOT NULL,
  log_index INTEGER NOT NULL,
  tx        BLOB NOT NULL,
  address   BLOB NOT NULL,
  topics    BLOB NOT NULL,
  data      BLOB NOT NULL,
  PRIMARY KEY (block, log_index)
) WITHOUT ROWID;

-- Intents to send a transaction, by the caller's idempotency key.
CREATE TABLE journal (
  key    TEXT PRIMARY KEY,
  sender BLOB NOT NULL,
  state  TEXT NOT NULL,
  nonce  INTEGER,
  body   TEXT NOT NULL
) WITHOUT ROWID;
CREATE INDEX journal_open ON journal (sender, state);

-- A daemon's own state as JSON, with a version for optimistic updates.
CREATE TABLE documents (
  namespace TEXT NOT NULL,
  key       TEXT NOT NULL,
  version   INTEGER NOT NULL,
  body      TEXT NOT NULL,
  PRIMARY KEY (namespace, key)
) WITHOUT ROWID;
