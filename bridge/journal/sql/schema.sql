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

-- Whose the ended events are; the others are found by `pending_user` and `tail`. Written when an event ends and
-- not when it is accepted, where a second entry at a random place would cost a sixth of the time.
CREATE TABLE history (
  user_hash INTEGER NOT NULL,
  seq       INTEGER NOT NULL,
  PRIMARY KEY (user_hash, seq)
) WITHOUT ROWID;

-- The newest events, whose messageId is not in `dedupe` yet, nor their user in `pending_user`: see
-- sqlite_tail.py.
CREATE TABLE tail (
  seq INTEGER PRIMARY KEY,
  key BLOB                                       -- as in dedupe; NULL: a repeat is not a duplicate
);

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
  revived       TEXT    NOT NULL DEFAULT '[]',   -- replayed while the event was pending: who works on it may not know
  indexed       INTEGER NOT NULL DEFAULT 0 CHECK (indexed IN (0, 1)) -- it is in `pending_user`; else in the tail
);
-- Sixteen lanes share a tail: with one each, a commit writes up to 256 pages of this index for as many
-- events, and the lanes are a third of what it costs. Who looks for one lane passes over its neighbours.
CREATE INDEX pending_lane ON pending (app, lane / 16, rank, seq, lane);
CREATE INDEX pending_user ON pending (user_hash, seq) WHERE indexed = 1;

-- The states of a send, and the only moves between them.
--
--   pending ──> delivered | no_recipients | skipped | dead       OneSignal answered, or it grew too old
--   skipped ──> replayed                                         a person says that it still matters
--   pending ──> held ──> pending | discarded                     a limit or the brake; a person decides
--   dead ──> pending                                             replayed with its own key: it may have been done
--   dead ──> replayed | discarded                                replayed with a new key: it certainly was not
CREATE TABLE send_move (
  was    TEXT NOT NULL,
  becomes TEXT NOT NULL,
  PRIMARY KEY (was, becomes)
) WITHOUT ROWID;
INSERT INTO send_move (was, becomes) VALUES
  ('pending', 'delivered'), ('pending', 'no_recipients'), ('pending', 'skipped'), ('pending', 'dead'),
  ('skipped', 'replayed'), ('pending', 'held'), ('held', 'pending'), ('held', 'discarded'),
  ('dead', 'pending'), ('dead', 'replayed'), ('dead', 'discarded');

CREATE TABLE send (
  key         TEXT    PRIMARY KEY,               -- the idempotency key at OneSignal
  seq         INTEGER NOT NULL,
  app         TEXT    NOT NULL,
  rule        TEXT    NOT NULL,
  operation   TEXT    NOT NULL,
  user_hash   INTEGER NOT NULL,                  -- whom the event is about
  person_hash INTEGER NOT NULL,                  -- who gets it
  label       TEXT    NOT NULL,
  recipient   TEXT    NOT NULL,
  generation  INTEGER NOT NULL DEFAULT 0,
  revision    TEXT    NOT NULL,                  -- of the mapping that planned it
  expires_ms  INTEGER,                           -- too old after this; NULL: never
  state       TEXT    NOT NULL DEFAULT 'pending'
    CHECK (state IN ('pending', 'held', 'delivered', 'no_recipients', 'skipped', 'dead', 'replayed', 'discarded')),
  hold        TEXT,                              -- why it is held
  counted     INTEGER NOT NULL DEFAULT 0 CHECK (counted IN (0, 1)), -- it takes one of its person's places under `push.cap`
  once        INTEGER,                           -- the place of `once_per` that it took
  once_ms     INTEGER,                           -- and for how long
  group_id    BLOB,                              -- what it may share a call with; NULL: its call is its own
  part        BLOB,                              -- its own part of a call that it shares
  call_key    TEXT,                              -- NULL: its group is not sealed yet
  created_ms  INTEGER NOT NULL,
  key_ms      INTEGER NOT NULL,                  -- OneSignal has not seen its key before
  ended_ms    INTEGER,
  CHECK ((state IN ('pending', 'held')) = (ended_ms IS NULL)),
  CHECK ((state = 'held') = (hold IS NOT NULL)),
  CHECK (group_id IS NOT NULL OR call_key IS NOT NULL),
  CHECK ((once IS NULL) = (once_ms IS NULL))
);
CREATE INDEX send_seq ON send (seq);
CREATE INDEX send_call ON send (call_key) WHERE call_key IS NOT NULL AND (ended_ms IS NULL OR state = 'dead');
-- The last columns are there so that who counts reads nothing but the index.
CREATE INDEX send_held ON send (app, rule, hold, created_ms, state, key) WHERE state = 'held';
CREATE INDEX send_held_event ON send (app, rule, hold, created_ms)
  WHERE state = 'held' AND operation = 'track_custom_event';
CREATE INDEX send_person ON send (person_hash, ended_ms, state, counted) WHERE counted = 1;
-- Whom others' events are about.
CREATE INDEX send_other ON send (person_hash) WHERE person_hash <> user_hash;
CREATE INDEX send_grouped ON send (group_id, state, call_key, created_ms, ended_ms)
  WHERE ended_ms IS NULL AND group_id IS NOT NULL;

CREATE TRIGGER send_moves BEFORE UPDATE OF state ON send
WHEN OLD.state <> NEW.state
 AND NOT EXISTS (SELECT 1 FROM send_move WHERE was = OLD.state AND becomes = NEW.state)
BEGIN
  SELECT RAISE(ABORT, 'a send cannot make this move');
END;

-- How many sends are held alike: whoever asks for the figure, a scrape or a page, counts none of them.
CREATE TABLE held_tally (
  app   TEXT    NOT NULL,
  rule  TEXT    NOT NULL,
  hold  TEXT    NOT NULL,
  sends INTEGER NOT NULL CHECK (sends >= 0),
  PRIMARY KEY (app, rule, hold)
) WITHOUT ROWID;
CREATE TRIGGER held_at_once AFTER INSERT ON send WHEN NEW.state = 'held' BEGIN
  INSERT INTO held_tally (app, rule, hold, sends) VALUES (NEW.app, NEW.rule, NEW.hold, 1)
  ON CONFLICT DO UPDATE SET sends = sends + 1;
END;
CREATE TRIGGER held_later AFTER UPDATE OF state ON send WHEN NEW.state = 'held' AND OLD.state <> 'held' BEGIN
  INSERT INTO held_tally (app, rule, hold, sends) VALUES (NEW.app, NEW.rule, NEW.hold, 1)
  ON CONFLICT DO UPDATE SET sends = sends + 1;
END;
CREATE TRIGGER held_no_more AFTER UPDATE OF state ON send WHEN OLD.state = 'held' AND NEW.state <> 'held' BEGIN
  UPDATE held_tally SET sends = sends - 1 WHERE app = OLD.app AND rule = OLD.rule AND hold = OLD.hold;
END;
CREATE TRIGGER held_otherwise AFTER UPDATE OF hold ON send
WHEN OLD.state = 'held' AND NEW.state = 'held' AND OLD.hold <> NEW.hold BEGIN
  UPDATE held_tally SET sends = sends - 1 WHERE app = OLD.app AND rule = OLD.rule AND hold = OLD.hold;
  INSERT INTO held_tally (app, rule, hold, sends) VALUES (NEW.app, NEW.rule, NEW.hold, 1)
  ON CONFLICT DO UPDATE SET sends = sends + 1;
END;
CREATE TRIGGER held_forgotten AFTER DELETE ON send WHEN OLD.state = 'held' BEGIN
  UPDATE held_tally SET sends = sends - 1 WHERE app = OLD.app AND rule = OLD.rule AND hold = OLD.hold;
END;

CREATE TABLE call (
  key           TEXT    PRIMARY KEY,
  app           TEXT    NOT NULL,
  method        TEXT    NOT NULL,
  path          TEXT    NOT NULL,
  body          BLOB    NOT NULL,                -- every attempt sends exactly these bytes
  lane          INTEGER NOT NULL,
  group_id      BLOB,                            -- whose members share it; NULL: it has one, whose chain sends it
  not_before_ms INTEGER NOT NULL DEFAULT 0,
  attempt       INTEGER NOT NULL DEFAULT 0,
  uncertain     INTEGER NOT NULL DEFAULT 0 CHECK (uncertain IN (0, 1)), -- an attempt may have been performed
  run           INTEGER NOT NULL,                -- of the process that may try it: what an earlier one attempted is not known; 0: none yet
  created_ms    INTEGER NOT NULL,
  last_error    TEXT
) WITHOUT ROWID;
CREATE INDEX call_lane ON call (lane, created_ms);
CREATE INDEX call_group ON call (group_id) WHERE group_id IS NOT NULL;
CREATE INDEX call_untried ON call (run) WHERE run = 0;

-- What sends have in common that may share a call: all of a push but its recipients and its key.
CREATE TABLE send_group (
  id       BLOB    PRIMARY KEY,
  app      TEXT    NOT NULL,
  endpoint TEXT    NOT NULL CHECK (endpoint IN ('send', 'event')),
  lane     INTEGER NOT NULL CHECK (lane BETWEEN 256 AND 271),
  rank     INTEGER NOT NULL CHECK (rank IN (0, 1)),
  label    TEXT    NOT NULL,                     -- by which its recipients are named
  method   TEXT    NOT NULL,
  path     TEXT    NOT NULL,
  body     BLOB    NOT NULL
) WITHOUT ROWID;

-- Which mapping each source has had, and since when.
CREATE TABLE mapping_log (
  source   TEXT    NOT NULL,
  since_ms INTEGER NOT NULL,
  revision TEXT    NOT NULL,
  rules    TEXT    NOT NULL,                     -- their names, as a JSON list
  PRIMARY KEY (source, since_ms)
) WITHOUT ROWID;

-- Every attempt at OneSignal, for a few days: what was asked and what came back, word for word. It is
-- written with the next transaction, which is the one that says what became of the attempt, or one
-- before it.
CREATE TABLE call_log (
  id        INTEGER PRIMARY KEY,                 -- in their order
  app       TEXT    NOT NULL,
  class     TEXT    NOT NULL,                    -- of endpoint: write, send, event
  operation TEXT    NOT NULL,
  method    TEXT    NOT NULL,
  path      TEXT    NOT NULL,
  body      BLOB,                                -- NULL: a repeat, with the bytes and members of the first
  call_key  TEXT,                                -- of a send's call
  status    INTEGER,                             -- NULL: there was no answer
  failure   TEXT,                                -- and this is why
  answer    TEXT    NOT NULL,                    -- its beginning
  at_ms     INTEGER NOT NULL,                    -- when it left
  took_ms   INTEGER NOT NULL,
  CHECK ((status IS NULL) = (failure IS NOT NULL)),
  CHECK (body IS NOT NULL OR call_key IS NOT NULL)
);
CREATE INDEX call_log_key ON call_log (call_key) WHERE call_key IS NOT NULL;

-- For which events a call was made.
CREATE TABLE call_member (
  seq        INTEGER NOT NULL,
  call       INTEGER NOT NULL,
  other_hash INTEGER,                            -- whom it is about, when that is not its event's user
  PRIMARY KEY (seq, call)
) WITHOUT ROWID;
CREATE INDEX call_member_call ON call_member (call);
CREATE INDEX call_member_other ON call_member (other_hash) WHERE other_hash IS NOT NULL;

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
-- What a person may still want to be done.
CREATE INDEX outcome_too_old ON outcome (rule, at_ms) WHERE status = 'skipped' AND reason = 'too_old';

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
CREATE INDEX dead_user ON dead (user_hash, seq);
-- All that is counted by and chosen by: who counts a million reads nothing but the index.
CREATE INDEX dead_reason ON dead (reason, rule, app, died_ms, user_hash, state) WHERE state = 'dead';

-- What we wrote for a user of an app (the hash is of both): of every tag, property, alias and
-- subscription its value, the event that said so, and when OneSignal accepted it. One compact text,
-- read and written whole, and only ever joined to what it is by then.
CREATE TABLE state (
  user_hash INTEGER PRIMARY KEY,
  facts     BLOB    NOT NULL,
  used_ms   INTEGER NOT NULL
);

-- Who is in which audience: the last word by event time, and since when it has been so.
CREATE TABLE membership (
  user_hash INTEGER NOT NULL,
  app       TEXT    NOT NULL,
  audience  TEXT    NOT NULL,
  entered   INTEGER NOT NULL CHECK (entered IN (0, 1)),
  since_ms  INTEGER NOT NULL,
  last_ms   INTEGER NOT NULL CHECK (last_ms >= since_ms),
  last_seq  INTEGER NOT NULL,
  quiet     INTEGER NOT NULL CHECK (quiet IN (0, 1)), -- this stay is no news: no rule fires for it any more
  PRIMARY KEY (user_hash, app, audience)
) WITHOUT ROWID;

-- Which rules have fired for the stay that `membership` is about, and by which event.
CREATE TABLE fired (
  user_hash INTEGER NOT NULL,
  app       TEXT    NOT NULL,
  audience  TEXT    NOT NULL,
  rule      TEXT    NOT NULL,
  seq       INTEGER NOT NULL,
  PRIMARY KEY (user_hash, app, audience, rule)
) WITHOUT ROWID;

-- Places of `once_per`: taken with the send, given back when it reached nobody. Each event has its own, so that
-- what one gives back is not another's.
CREATE TABLE place (
  person_hash INTEGER NOT NULL,
  app         TEXT    NOT NULL,
  rule        TEXT    NOT NULL,
  once        INTEGER NOT NULL,                  -- a keyed hash of the rule's key
  seq         INTEGER NOT NULL,                  -- the event that took it
  taken_ms    INTEGER NOT NULL,                  -- when the send was written; later, when it had ended
  until_ms    INTEGER,                           -- NULL: it has not ended, however long ago it was written
  PRIMARY KEY (person_hash, app, rule, once, seq)
) WITHOUT ROWID;
CREATE INDEX place_until ON place (until_ms);

-- How many sends of a rule were written, by short stretches of time; rule '': of all rules with `cap: off`.
CREATE TABLE pace (
  app     TEXT    NOT NULL,
  rule    TEXT    NOT NULL,
  slot_ms INTEGER NOT NULL,                      -- when the stretch began
  sends   INTEGER NOT NULL,
  PRIMARY KEY (app, rule, slot_ms)
) WITHOUT ROWID;

-- When a person was last reached by a push, in days since 1970, and how many people each day was last for.
CREATE TABLE reached (
  person_hash INTEGER NOT NULL,
  app         TEXT    NOT NULL,
  day         INTEGER NOT NULL,
  PRIMARY KEY (person_hash, app)
) WITHOUT ROWID;
CREATE TABLE reached_day (
  app    TEXT    NOT NULL,
  day    INTEGER NOT NULL,
  people INTEGER NOT NULL CHECK (people >= 0),
  PRIMARY KEY (app, day)
) WITHOUT ROWID;
CREATE TRIGGER reached_first AFTER INSERT ON reached BEGIN
  INSERT INTO reached_day (app, day, people) VALUES (NEW.app, NEW.day, 1)
  ON CONFLICT DO UPDATE SET people = people + 1;
END;
CREATE TRIGGER reached_again AFTER UPDATE OF day ON reached WHEN OLD.day <> NEW.day BEGIN
  UPDATE reached_day SET people = people - 1 WHERE app = OLD.app AND day = OLD.day;
  INSERT INTO reached_day (app, day, people) VALUES (NEW.app, NEW.day, 1)
  ON CONFLICT DO UPDATE SET people = people + 1;
END;
CREATE TRIGGER reached_no_more AFTER DELETE ON reached BEGIN
  UPDATE reached_day SET people = people - 1 WHERE app = OLD.app AND day = OLD.day;
END;

-- Ids that were found to be somebody's who goes by another: whose it is found at once, however often
-- that one was found to be somebody else's in turn.
CREATE TABLE identity (
  id_hash     INTEGER PRIMARY KEY,
  person_hash INTEGER NOT NULL,
  app         TEXT    NOT NULL,
  label       TEXT    NOT NULL,                  -- the id, as OneSignal may know somebody by it
  id          TEXT    NOT NULL,
  external_id TEXT    NOT NULL,                  -- the person's
  at_ms       INTEGER NOT NULL,                  -- when it was heard
  CHECK (id_hash <> person_hash)
);
CREATE INDEX identity_person ON identity (person_hash);
-- By which a person is asked for who has another id by now.
CREATE INDEX identity_id ON identity (id);

-- Of these, what is not done at OneSignal. The steps are not harmless when they are repeated: a device
-- may be another's by then. So each is written before the next begins.
--
--   asked ──> owing ──> moving ──> (done)
--     ^         └──> (done)           │
--     └────────── refused <───────────┘     a person replays it
CREATE TABLE merge (
  id_hash       INTEGER PRIMARY KEY,
  person_hash   INTEGER NOT NULL,                -- whose chain does it
  app           TEXT    NOT NULL,
  seq           INTEGER NOT NULL,                -- the event that says so
  state         TEXT    NOT NULL DEFAULT 'asked' CHECK (state IN ('asked', 'owing', 'moving', 'refused')),
  http          INTEGER,                         -- what OneSignal answered when it was asked; NULL: it was not
  owed          TEXT    NOT NULL DEFAULT '{}',   -- what the person's user lacks of what was written for the other
  detail        TEXT,                            -- what was left out
  subscriptions TEXT,                            -- those that are to be moved; NULL: they have to be looked for
  moved         INTEGER NOT NULL DEFAULT 0,
  run           INTEGER NOT NULL,                -- of the process that looked: what an earlier one moved is not known
  attempt       INTEGER NOT NULL DEFAULT 0,
  first_try_ms  INTEGER,
  not_before_ms INTEGER NOT NULL DEFAULT 0,
  last_error    TEXT
);
CREATE INDEX merge_person ON merge (person_hash);
CREATE INDEX merge_seq ON merge (seq);
CREATE INDEX merge_moving ON merge (app, not_before_ms, seq) WHERE state = 'moving';

-- Devices, and whose they are: posted by a page or an app, or read off an event. Whoever has several of
-- its names has the same device.
CREATE TABLE device (
  id              INTEGER PRIMARY KEY,
  app             TEXT    NOT NULL,
  user_hash       INTEGER NOT NULL CHECK (user_hash >= 0), -- 0: nobody's, its user has logged out
  platform        TEXT    NOT NULL CHECK (platform <> ''),
  subscription_id TEXT    CHECK (subscription_id <> ''), -- at OneSignal; NULL: it is not known
  installation    INTEGER,                               -- a keyed hash
  token           INTEGER,                               -- of its push token
  subscribed      INTEGER NOT NULL CHECK (subscribed IN (0, 1)),
  details         TEXT    NOT NULL CHECK (details LIKE '{%}'), -- a JSON object
  at_ms           INTEGER NOT NULL,                      -- when it was said, and by which event; 0: by none
  seq             INTEGER NOT NULL,
  first_ms        INTEGER NOT NULL,
  seen_ms         INTEGER NOT NULL CHECK (seen_ms >= first_ms),
  CHECK (coalesce(subscription_id, installation, token) IS NOT NULL)
);
-- A user has a device once, by each of its names.
CREATE UNIQUE INDEX device_user ON device (user_hash, app, subscription_id);
CREATE UNIQUE INDEX device_installation ON device (app, installation, user_hash) WHERE installation IS NOT NULL;
CREATE UNIQUE INDEX device_token ON device (app, token, user_hash) WHERE token IS NOT NULL;
CREATE INDEX device_subscription ON device (app, subscription_id) WHERE subscription_id IS NOT NULL;
CREATE INDEX device_seen ON device (seen_ms);

-- Who was erased. It stays for a while, so that events which come late do not bring anybody back.
CREATE TABLE erased (
  user_hash INTEGER PRIMARY KEY,
  app       TEXT    NOT NULL,
  seq       INTEGER NOT NULL,                    -- the event that asked for it last
  who       TEXT    NOT NULL,                    -- its source
  before_ms INTEGER NOT NULL,                    -- of events up to this time nothing is kept
  at_ms     INTEGER NOT NULL,                    -- when it was asked for
  events    INTEGER NOT NULL DEFAULT 0,          -- of which something was removed
  done_ms   INTEGER                              -- NULL: it is under way
);
CREATE INDEX erased_at ON erased (at_ms);

-- What was done that somebody may have to prove later. Rows are only ever added.
CREATE TABLE audit_trail (
  id     INTEGER PRIMARY KEY AUTOINCREMENT,
  at_ms  INTEGER NOT NULL,
  who    TEXT    NOT NULL,
  what   TEXT    NOT NULL,
  detail TEXT    NOT NULL                        -- a JSON object
);
CREATE TRIGGER audit_trail_stays BEFORE UPDATE ON audit_trail BEGIN
  SELECT RAISE(ABORT, 'the audit trail is never changed');
END;
CREATE TRIGGER audit_trail_remains BEFORE DELETE ON audit_trail BEGIN
  SELECT RAISE(ABORT, 'the audit trail is never shortened');
END;

-- Events past their time of which something was still needed when retention came by.
CREATE TABLE overdue (
  seq INTEGER PRIMARY KEY
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

-- Held sends that are let go little by little: those of a rule that were written in a stretch of time.
CREATE TABLE releasing (
  app        TEXT    NOT NULL,
  rule       TEXT    NOT NULL,
  hold       TEXT    NOT NULL CHECK (hold IN ('limit', 'paused', 'ios_reached')),
  per_minute INTEGER NOT NULL CHECK (per_minute > 0),
  since_ms   INTEGER,
  until_ms   INTEGER NOT NULL,
  paid_ms    INTEGER NOT NULL,                   -- what was due by then has left
  PRIMARY KEY (app, rule, hold)
) WITHOUT ROWID;

-- Causes for alarm that somebody was told of, and was not told to be over.
CREATE TABLE alert (
  key      TEXT    PRIMARY KEY,
  words    TEXT    NOT NULL,
  since_ms INTEGER NOT NULL,
  told_ms  INTEGER NOT NULL,                     -- when somebody was last told of it
  told_of  INTEGER NOT NULL                      -- and of how many; 0: it cannot be counted
) WITHOUT ROWID;

-- Events that were begun alone after an unclean end, and not heard of since.
CREATE TABLE suspect (
  seq   INTEGER PRIMARY KEY,
  begun INTEGER NOT NULL
);

-- Notifications of ours, by their id at OneSignal, whose delivery is to be looked at.
CREATE TABLE audit (
  id     TEXT    PRIMARY KEY,
  app    TEXT    NOT NULL,
  rule   TEXT    NOT NULL,
  due_ms INTEGER NOT NULL,
  looks  INTEGER NOT NULL DEFAULT 0
) WITHOUT ROWID;
CREATE INDEX audit_due ON audit (app, due_ms);

-- What people look at is counted as it happens, by short stretches of time, so that no page counts events.
-- How many operations of each rule ended how, by the hour; outcome 'met' counts the events that met it.
CREATE TABLE rule_tally (
  slot_ms   INTEGER NOT NULL,                    -- when the hour began
  rule      TEXT    NOT NULL,
  operation TEXT    NOT NULL,
  outcome   TEXT    NOT NULL,
  reason    TEXT    NOT NULL,
  times     INTEGER NOT NULL,
  PRIMARY KEY (slot_ms, rule, operation, outcome, reason)
) WITHOUT ROWID;

-- What came in and went out, by the minute: `in` by source, `out` by class and answer, `took` by how long.
CREATE TABLE traffic (
  slot_ms INTEGER NOT NULL,                      -- when the minute began
  what    TEXT    NOT NULL,
  label   TEXT    NOT NULL,
  times   INTEGER NOT NULL,
  PRIMARY KEY (slot_ms, what, label)
) WITHOUT ROWID;

-- The last event that each rule met.
CREATE TABLE rule_last (
  rule  TEXT    PRIMARY KEY,
  seq   INTEGER NOT NULL,
  at_ms INTEGER NOT NULL
) WITHOUT ROWID;

-- In how many of the events that were looked at a path was found that the rule reads.
CREATE TABLE rule_path (
  rule   TEXT    NOT NULL,
  path   TEXT    NOT NULL,
  looked INTEGER NOT NULL,
  found  INTEGER NOT NULL,
  at_ms  INTEGER NOT NULL,
  PRIMARY KEY (rule, path)
) WITHOUT ROWID;
