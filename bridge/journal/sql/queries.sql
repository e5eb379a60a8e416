-- append_event --
-- An event, once and for all. Written many rows at a time: see `insert` in sqlite_rows.py.
INSERT INTO event (seq, source, app, message_id, type, name, user_hash, received_ms, event_ms, payload) VALUES

-- append_tail --
-- The messageIds of a source that were heard; a test event of Segment's has none.
INSERT INTO tail (seq, key) VALUES

-- append_pending --
-- Work to do.
INSERT INTO pending (seq, app, lane, rank, user_hash, event_ms) VALUES

-- append_outcome --
-- An end, or several.
INSERT OR REPLACE INTO outcome (seq, rule, operation, status, reason, detail, http, call_key, at_ms) VALUES

-- append_dead --
-- What could not be done, with all that a person needs to decide.
INSERT INTO dead (seq, rule, operation, source, app, message_id, name, user_hash, event_ms, payload,
                  request, answer, reason, http, attempt, uncertain, send_key, died_ms) VALUES

-- heard --
-- Which of these keys were heard before. One writer, so nothing can come between this and the insert.
SELECT key, seq FROM dedupe WHERE key IN

-- tail --
-- The tail as it was left. A user of NULL has nothing to do in it.
SELECT seq, key, user_hash FROM tail LEFT JOIN pending USING (seq) ORDER BY seq;

-- index_dedupe --
-- In the order of the keys, so that each page is met once.
INSERT OR IGNORE INTO dedupe (key, seq) SELECT key, seq FROM tail WHERE key IS NOT NULL ORDER BY key;

-- index_pending --
-- What is left to do of the tail.
UPDATE pending SET indexed = 1 WHERE seq >= (SELECT min(seq) FROM tail) AND indexed = 0;

-- index_done --
DELETE FROM tail;

-- last_seq --
SELECT coalesce((SELECT seq FROM sqlite_sequence WHERE name = 'event'), 0);

-- lane_heads --
-- Of each lane its next pending events of one app and rank. The cursor is only a hint: a chain reloads its user
-- by user, so a row passed over while its user was busy is not lost.
WITH asked AS MATERIALIZED (
  SELECT json_extract(value, '$[0]') AS lane, json_extract(value, '$[1]') AS after FROM json_each(:lanes))
SELECT CAST(json_group_array(json((
  SELECT json_group_array(json_array(seq, user_hash, not_before_ms)) FROM (
    SELECT p.seq, p.user_hash, p.not_before_ms FROM pending p
    -- The plus keeps SQLite from putting the lane into `lane / 16`, which would not be the index's any more.
    WHERE p.app = :app AND p.lane / 16 = asked.lane / 16 AND p.rank = :rank AND p.seq > asked.after AND +p.lane = asked.lane
    ORDER BY p.seq LIMIT :limit)))) AS BLOB) FROM asked;

-- chains --
-- Of each user the pending events, whatever their rank: a person's order does not depend on it. Those of the
-- tail come as a list of seqs, in which any may stand that are pending no more. A payload that is large is not in it.
WITH asked AS MATERIALIZED (
  SELECT json_extract(value, '$[0]') AS user_hash, json_extract(value, '$[1]') AS tail FROM json_each(:users))
SELECT CAST(json_group_array(json((
  SELECT json_group_array(json_array(
    seq, lane, rank, user_hash, event_ms, not_before_ms, attempt, first_try_ms, done, "only", revived,
    source, app, message_id, received_ms, CASE WHEN length(payload) <= :large THEN hex(payload) END, type)) FROM (
      SELECT p.*, e.source, e.message_id, e.received_ms, e.payload, e.type
      FROM pending p JOIN event e USING (seq)
      WHERE p.seq IN (
        SELECT seq FROM (SELECT seq FROM pending WHERE user_hash = asked.user_hash AND indexed = 1 ORDER BY seq LIMIT :limit)
        UNION SELECT value FROM json_each(asked.tail))
      -- What is another's by now is in the tail still; the plus keeps to the list.
      AND +p.user_hash = asked.user_hash
      ORDER BY p.seq LIMIT :limit)))) AS BLOB) FROM asked;

-- large_payload --
SELECT payload FROM event WHERE seq = :seq;

-- state --
-- What was written for one user of an app: the hash is of both.
SELECT facts FROM state WHERE user_hash = :user_hash;

-- learn --
INSERT INTO state (user_hash, facts, used_ms) VALUES (:user_hash, :facts, :used_ms)
ON CONFLICT (user_hash) DO UPDATE SET facts = excluded.facts, used_ms = excluded.used_ms;

-- states --
-- Of many users.
SELECT CAST(json_group_array(json_array(user_hash, hex(facts))) AS BLOB) FROM state
WHERE user_hash IN (SELECT value FROM json_each(:users));

-- learn_many --
INSERT OR REPLACE INTO state (user_hash, facts, used_ms) VALUES

-- state_page --
-- The last of the next users by hash; a walk, so that no index on the time of use has to be kept.
SELECT max(user_hash) FROM
  (SELECT user_hash FROM state WHERE user_hash > :after ORDER BY user_hash LIMIT :limit);

-- drop_unused --
DELETE FROM state WHERE user_hash > :after AND user_hash <= :last AND used_ms < :before_ms;

-- open_sends --
-- Sends of one event that have not ended, with the bytes of their call.
SELECT s.key, s.rule, s.operation, s.expires_ms, c.key AS call_key, c.method, c.path, c.body,
       c.not_before_ms, c.attempt, c.created_ms, s.key_ms, s.label, s.recipient,
       c.uncertain OR c.run <> (SELECT value FROM meta WHERE key = 'run') AS uncertain
FROM send s JOIN call c ON c.key = s.call_key
WHERE s.seq = :seq AND s.state = 'pending' AND s.group_id IS NULL;

-- mark_done --
-- What a replay took out of `done` stays out, until it has ended or has a send again.
UPDATE pending SET done = CASE WHEN revived = '[]' THEN :done ELSE
  (SELECT json_group_array(d.value) FROM json_each(:done) d
   WHERE d.value NOT IN (SELECT value FROM json_each(pending.revived))
      OR EXISTS (SELECT 1 FROM outcome WHERE seq = :seq AND rule || '/' || operation = d.value)
      OR EXISTS (SELECT 1 FROM send WHERE seq = :seq AND ended_ms IS NULL AND rule || '/' || operation = d.value)) END
WHERE seq = :seq;

-- end_send --
-- What did not reach its person, and certainly will not, takes no place of the cap any more.
UPDATE send SET state = :state, ended_ms = :at_ms, counted = counted AND :kept WHERE key = :key;

-- reopen_send --
-- Replayed with its own key: OneSignal tells a repeat by it.
UPDATE send SET state = 'pending', ended_ms = NULL, expires_ms = NULL, call_key = :key WHERE key = :key;

-- end_call --
-- A call ends with the last of its members; one that is held still needs it.
DELETE FROM call
WHERE key = :key AND NOT EXISTS (
  SELECT 1 FROM send WHERE call_key = :key AND (ended_ms IS NULL OR state = 'dead') AND ended_ms IS NULL);

-- retry_call --
UPDATE call SET not_before_ms = :not_before_ms, attempt = :attempt, uncertain = :uncertain, last_error = :last_error
WHERE key = :key;

-- postpone --
UPDATE pending SET not_before_ms = :not_before_ms, attempt = :attempt, last_error = :last_error,
                   first_try_ms = coalesce(first_try_ms, :now_ms)
WHERE seq = :seq;

-- put_off --
-- A send of the event has to wait before it may be written: no failure.
UPDATE pending SET not_before_ms = :not_before_ms, last_error = :last_error,
                   first_try_ms = coalesce(first_try_ms, :now_ms)
WHERE seq = :seq;

-- append_history --
-- Ended events of a user; again after a replay.
INSERT OR IGNORE INTO history (user_hash, seq) VALUES

-- remember --
-- The events are their users' past now.
INSERT OR IGNORE INTO history (user_hash, seq)
SELECT user_hash, seq FROM event WHERE user_hash <> 0 AND seq IN

-- finish_events --
DELETE FROM pending WHERE revived = '[]' AND seq IN

-- pending_among --
SELECT seq FROM pending WHERE seq IN

-- keep_revived --
-- What was replayed meanwhile, and has not ended, is what the event still waits for.
UPDATE pending SET
  only = (SELECT json_group_array(value) FROM json_each(pending.revived)
          WHERE NOT EXISTS (SELECT 1 FROM outcome WHERE seq = :seq AND rule || '/' || operation = value)),
  done = (SELECT json_group_array(rule || '/' || operation) FROM send WHERE seq = :seq AND ended_ms IS NULL),
  revived = '[]', attempt = 0, first_try_ms = NULL, not_before_ms = 0
WHERE seq = :seq;

-- finish_revived --
DELETE FROM pending WHERE seq = :seq AND only = '[]';

-- event_of --
SELECT seq, source, app, message_id, type, name, user_hash, received_ms, event_ms, payload
FROM event WHERE seq = :seq;

-- recent --
-- Events after a seq, in their order, for a look back; those that no rule wanted may have no payload.
SELECT seq, source, message_id, received_ms, payload FROM event WHERE seq > :after ORDER BY seq;

-- whose_event --
-- In whose chain it belongs.
SELECT app, coalesce((SELECT person_hash FROM identity WHERE id_hash = event.user_hash), user_hash), event_ms
FROM event WHERE seq = :seq;

-- user_of --
SELECT app, coalesce((SELECT person_hash FROM identity WHERE id_hash = event.user_hash), user_hash)
FROM event WHERE seq = :seq;

-- dead_page --
SELECT id, seq, rule, operation, source, message_id, name, reason, http, attempt, died_ms, answer, request,
       payload, uncertain, send_key, app,
       coalesce((SELECT person_hash FROM identity WHERE id_hash = dead.user_hash), user_hash)
FROM dead WHERE state = 'dead' AND id > :after
  AND (:ids IS NULL OR id IN (SELECT value FROM json_each(:ids)))
  AND (:app IS NULL OR app = :app) AND (:reason IS NULL OR reason = :reason) AND (:rule IS NULL OR rule = :rule)
  AND (:user IS NULL OR coalesce((SELECT person_hash FROM identity WHERE id_hash = dead.user_hash), dead.user_hash) IN
    (SELECT hash_of(dead.app, :user) UNION ALL SELECT person_hash FROM identity WHERE id = :user AND app = dead.app))
  AND (:since_ms IS NULL OR died_ms >= :since_ms) AND (:until_ms IS NULL OR died_ms <= :until_ms)
ORDER BY id LIMIT :limit;

-- dead_one --
SELECT id, seq, rule, operation, source, message_id, name, reason, http, attempt, died_ms, answer, request,
       payload, uncertain, send_key, app,
       coalesce((SELECT person_hash FROM identity WHERE id_hash = dead.user_hash), user_hash)
FROM dead WHERE state = 'dead' AND id = :id;

-- dead_count --
SELECT reason, rule, count(*) AS n, max(id) FROM dead
WHERE state = 'dead' AND (:ids IS NULL OR id IN (SELECT value FROM json_each(:ids)))
  AND (:app IS NULL OR app = :app) AND (:reason IS NULL OR reason = :reason) AND (:rule IS NULL OR rule = :rule)
  AND (:user IS NULL OR coalesce((SELECT person_hash FROM identity WHERE id_hash = dead.user_hash), dead.user_hash) IN
    (SELECT hash_of(dead.app, :user) UNION ALL SELECT person_hash FROM identity WHERE id = :user AND app = dead.app))
  AND (:since_ms IS NULL OR died_ms >= :since_ms) AND (:until_ms IS NULL OR died_ms <= :until_ms)
GROUP BY reason, rule ORDER BY n DESC;

-- was_uncertain --
-- What may have been performed once, whatever is answered when it is tried again.
SELECT 1 FROM dead WHERE user_hash = :user_hash AND seq = :seq AND send_key = :send_key AND uncertain = 1 LIMIT 1;

-- leave_dead --
UPDATE dead SET state = :state, left_ms = :at_ms WHERE id = :id AND state = 'dead';

-- forget_outcome --
-- A replayed operation has no end until it ends again.
DELETE FROM outcome WHERE seq = :seq AND rule = :rule AND operation = :operation;

-- restore_event --
-- Retention may have taken the event; the dead letter has its own copy.
INSERT INTO event (seq, source, app, message_id, type, name, user_hash, received_ms, event_ms, payload)
SELECT seq, source, app, message_id, '', name, user_hash, died_ms, event_ms, payload FROM dead WHERE id = :id
ON CONFLICT (seq) DO UPDATE SET payload = excluded.payload;

-- ended --
-- The operations of an event that have an end.
SELECT json_group_array(rule || '/' || operation) FROM outcome WHERE seq = :seq AND rule <> '';

-- revive --
-- Back to work, for the operations it is about only; joined to what is already waiting for the event. As
-- bulk: there may be a million of them, and what is live goes first.
INSERT INTO pending (seq, app, lane, rank, user_hash, event_ms, only, done, indexed)
VALUES (:seq, :app, :lane, 1, :user_hash, :event_ms, :only, :done, 1)
ON CONFLICT (seq) DO UPDATE SET
  revived = (SELECT json_group_array(value) FROM
              (SELECT value FROM json_each(pending.revived) UNION SELECT value FROM json_each(excluded.only))),
  only = CASE WHEN pending.only IS NULL OR excluded.only IS NULL THEN NULL
              ELSE (SELECT json_group_array(value) FROM
                     (SELECT value FROM json_each(pending.only) UNION SELECT value FROM json_each(excluded.only))) END,
  done = (SELECT json_group_array(value) FROM
           (SELECT value FROM json_each(pending.done)
            WHERE value NOT IN (SELECT value FROM json_each(excluded.only))
            UNION SELECT value FROM json_each(excluded.done)));

-- send_one --
-- Of one that shares a call it is the call's key that OneSignal knows.
SELECT key, seq, app, rule, operation, user_hash, label, recipient, generation, revision, state,
       person_hash, once, once_ms,
       coalesce((SELECT created_ms FROM call WHERE call.key = send.call_key AND call.group_id IS NOT NULL), key_ms)
FROM send WHERE key = :key;

-- gates --
-- A handful of rows: what holds calls back now.
SELECT key, state, reason, blocked_until_ms, changed_ms FROM gate ORDER BY key;

-- set_gate --
INSERT OR REPLACE INTO gate (key, state, reason, blocked_until_ms, changed_ms)
VALUES (:key, :state, :reason, :blocked_until_ms, :changed_ms);

-- drop_gate --
DELETE FROM gate WHERE key = :key;

-- counts --
-- Small tables only; never a scan of events. A send in a group waits without its event.
SELECT (SELECT count(*) FROM pending) +
       (SELECT count(*) FROM send WHERE ended_ms IS NULL AND group_id IS NOT NULL AND state = 'pending') +
       (SELECT count(*) FROM merge WHERE state = 'moving' AND NOT EXISTS (SELECT 1 FROM pending WHERE seq = merge.seq)) AS pending,
       (SELECT count(*) FROM dead WHERE state = 'dead') AS dead,
       (SELECT coalesce(sum(sends), 0) FROM held_tally) AS held,
       (SELECT min(received_ms) FROM event WHERE seq = (SELECT min(seq) FROM pending)) AS oldest_ms;

-- pending_apps --
-- Of which apps events wait, and how many.
SELECT app, count(*) FROM pending GROUP BY app;

-- still_pending --
-- Which of these events are not done.
SELECT value FROM json_each(:seqs) WHERE EXISTS (SELECT 1 FROM pending WHERE seq = value);

-- meta_get --
SELECT value FROM meta WHERE key = :key;

-- last_heard --
SELECT received_ms FROM event WHERE seq = :seq;

-- run --
-- How often the database was opened and closed.
SELECT coalesce((SELECT value FROM meta WHERE key = 'run'), 0);

-- next_run --
INSERT INTO meta (key, value) VALUES ('run', 1) ON CONFLICT (key) DO UPDATE SET value = value + 1;

-- works --
-- This run is one that makes calls.
INSERT OR REPLACE INTO meta (key, value) SELECT 'works', value FROM meta WHERE key = 'run';

-- take_calls --
-- Those that nobody has tried are this run's to try.
UPDATE call SET run = (SELECT value FROM meta WHERE key = 'run') WHERE run = 0;

-- meta_set --
INSERT INTO meta (key, value) VALUES (:key, :value);

-- meta_keep --
INSERT OR REPLACE INTO meta (key, value) VALUES (:key, :value);

-- begin_alone --
INSERT INTO suspect (seq, begun) VALUES (:seq, 1)
ON CONFLICT (seq) DO UPDATE SET begun = begun + 1 RETURNING begun;

-- suspects --
-- CROSS: from the few to the many, whatever the planner thinks of them.
SELECT user_hash FROM suspect CROSS JOIN pending USING (seq) WHERE app = :app ORDER BY begun DESC, seq;

-- survived --
DELETE FROM suspect WHERE seq = :seq;

-- keep_audit --
INSERT OR REPLACE INTO audit (id, app, rule, due_ms, looks) VALUES (:id, :app, :rule, :due_ms, :looks);

-- audit_next --
SELECT id, app, rule, due_ms, looks FROM audit WHERE app = :app ORDER BY due_ms LIMIT 1;

-- audit_done --
DELETE FROM audit WHERE id = :id;
