-- write_group --
INSERT OR IGNORE INTO send_group (id, app, endpoint, lane, rank, label, method, path, body)
VALUES (:id, :app, :endpoint, :lane, :rank, :label, :method, :path, :body);

-- groups_waiting --
-- What waits to be sealed, by group: groups of pushes are there for as long as somebody is in them.
SELECT id, endpoint, rank, members FROM (
  SELECT id, endpoint, rank, (SELECT count(*) FROM send
    WHERE group_id = g.id AND state = 'pending' AND call_key IS NULL AND ended_ms IS NULL) AS members
  FROM send_group g WHERE app = :app)
WHERE members > 0 LIMIT :limit;

-- calls_waiting --
SELECT c.key, g.endpoint, g.rank, c.not_before_ms FROM call c JOIN send_group g ON g.id = c.group_id
WHERE c.group_id IS NOT NULL AND g.app = :app
  AND EXISTS (SELECT 1 FROM send WHERE call_key = c.key AND (ended_ms IS NULL OR state = 'dead') AND state = 'pending')
LIMIT :limit;

-- group_one --
SELECT id, app, endpoint, lane, rank, label, method, path, body FROM send_group WHERE id = :id;

-- unsealed --
SELECT key, rule, recipient, part, expires_ms, label, seq, operation FROM send
WHERE group_id = :group_id AND state = 'pending' AND call_key IS NULL AND ended_ms IS NULL
ORDER BY created_ms LIMIT :limit;

-- join_call --
UPDATE send SET call_key = :call_key WHERE key IN (SELECT value FROM json_each(:keys));

-- write_group_call --
INSERT INTO call (key, app, method, path, body, lane, group_id, run, created_ms)
VALUES (:key, :app, :method, :path, :body, :lane, :id, (SELECT value FROM meta WHERE key = 'run'), :now_ms);

-- group_call --
SELECT c.key, g.id, g.endpoint, g.rank, s.rule, c.method, c.path, c.body, c.not_before_ms, c.attempt, c.created_ms,
       c.uncertain OR c.run <> (SELECT value FROM meta WHERE key = 'run') AS uncertain,
       count(*), min(s.expires_ms)
FROM call c JOIN send_group g ON g.id = c.group_id JOIN send s ON s.call_key = c.key
WHERE c.key = :key AND (s.ended_ms IS NULL OR s.state = 'dead') AND s.state = 'pending'
GROUP BY c.key;

-- call_members --
SELECT key, rule, recipient, part, expires_ms, label, seq, operation,
       (SELECT event_ms FROM event WHERE event.seq = send.seq)
FROM send WHERE call_key = :call_key AND (ended_ms IS NULL OR state = 'dead') AND state = 'pending' LIMIT :limit;

-- leave_call --
UPDATE send SET call_key = NULL WHERE call_key = :call_key AND (ended_ms IS NULL OR state = 'dead') AND state = 'pending';

-- drop_call --
DELETE FROM call WHERE key = :key;

-- end_members --
UPDATE send SET state = :state, ended_ms = :at_ms, counted = counted AND :kept
WHERE key IN (SELECT value FROM json_each(:keys));

-- end_member_outcomes --
INSERT OR REPLACE INTO outcome (seq, rule, operation, status, reason, http, call_key, at_ms)
SELECT seq, rule, operation, :state, :reason, :http, call_key, :at_ms FROM send
WHERE key IN (SELECT value FROM json_each(:keys));

-- reach_members --
INSERT INTO reached (person_hash, app, day)
SELECT coalesce((SELECT i.person_hash FROM identity i WHERE i.id_hash = send.person_hash), send.person_hash), app, :day
FROM send WHERE key IN (SELECT value FROM json_each(:keys)) AND operation = 'send_notification'
ON CONFLICT DO UPDATE SET day = excluded.day WHERE day < excluded.day;

-- with_places --
SELECT key FROM send WHERE key IN (SELECT value FROM json_each(:keys)) AND once IS NOT NULL;

-- end_group_call --
-- A call ends with the last of its members, unless one of them may have to be sent again with it.
DELETE FROM call WHERE key = :key AND NOT EXISTS (
  SELECT 1 FROM send s WHERE s.call_key = :key AND (s.ended_ms IS NULL OR s.state = 'dead')
   AND (s.ended_ms IS NULL OR EXISTS (SELECT 1 FROM dead d WHERE d.seq = s.seq AND d.rule = s.rule
        AND d.operation = s.operation AND d.state = 'dead' AND d.uncertain = 1)));

-- end_group --
-- Those of custom events stay: there is one for each app and rank.
DELETE FROM send_group WHERE id = :id AND endpoint = 'send'
 AND NOT EXISTS (SELECT 1 FROM send WHERE group_id = :id AND ended_ms IS NULL)
 AND NOT EXISTS (SELECT 1 FROM call WHERE group_id = :id);

-- hold_unsealed --
UPDATE send SET state = 'held', hold = :hold WHERE rowid IN (
  SELECT rowid FROM send WHERE group_id = :group_id AND state = 'pending' AND call_key IS NULL AND ended_ms IS NULL
  ORDER BY created_ms LIMIT :limit);

-- hold_members --
UPDATE send SET state = 'held', hold = :hold WHERE key IN (SELECT value FROM json_each(:keys)) AND state = 'pending';

-- reopen_member --
-- A custom event waits for another call; its own key tells OneSignal of a repeat.
UPDATE send SET state = 'pending', ended_ms = NULL, expires_ms = NULL, call_key = NULL WHERE key = :key;

-- dead_members --
-- Of a call of unknown outcome, with their dead letters.
SELECT s.key, s.seq, s.rule, s.operation, d.id FROM send s JOIN dead d
 ON d.seq = s.seq AND d.rule = s.rule AND d.operation = s.operation AND d.state = 'dead'
WHERE s.call_key = :call_key AND (s.ended_ms IS NULL OR s.state = 'dead') AND s.state = 'dead';

-- reopen_members --
-- A call of unknown outcome is sent again whole: its members share its bytes.
UPDATE send SET state = 'pending', ended_ms = NULL, expires_ms = NULL
WHERE call_key = :call_key AND (ended_ms IS NULL OR state = 'dead') AND state = 'dead';

-- reopen_call --
-- It stays uncertain: who is refused now may have been served before.
UPDATE call SET not_before_ms = 0, attempt = 0, uncertain = 1 WHERE key = :key;

-- shared --
-- Whether a send shares a call: its group, the call while that is there, and who listens.
SELECT s.group_id, c.key, g.endpoint FROM send s
LEFT JOIN call c ON c.key = s.call_key LEFT JOIN send_group g ON g.id = s.group_id WHERE s.key = :key;

-- call_group --
SELECT group_id FROM call WHERE key = :key;
