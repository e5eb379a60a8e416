-- The journal: what we heard, what we owe, what became of it.
--
-- An event is written once and never changed. What is still to be done for it is one thin row in
-- `pending`, there until every operation of the event has ended; each end is one row in `outcome`.
-- A send (a push) has a row of its own, written before its first attempt, and from then on only
-- that row decides.
--
-- Times are milliseconds since 1970, UTC. `user_hash` is a keyed hash, never an id.

CREATE TABLE meta (
  key   TEXT PRIMARY KEY,
  value BLOB NOT NULL
) WITHOUT ROWID;

CREATE TABLE event (
  seq         INTEGER PRIMARY KEY AUTOINCREMENT, -- a deleted seq is never given out again
  source      TEXT    NOT NULL,
  app         TEXT    NOT NULL,                  -- where its source sent it when it was accepted
  message_id  TEXT    NOT NULL,
  type        TEXT    NOT NULL,
  name        TEXT,
  user_hash   INTEGER NOT NULL,                  -- 0: nobody
  received_ms INTEGER NOT NULL,
  event_ms    INTEGER NOT NULL,
  payload     BLOB                               -- NULL once it is no longer kept
);

-- Whose the ended events are; the others are found by `pending_user`. Written when an event ends and
-- not when it is accepted, where a second entry at a random place would cost a sixth of the time.
CREATE TABLE history (
  user_hash INTEGER NOT NULL,
  seq       INTEGER NOT NULL,
  PRIMARY KEY (user_hash, seq)
) WITHOUT ROWID;

CREATE TABLE dedupe (
  key BLOB    PRIMARY KEY,                       -- 16 bytes of source and messageId
  seq INTEGER NOT NULL
) WITHOUT ROWID;

CREATE TABLE pending (
  seq           INTEGER PRIMARY KEY REFERENCES event (seq),
  app           TEXT    NOT NULL,
  lane          INTEGER NOT NULL CHECK (lane BETWEEN 0 AND 255),
  rank          INTEGER NOT NULL CHECK (rank IN (0, 1)),   -- 0 live, 1 bulk
  user_hash     INTEGER NOT NULL,
  event_ms      INTEGER NOT NULL,
  not_before_ms INTEGER NOT NULL DEFAULT 0,
  attempt       INTEGER NOT NULL DEFAULT 0,      -- failures only; being asked to wait is none
  first_try_ms  INTEGER,
  last_error    TEXT,
  done          TEXT    NOT NULL DEFAULT '[]',   -- operations that have ended or have a send row
  only          TEXT,                            -- a replay: the operations it is about; NULL: all
  revived       TEXT    NOT NULL DEFAULT '[]'    -- replayed while the event was pending: who works on it may not know
);
CREATE INDEX pending_lane ON pending (app, lane, rank, seq);
CREATE INDEX pending_user ON pending (user_hash, seq);

-- The states of a send, and the only moves between them.
--
--   pending ──> delivered | no_recipients | skipped | dead       OneSignal answered, or it grew too old
--   pending ──> held ──> pending | discarded                     a limit; a person decides
--   dead ──> pending                                             replayed with its own key: it may have been done
--   dead ──> replayed | discarded                                replayed with a new key: it certainly was not
CREATE TABLE send_move (
  was    TEXT NOT NULL,
  becomes TEXT NOT NULL,
  PRIMARY KEY (was, becomes)
) WITHOUT ROWID;
INSERT INTO send_move (was, becomes) VALUES
  ('pending', 'delivered'), ('pending', 'no_recipients'), ('pending', 'skipped'), ('pending', 'dead'),
  ('pending', 'held'), ('held', 'pending'), ('held', 'discarded'),
  ('dead', 'pending'), ('dead', 'replayed'), ('dead', 'discarded');

CREATE TABLE send (
  key        TEXT    PRIMARY KEY,                -- the idempotency key at OneSignal
  seq        INTEGER NOT NULL,
  app        TEXT    NOT NULL,
  rule       TEXT    NOT NULL,
  operation  TEXT    NOT NULL,
  user_hash  INTEGER NOT NULL,
  label      TEXT    NOT NULL,
  recipient  TEXT    NOT NULL,
  generation INTEGER NOT NULL DEFAULT 0,
  revision   TEXT    NOT NULL,                   -- of the mapping that planned it
  expires_ms INTEGER,                            -- too old after this; NULL: never
  state      TEXT    NOT NULL DEFAULT 'pending'
    CHECK (state IN ('pending', 'held', 'delivered', 'no_recipients', 'skipped', 'dead', 'replayed', 'discarded')),
  call_key   TEXT,
  created_ms INTEGER NOT NULL,
  ended_ms   INTEGER,
  CHECK ((state IN ('pending', 'held')) = (ended_ms IS NULL))
) WITHOUT ROWID;
CREATE INDEX send_seq ON send (seq);
CREATE INDEX send_call ON send (call_key) WHERE ended_ms IS NULL;
CREATE INDEX send_held ON send (created_ms) WHERE state = 'held';

CREATE TRIGGER send_moves BEFORE UPDATE OF state ON send
WHEN OLD.state <> NEW.state
 AND NOT EXISTS (SELECT 1 FROM send_move WHERE was = OLD.state AND becomes = NEW.state)
BEGIN
  SELECT RAISE(ABORT, 'a send cannot make this move');
END;

CREATE TABLE call (
  key           TEXT    PRIMARY KEY,
  app           TEXT    NOT NULL,
  method        TEXT    NOT NULL,
  path          TEXT    NOT NULL,
  body          BLOB    NOT NULL,                -- every attempt sends exactly these bytes
  lane          INTEGER NOT NULL,
  not_before_ms INTEGER NOT NULL DEFAULT 0,
  attempt       INTEGER NOT NULL DEFAULT 0,
  uncertain     INTEGER NOT NULL DEFAULT 0 CHECK (uncertain IN (0, 1)), -- an attempt may have been performed
  created_ms    INTEGER NOT NULL,
  last_error    TEXT
) WITHOUT ROWID;
CREATE INDEX call_lane ON call (lane, created_ms);

CREATE TABLE outcome (
  seq       INTEGER NOT NULL,
  rule      TEXT    NOT NULL,                    -- '' and '': the event as a whole
  operation TEXT    NOT NULL,
  status    TEXT    NOT NULL
    CHECK (status IN ('delivered', 'no_recipients', 'skipped', 'dead', 'discarded')),
  reason    TEXT,
  detail    TEXT,
  http      INTEGER,
  call_key  TEXT,
  at_ms     INTEGER NOT NULL,
  PRIMARY KEY (seq, rule, operation),
  CHECK (status NOT IN ('skipped', 'dead', 'discarded') OR reason IS NOT NULL)
) WITHOUT ROWID;

CREATE TABLE dead (
  id         INTEGER PRIMARY KEY AUTOINCREMENT,
  seq        INTEGER NOT NULL,
  rule       TEXT    NOT NULL,
  operation  TEXT    NOT NULL,
  source     TEXT    NOT NULL,
  app        TEXT    NOT NULL,
  message_id TEXT    NOT NULL,
  name       TEXT,
  user_hash  INTEGER NOT NULL,
  event_ms   INTEGER NOT NULL,
  payload    BLOB,                               -- its own copy: events are kept for less long
  request    BLOB,
  answer     TEXT,
  reason     TEXT    NOT NULL,
  http       INTEGER,
  attempt    INTEGER NOT NULL,
  uncertain  INTEGER NOT NULL DEFAULT 0 CHECK (uncertain IN (0, 1)), -- it may have been performed
  send_key   TEXT,
  died_ms    INTEGER NOT NULL,
  state      TEXT    NOT NULL DEFAULT 'dead' CHECK (state IN ('dead', 'replayed', 'discarded')),
  left_ms    INTEGER,
  CHECK ((state = 'dead') = (left_ms IS NULL))
);
CREATE UNIQUE INDEX dead_once ON dead (seq, rule, operation) WHERE state = 'dead';
CREATE INDEX dead_reason ON dead (reason, died_ms) WHERE state = 'dead';

-- What we last wrote for a user, by app: the value, its event time, its messageId.
CREATE TABLE state (
  app       TEXT    NOT NULL,
  user_hash INTEGER NOT NULL,
  facts     TEXT    NOT NULL,
  used_ms   INTEGER NOT NULL,
  PRIMARY KEY (app, user_hash)
) WITHOUT ROWID;

-- An id that was found to be somebody already known.
CREATE TABLE identity (
  id_hash     INTEGER PRIMARY KEY,
  person_hash INTEGER NOT NULL
);

-- What holds calls back, where it must outlast a restart: `pushes` and `rule/…` are the brake's
-- (paused), `gate/app/class` is a gate that OneSignal's answers closed or hold.
CREATE TABLE gate (
  key              TEXT    PRIMARY KEY,
  state            TEXT    NOT NULL CHECK (state IN ('open', 'closed', 'paused')),
  reason           TEXT,
  blocked_until_ms INTEGER NOT NULL DEFAULT 0,
  changed_ms       INTEGER NOT NULL
) WITHOUT ROWID;
