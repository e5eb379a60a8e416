-- last_dead --
SELECT coalesce(max(id), 0) FROM dead;

-- dead_ids --
SELECT id FROM dead
WHERE state = 'dead' AND id > :after AND id <= :last
  AND (:ids IS NULL OR id IN (SELECT value FROM json_each(:ids)))
  AND (:app IS NULL OR app = :app) AND (:reason IS NULL OR reason = :reason) AND (:rule IS NULL OR rule = :rule)
  AND (:user IS NULL OR coalesce((SELECT person_hash FROM identity WHERE id_hash = dead.user_hash), dead.user_hash) IN
    (SELECT hash_of(dead.app, :user) UNION ALL SELECT person_hash FROM identity WHERE id = :user AND app = dead.app))
  AND (:since_ms IS NULL OR died_ms >= :since_ms) AND (:until_ms IS NULL OR died_ms <= :until_ms)
ORDER BY id LIMIT :limit;

-- newest_dead --
SELECT max(died_ms) FROM dead
WHERE state = 'dead' AND (:ids IS NULL OR id IN (SELECT value FROM json_each(:ids)))
  AND (:app IS NULL OR app = :app) AND (:reason IS NULL OR reason = :reason) AND (:rule IS NULL OR rule = :rule)
  AND (:user IS NULL OR coalesce((SELECT person_hash FROM identity WHERE id_hash = dead.user_hash), dead.user_hash) IN
    (SELECT hash_of(dead.app, :user) UNION ALL SELECT person_hash FROM identity WHERE id = :user AND app = dead.app))
  AND (:since_ms IS NULL OR died_ms >= :since_ms) AND (:until_ms IS NULL OR died_ms <= :until_ms);

-- newest_held --
SELECT max(created_ms) FROM send
WHERE state = 'held' AND (:app IS NULL OR app = :app) AND (:rule IS NULL OR rule = :rule) AND (:reason IS NULL OR hold = :reason)
  AND (:ids IS NULL OR key IN (SELECT value FROM json_each(:ids)))
  AND (:user IS NULL OR coalesce((SELECT person_hash FROM identity WHERE id_hash = send.user_hash), send.user_hash) IN
    (SELECT hash_of(send.app, :user) UNION ALL SELECT person_hash FROM identity WHERE id = :user AND app = send.app))
  AND (:since_ms IS NULL OR created_ms >= :since_ms) AND (:until_ms IS NULL OR created_ms <= :until_ms);

-- dead_send_of --
-- The send of a dead letter, with the call and the group that it may share.
SELECT d.send_key, s.call_key, s.group_id FROM dead d JOIN send s ON s.key = d.send_key WHERE d.id = :id;

-- discard_dead_send --
-- When it ended is left alone: if it may have been sent, that was then.
UPDATE send SET state = 'discarded' WHERE key = :key;

-- discard_dead_outcome --
UPDATE outcome SET status = 'discarded', reason = 'by_person', detail = NULL, at_ms = :at_ms
WHERE (seq, rule, operation) = (SELECT seq, rule, operation FROM dead WHERE id = :id) AND status = 'dead';

-- held_one --
-- A send that waits for company has its group's body, and no call yet.
SELECT s.key, s.app, s.rule, s.operation, s.hold, e.message_id, e.name, s.created_ms, e.payload,
       coalesce(c.method, g.method), coalesce(c.path, g.path), coalesce(c.body, g.body), s.part, s.recipient
FROM send s JOIN event e USING (seq)
LEFT JOIN call c ON c.key = s.call_key LEFT JOIN send_group g ON g.id = s.group_id
WHERE s.key = :key AND s.state = 'held';

-- too_old --
-- Of a rule, by its index.
SELECT o.seq, e.app, o.rule, o.operation, e.source, e.message_id, e.name, e.event_ms, o.at_ms,
       coalesce((SELECT person_hash FROM identity WHERE id_hash = e.user_hash), e.user_hash)
FROM outcome o JOIN event e USING (seq)
WHERE o.status = 'skipped' AND o.reason = 'too_old' AND o.rule = :rule
  AND o.at_ms >= coalesce(:since_ms, 0) AND o.at_ms <= coalesce(:until_ms, 9e18)
  AND e.payload IS NOT NULL AND (:app IS NULL OR e.app = :app)
  AND (:user IS NULL OR coalesce((SELECT person_hash FROM identity WHERE id_hash = e.user_hash), e.user_hash) IN
    (SELECT hash_of(e.app, :user) UNION ALL SELECT person_hash FROM identity WHERE id = :user AND app = e.app))
ORDER BY o.at_ms LIMIT :limit;

-- too_old_counts --
-- Of one rule or of all: over an index of nothing but these.
SELECT e.app, o.rule, sum(e.payload IS NOT NULL), sum(e.payload IS NULL), max(o.at_ms)
FROM outcome o JOIN event e USING (seq)
WHERE o.status = 'skipped' AND o.reason = 'too_old' AND (:rule IS NULL OR o.rule = :rule)
  AND (:since_ms IS NULL OR o.at_ms >= :since_ms) AND (:until_ms IS NULL OR o.at_ms <= :until_ms)
  AND (:app IS NULL OR e.app = :app) AND (:user IS NULL OR coalesce((SELECT person_hash FROM identity WHERE id_hash = e.user_hash), e.user_hash) IN
    (SELECT hash_of(e.app, :user) UNION ALL SELECT person_hash FROM identity WHERE id = :user AND app = e.app))
GROUP BY o.rule, e.app ORDER BY o.rule, e.app;

-- replace_skipped_send --
-- It was written, and grew too old before it left: another is written in its place.
UPDATE send SET state = 'replayed' WHERE seq = :seq AND rule = :rule AND operation = :operation AND state = 'skipped';

-- generations --
-- Of the sends of an event that were given up for another: the number of the next.
SELECT rule || '/' || operation, max(generation) + 1 FROM send
WHERE seq = :seq AND state = 'replayed' GROUP BY rule, operation;

-- releases --
SELECT app, rule, hold, per_minute, since_ms, until_ms, paid_ms FROM releasing ORDER BY app, rule, hold;

-- releases_counted --
-- With how many are left to go: only for who looks, because there may be a million.
SELECT app, rule, hold, per_minute, since_ms, until_ms, paid_ms,
       (SELECT count(*) FROM send s WHERE s.state = 'held' AND s.app = r.app AND s.rule = r.rule AND s.hold = r.hold
        AND s.created_ms >= coalesce(r.since_ms, 0) AND s.created_ms <= r.until_ms)
FROM releasing r ORDER BY app, rule, hold;

-- release_slowly --
INSERT OR REPLACE INTO releasing (app, rule, hold, per_minute, since_ms, until_ms, paid_ms)
VALUES (:app, :rule, :hold, :per_minute, :since_ms, :until_ms, :paid_ms);

-- hold_on --
DELETE FROM releasing
WHERE (:app IS NULL OR app = :app) AND (:rule IS NULL OR rule = :rule) AND (:reason IS NULL OR hold = :reason);

-- pay_release --
-- None when it was ended, or begun anew, since it was read.
UPDATE releasing SET paid_ms = :paid_ms
WHERE app = :app AND rule = :rule AND hold = :hold AND until_ms = :until_ms AND paid_ms = :was_ms;

-- end_release --
DELETE FROM releasing WHERE app = :app AND rule = :rule AND hold = :hold;

-- alerts --
SELECT key, words, since_ms, told_ms, told_of FROM alert ORDER BY key;

-- keep_alert --
INSERT OR REPLACE INTO alert (key, words, since_ms, told_ms, told_of)
VALUES (:key, :words, :since_ms, :told_ms, :told_of);

-- drop_alert --
DELETE FROM alert WHERE key = :key;
