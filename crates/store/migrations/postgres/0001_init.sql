-- What a daemon keeps besides the chain: a cache that can be lost, and the journal of what it was about to send.
CREATE TABLE meta (
  key   TEXT PRIMARY KEY,
  value TEXT NOT NULL
);

-- Blocks that were applied, for parent-hash checks; the highest is the follower's cursor.
CREATE TABLE blocks (
  number BIGINT PRIMARY KEY,
  hash   BYTEA NOT NULL
);

-- Canonical logs of the market's contracts; topics are concatenated, 32 bytes each.
CREATE TABLE logs (
  block     BIGINT NOT NULL,
  log_index BIGINT NOT NULL,
  tx        BYTEA NOT NULL,
  address   BYTEA NOT NULL,
  topics    BYTEA NOT NULL,
  data      BYTEA NOT NULL,
  PRIMARY KEY (block, log_index)
);

-- Intents to send a transaction, by the caller's idempotency key.
CREATE TABLE journal (
  key    TEXT PRIMARY KEY,
  sender BYTEA NOT NULL,
  state  TEXT NOT NULL,
  nonce  BIGINT,
  body   TEXT NOT NULL
);
CREATE INDEX journal_open ON journal (sender, state);

-- A daemon's own state as JSON, with a version for optimistic updates.
CREATE TABLE documents (
  namespace TEXT NOT NULL,
  key       TEXT NOT NULL,
  version   BIGINT NOT NULL,
  body      TEXT NOT NULL,
  PRIMARY KEY (namespace, key)
);
