-- events_after --
SELECT seq, received_ms FROM event WHERE seq > :after ORDER BY seq LIMIT :limit;

-- event_at --
SELECT seq, received_ms FROM event WHERE seq >= :seq ORDER BY seq LIMIT 1;

-- needed --
-- Those of these events that are still worked on, wait for a person, or ended not long ago.
SELECT value FROM json_each(:seqs) one
WHERE EXISTS (SELECT 1 FROM pending WHERE seq = one.value)
   OR EXISTS (SELECT 1 FROM send WHERE seq = one.value AND ended_ms IS NULL)
   OR EXISTS (SELECT 1 FROM dead WHERE seq = one.value AND state = 'dead')
   OR EXISTS (SELECT 1 FROM merge WHERE seq = one.value AND state <> 'refused')
   OR EXISTS (SELECT 1 FROM outcome WHERE seq = one.value AND at_ms >= :before_ms);

-- unwanted --
-- Those that nothing could use, so that they ended as they were accepted.
SELECT value FROM json_each(:seqs) one
WHERE EXISTS (SELECT 1 FROM outcome WHERE seq = one.value AND rule = '' AND operation = '' AND status = 'skipped');

-- strip --
UPDATE event SET payload = NULL WHERE seq IN (SELECT value FROM json_each(:seqs)) AND payload IS NOT NULL;

-- put_by --
INSERT OR IGNORE INTO overdue (seq) SELECT value FROM json_each(:seqs);

-- overdue_page --
SELECT seq, coalesce(received_ms, 0) FROM overdue LEFT JOIN event USING (seq)
WHERE overdue.seq > :after ORDER BY overdue.seq LIMIT :limit;

-- overdue_no_more --
DELETE FROM overdue WHERE seq IN (SELECT value FROM json_each(:seqs));

-- drop_history --
DELETE FROM history WHERE (user_hash, seq) IN
  (SELECT user_hash, seq FROM event WHERE seq IN (SELECT value FROM json_each(:seqs)));

-- drop_outcomes --
DELETE FROM outcome WHERE seq IN (SELECT value FROM json_each(:seqs));

-- drop_sends --
DELETE FROM send WHERE seq IN (SELECT value FROM json_each(:seqs));

-- drop_events --
DELETE FROM event WHERE seq IN (SELECT value FROM json_each(:seqs));

-- dead_old --
-- Some letters after one, whatever became of them: whether each is old enough to go, and its call.
SELECT d.id, CASE d.state WHEN 'dead' THEN d.died_ms < :dead_ms ELSE d.left_ms < :left_ms END,
       d.state, s.group_id, s.call_key
FROM dead d LEFT JOIN send s ON s.key = d.send_key WHERE d.id > :after ORDER BY d.id LIMIT :limit;

-- letters_of_merges --
-- The events of these letters whose merges they may be about.
SELECT DISTINCT seq FROM dead WHERE id IN (SELECT value FROM json_each(:ids)) AND rule = '' AND operation IN ('', 'merge_users');

-- drop_refused_merges --
-- Nobody can ask for them again: the letter that could be replayed is gone.
DELETE FROM merge WHERE state = 'refused' AND seq IN (SELECT value FROM json_each(:seqs))
  AND NOT EXISTS (SELECT 1 FROM dead WHERE seq = merge.seq AND state = 'dead');

-- drop_dead --
DELETE FROM dead WHERE id IN (SELECT value FROM json_each(:ids));

-- dedupe_page --
-- A walk by key: an index by age would be written with every event.
SELECT max(key) FROM (SELECT key FROM dedupe WHERE key > :after ORDER BY key LIMIT :limit);

-- drop_dedupe --
DELETE FROM dedupe WHERE key > :after AND key <= :last AND seq < :seq;

-- drop_places --
DELETE FROM place WHERE (person_hash, app, rule, once, seq) IN
  (SELECT person_hash, app, rule, once, seq FROM place WHERE until_ms <= :before_ms LIMIT :limit);

-- reached_page --
SELECT max(person_hash) FROM
  (SELECT person_hash FROM reached WHERE person_hash > :after ORDER BY person_hash LIMIT :limit);

-- drop_reached --
DELETE FROM reached WHERE person_hash > :after AND person_hash <= :last AND day < :day;

-- drop_reached_days --
DELETE FROM reached_day WHERE people = 0 AND day < :day;

-- drop_erased --
-- Whoever is being erased still is not forgotten to have been.
DELETE FROM erased WHERE user_hash IN
  (SELECT user_hash FROM erased WHERE at_ms < :before_ms
   AND NOT EXISTS (SELECT 1 FROM pending WHERE seq = erased.seq) LIMIT :limit);

-- drop_unseen_devices --
DELETE FROM device WHERE id IN (SELECT id FROM device WHERE seen_ms < :before_ms LIMIT :limit);

-- ids_page --
SELECT max(id_hash) FROM
  (SELECT id_hash FROM identity WHERE id_hash > :after ORDER BY id_hash LIMIT :limit);

-- drop_ids --
DELETE FROM identity WHERE id_hash > :after AND id_hash <= :last AND at_ms < :before_ms
 AND NOT EXISTS (SELECT 1 FROM state WHERE user_hash = identity.person_hash)
 AND NOT EXISTS (SELECT 1 FROM pending WHERE user_hash = identity.person_hash AND indexed = 1)
 AND NOT EXISTS (SELECT 1 FROM merge WHERE id_hash = identity.id_hash);
