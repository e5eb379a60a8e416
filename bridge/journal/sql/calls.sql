-- append_call --
-- Attempts at OneSignal, many rows at a time: see `insert` in sqlite_rows.py.
INSERT INTO call_log (id, app, class, operation, method, path, body, call_key, status, failure, answer, at_ms, took_ms) VALUES

-- append_call_member --
INSERT OR IGNORE INTO call_member (seq, call, other_hash) VALUES

-- append_members --
-- Of the call of one send or of many: those that it has not ended yet.
INSERT OR IGNORE INTO call_member (seq, call, other_hash)
SELECT seq, :id, CASE WHEN person_hash <> user_hash THEN person_hash END FROM send
WHERE call_key = :call_key AND (ended_ms IS NULL OR state = 'dead') AND state = 'pending';

-- was_called --
-- A call of a send is always made with the same bytes, for the same members: those are kept once.
SELECT 1 FROM call_log WHERE call_key = :call_key LIMIT 1;

-- last_call --
SELECT coalesce(max(id), 0) FROM call_log;

-- calls_before --
-- The last of the oldest so many that is old enough to go; a look at the front, however long the log is.
SELECT max(id) FROM (SELECT id, at_ms FROM call_log ORDER BY id LIMIT :limit) WHERE at_ms < :before_ms;

-- forget_members_before --
-- So many of the members: a call may have thousands.
DELETE FROM call_member WHERE (seq, call) IN
  (SELECT seq, call FROM call_member WHERE call <= :last ORDER BY call LIMIT :limit);

-- forget_calls_before --
DELETE FROM call_log WHERE id <= :last
 AND id < coalesce((SELECT min(call) FROM call_member WHERE call <= :last), :last + 1);

-- seqs_of_user --
-- Every event of a user: what ended, what is pending, and what of it is still in the tail only.
SELECT seq FROM history WHERE user_hash = :user_hash
UNION SELECT seq FROM pending WHERE user_hash = :user_hash AND indexed = 1
UNION SELECT seq FROM tail CROSS JOIN pending USING (seq) WHERE user_hash = :user_hash;

-- calls_of_user --
-- Those that events of a user made, and those of others' events that were about the user; with repeats.
WITH own (call) AS (
  SELECT call FROM call_member WHERE seq IN (SELECT value FROM json_each(:seqs))
  UNION SELECT call FROM call_member WHERE other_hash = :user_hash)
SELECT call FROM own
UNION SELECT r.id FROM own CROSS JOIN call_log l ON l.id = own.call CROSS JOIN call_log r ON r.call_key = l.call_key;

-- forget_members --
DELETE FROM call_member WHERE call IN (SELECT value FROM json_each(:calls));

-- forget_calls --
-- A shared call goes whole: its body names everybody who was in it.
DELETE FROM call_log WHERE id IN (SELECT value FROM json_each(:calls));
