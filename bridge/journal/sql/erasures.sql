-- erase --
-- Asked for again, it begins again.
INSERT INTO erased (user_hash, app, seq, who, before_ms, at_ms)
VALUES (:user_hash, :app, :seq, :source, :erases_ms, :received_ms)
ON CONFLICT (user_hash) DO UPDATE SET
  seq = excluded.seq, who = excluded.who, before_ms = max(before_ms, excluded.before_ms),
  at_ms = excluded.at_ms, done_ms = NULL;

-- are_erased --
-- Whether there is any use in asking about anybody.
SELECT EXISTS (SELECT 1 FROM erased);

-- erased_among --
SELECT user_hash, before_ms, done_ms IS NULL FROM erased WHERE user_hash IN

-- erased_when --
SELECT app, at_ms, done_ms IS NULL FROM erased WHERE user_hash = :user_hash;

-- erasing --
-- Up to when, of somebody who is being erased.
SELECT before_ms FROM erased WHERE user_hash = :user_hash AND done_ms IS NULL;

-- erasure --
SELECT app, seq, who, before_ms, at_ms, events FROM erased WHERE user_hash = :user_hash;

-- events_to_erase --
-- Some events of an id: what has ended, what is pending for its person, and what is pending in the tail. Not those
-- that ask for an erasure, and not those of which a push shares a call that is out.
SELECT e.seq FROM (
  SELECT seq FROM history WHERE user_hash = :user_hash
  UNION SELECT seq FROM pending WHERE user_hash = :person_hash AND indexed = 1
  UNION SELECT value FROM json_each(:tail)) o
CROSS JOIN event e ON e.seq = o.seq
WHERE e.event_ms <= :before_ms AND e.user_hash = :user_hash
  AND NOT (e.type = 'delete' AND e.payload IS NOT NULL)
  AND NOT EXISTS (SELECT 1 FROM send WHERE seq = e.seq AND state = 'pending' AND group_id IS NOT NULL AND call_key IS NOT NULL)
LIMIT :limit;

-- events_under_way --
-- How many of them have to wait for a call that is out.
SELECT count(*) FROM (
  SELECT seq FROM history WHERE user_hash = :user_hash
  UNION SELECT seq FROM pending WHERE user_hash = :person_hash AND indexed = 1
  UNION SELECT value FROM json_each(:tail)) o
CROSS JOIN event e ON e.seq = o.seq
WHERE e.event_ms <= :before_ms AND e.user_hash = :user_hash
  AND EXISTS (SELECT 1 FROM send WHERE seq = e.seq AND state = 'pending' AND group_id IS NOT NULL AND call_key IS NOT NULL);

-- sends_of_events --
SELECT key, seq, rule, operation, state, group_id, call_key, recipient, part FROM send
WHERE seq IN (SELECT value FROM json_each(:seqs));

-- sends_to_person --
-- By events of others: those of which nothing can be out.
SELECT key, seq, rule, operation, state, group_id, call_key, recipient, part FROM send
WHERE person_hash = :person_hash AND person_hash <> user_hash
  AND NOT (state = 'pending' AND (group_id IS NULL OR call_key IS NOT NULL))
LIMIT :limit;

-- sends_under_way --
SELECT count(*) FROM send
WHERE person_hash = :person_hash AND person_hash <> user_hash AND state = 'pending'
  AND (group_id IS NULL OR call_key IS NOT NULL);

-- discard_events --
INSERT OR REPLACE INTO outcome (seq, rule, operation, status, reason, at_ms)
SELECT seq, '', '', 'discarded', 'erased', :at_ms FROM pending WHERE seq IN (SELECT value FROM json_each(:seqs));

-- discard_sends --
INSERT OR REPLACE INTO outcome (seq, rule, operation, status, reason, at_ms)
SELECT seq, rule, operation, 'discarded', 'erased', :at_ms FROM send
WHERE key IN (SELECT value FROM json_each(:keys)) AND state IN ('pending', 'held', 'dead');

-- keep_places --
-- Of those who get them, where the events are somebody else's: nothing is heard any more of how these end.
UPDATE place SET taken_ms = :at_ms, until_ms = :at_ms + s.once_ms FROM send s
WHERE s.key IN (SELECT value FROM json_each(:keys)) AND s.once IS NOT NULL
 AND place.person_hash = s.person_hash AND place.app = s.app AND place.rule = s.rule AND place.once = s.once
 AND place.seq = s.seq AND place.until_ms IS NULL;

-- forget_sends --
DELETE FROM send WHERE key IN (SELECT value FROM json_each(:keys));

-- call_left --
-- A shared call that others are still in.
SELECT body FROM call WHERE key = :key;

-- leave_out_of_call --
UPDATE call SET body = :body WHERE key = :key;

-- forget_dead --
-- Letters of sends, whoever's events they are of.
DELETE FROM dead WHERE id IN (
  SELECT d.id FROM send s CROSS JOIN dead d ON d.user_hash = s.user_hash AND d.seq = s.seq
   AND d.rule = s.rule AND d.operation = s.operation
  WHERE s.key IN (SELECT value FROM json_each(:keys)));

-- forget_pending --
DELETE FROM pending WHERE seq IN (SELECT value FROM json_each(:seqs));

-- forget_suspects --
DELETE FROM suspect WHERE seq IN (SELECT value FROM json_each(:seqs));

-- forget_letters --
DELETE FROM dead WHERE user_hash = :user_hash AND seq IN (SELECT value FROM json_each(:seqs));

-- discard_dead --
UPDATE outcome SET status = 'discarded', reason = 'erased'
WHERE seq IN (SELECT value FROM json_each(:seqs)) AND status = 'dead';

-- forget_details --
UPDATE outcome SET detail = NULL WHERE seq IN (SELECT value FROM json_each(:seqs)) AND detail IS NOT NULL;

-- forget_history --
DELETE FROM history WHERE user_hash = :user_hash AND seq IN (SELECT value FROM json_each(:seqs));

-- forget_events --
-- That there was an event stays, and nothing of whose it was.
UPDATE event SET payload = NULL, user_hash = 0 WHERE seq IN (SELECT value FROM json_each(:seqs));

-- erased_ends --
SELECT rule, count(*) FROM outcome
WHERE seq IN (SELECT value FROM json_each(:seqs)) AND status = 'discarded' AND reason = 'erased' AND at_ms = :at_ms
GROUP BY rule;

-- count_erased --
UPDATE erased SET events = events + :events WHERE user_hash = :user_hash;

-- forget_state --
DELETE FROM state WHERE user_hash = :person_hash;

-- forget_memberships --
DELETE FROM membership WHERE user_hash = :person_hash;

-- forget_firings --
DELETE FROM fired WHERE user_hash = :person_hash;

-- forget_person_places --
DELETE FROM place WHERE person_hash = :person_hash;

-- forget_reached --
DELETE FROM reached WHERE person_hash = :person_hash;

-- forget_identity --
DELETE FROM identity WHERE person_hash = :person_hash;

-- forget_devices --
DELETE FROM device WHERE user_hash = :person_hash;

-- how_erased --
-- What became of the user at OneSignal.
SELECT status, reason, http FROM outcome WHERE seq = :seq AND rule = '' AND operation = 'delete_user';

-- erasure_done --
UPDATE erased SET done_ms = :at_ms WHERE user_hash = :user_hash AND seq = :seq;

-- append_audit_trail --
INSERT INTO audit_trail (at_ms, who, what, detail) VALUES (:at_ms, :who, :what, :detail);

-- audit_trail --
SELECT at_ms, who, what, detail FROM audit_trail WHERE id > :after ORDER BY id LIMIT :limit;
