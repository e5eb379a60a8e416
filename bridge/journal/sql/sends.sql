-- others --
-- Whether anything beside one event waits for its user in the index.
SELECT 1 FROM pending WHERE user_hash = :user_hash AND indexed = 1 AND seq <> :seq LIMIT 1;

-- standing --
-- What speaks against a send. By which event it was written; whether another event has fired the rule for
-- this stay (one event's sends of one rule are one firing); when another took a place of `once_per` last; and
-- how many pushes its person gets: those that are under way count, however long ago they were written,
-- because they will arrive later, and so do their places.
SELECT (SELECT seq FROM send WHERE key = :key) AS written,
       EXISTS (SELECT 1 FROM fired WHERE user_hash = :user_hash AND app = :app AND audience = :audience AND rule = :rule
               AND seq <> :seq) AS fired,
       (SELECT max(CASE WHEN until_ms IS NULL THEN :now_ms ELSE taken_ms END) FROM place
        WHERE person_hash = :person_hash AND app = :app AND rule = :rule AND once = :once AND seq <> :seq) AS once_taken_ms,
       (SELECT count(*) FROM send WHERE counted = 1 AND person_hash = :person_hash AND ended_ms IS NULL
        AND state = 'pending' AND :since_ms IS NOT NULL)
     + (SELECT count(*) FROM send WHERE counted = 1 AND person_hash = :person_hash AND ended_ms > :since_ms) AS person_sends;

-- append_send --
INSERT INTO send (key, seq, app, rule, operation, user_hash, person_hash, label, recipient, generation, revision,
                  expires_ms, state, hold, counted, once, once_ms, group_id, part, call_key, created_ms, key_ms) VALUES

-- write_call --
-- A command that writes it makes no calls: whoever works next is the first who may.
INSERT INTO call (key, app, method, path, body, lane, run, created_ms)
VALUES (:key, :app, :method, :path, :body, :lane,
  coalesce((SELECT r.value FROM meta r JOIN meta w ON w.key = 'works' AND w.value = r.value WHERE r.key = 'run'), 0), :created_ms);

-- membership --
SELECT entered, since_ms, last_ms, last_seq, quiet FROM membership
WHERE user_hash = :user_hash AND app = :app AND audience = :audience;

-- keep_membership --
INSERT OR REPLACE INTO membership (user_hash, app, audience, entered, since_ms, last_ms, last_seq, quiet)
VALUES (:user_hash, :app, :audience, :entered, :since_ms, :last_ms, :last_seq, :quiet);

-- forget_fired --
-- Another stay has begun.
DELETE FROM fired WHERE user_hash = :user_hash AND app = :app AND audience = :audience;

-- append_fired --
INSERT OR IGNORE INTO fired (user_hash, app, audience, rule, seq) VALUES

-- take_place --
INSERT OR REPLACE INTO place (person_hash, app, rule, once, seq, taken_ms, until_ms)
VALUES (:person_hash, :app, :rule, :once, :seq, :now_ms, NULL);

-- retake_place --
-- A replay takes again what was given back; who got it may have been found to be somebody else since it was written.
INSERT OR REPLACE INTO place (person_hash, app, rule, once, seq, taken_ms, until_ms)
SELECT coalesce((SELECT i.person_hash FROM identity i WHERE i.id_hash = send.person_hash), send.person_hash),
       app, rule, once, seq, :now_ms, NULL FROM send WHERE key = :key AND once IS NOT NULL;

-- forget_places --
-- Two that are over for each that is taken: so there are never many.
DELETE FROM place WHERE (person_hash, app, rule, once, seq) IN
  (SELECT person_hash, app, rule, once, seq FROM place WHERE until_ms <= :now_ms LIMIT 2);

-- return_place --
-- Unless another send of the same firing has kept it, or one may have arrived, whatever became of it since.
DELETE FROM place WHERE (person_hash, app, rule, once, seq) =
  (SELECT coalesce((SELECT i.person_hash FROM identity i WHERE i.id_hash = s.person_hash), s.person_hash), s.app, s.rule, s.once, s.seq
   FROM send s WHERE s.key = :key)
 AND NOT EXISTS (SELECT 1 FROM send o WHERE o.seq = place.seq AND o.rule = place.rule AND o.key <> :key
                 AND o.state IN ('pending', 'held', 'delivered'))
 AND NOT EXISTS (SELECT 1 FROM event e CROSS JOIN dead d ON d.user_hash = e.user_hash AND d.seq = e.seq
                 WHERE e.seq = place.seq AND d.rule = place.rule AND d.uncertain = 1 AND d.send_key IS NOT NULL);

-- keep_place --
-- Its time begins when the last send of the firing has ended: not before it can have arrived.
UPDATE place SET taken_ms = :at_ms, until_ms = :at_ms + (SELECT once_ms FROM send WHERE key = :key)
WHERE (person_hash, app, rule, once, seq) =
  (SELECT coalesce((SELECT i.person_hash FROM identity i WHERE i.id_hash = s.person_hash), s.person_hash), s.app, s.rule, s.once, s.seq
   FROM send s WHERE s.key = :key)
 AND NOT EXISTS (SELECT 1 FROM send o WHERE o.seq = place.seq AND o.rule = place.rule AND o.ended_ms IS NULL);

-- pace --
SELECT coalesce(sum(sends), 0), min(slot_ms) FROM pace WHERE app = :app AND rule = :rule AND slot_ms > :since_ms;

-- keep_pace --
INSERT INTO pace (app, rule, slot_ms, sends) VALUES (:app, :rule, :slot_ms, 1)
ON CONFLICT DO UPDATE SET sends = sends + 1;

-- forget_pace --
DELETE FROM pace WHERE app = :app AND rule = :rule AND slot_ms <= :since_ms;

-- rule_held --
SELECT 1 FROM send WHERE state = 'held' AND app = :app AND rule = :rule AND hold = 'limit' LIMIT 1;

-- people --
SELECT coalesce((SELECT sum(people) FROM reached_day WHERE app = :app AND day > :day), 0)
     + (SELECT count(*) = 0 FROM reached WHERE person_hash = :person_hash AND app = :app AND day > :day);

-- reach --
INSERT INTO reached (person_hash, app, day)
SELECT coalesce((SELECT i.person_hash FROM identity i WHERE i.id_hash = send.person_hash), send.person_hash), app, :day
FROM send WHERE key = :key AND operation = 'send_notification'
ON CONFLICT DO UPDATE SET day = excluded.day WHERE day < excluded.day;

-- keep_back --
-- What an iPhone was reached by does not leave with the rest.
UPDATE send SET hold = 'ios_reached' WHERE key IN (
  SELECT s.key FROM send s LEFT JOIN call c ON c.key = s.call_key LEFT JOIN send_group g ON g.id = s.group_id
  WHERE s.state = 'held' AND s.hold = 'paused' AND instr(coalesce(c.body, g.body), '"isIos":false') > 0 LIMIT :limit);

-- hold_send --
UPDATE send SET state = 'held', hold = :hold WHERE key = :key AND state = 'pending';

-- held_page --
SELECT s.key, s.seq, s.app, s.rule, s.operation, s.hold, e.message_id, e.name, s.created_ms
FROM send s JOIN event e USING (seq)
WHERE s.state = 'held' AND (:app IS NULL OR s.app = :app) AND (:rule IS NULL OR s.rule = :rule)
  AND (:reason IS NULL OR s.hold = :reason) AND (:ids IS NULL OR s.key IN (SELECT value FROM json_each(:ids)))
  AND (:user IS NULL OR coalesce((SELECT person_hash FROM identity WHERE id_hash = s.user_hash), s.user_hash) IN
    (SELECT hash_of(s.app, :user) UNION ALL SELECT person_hash FROM identity WHERE id = :user AND app = s.app))
  AND (:since_ms IS NULL OR s.created_ms >= :since_ms) AND (:until_ms IS NULL OR s.created_ms <= :until_ms)
ORDER BY s.app, s.rule, s.created_ms LIMIT :limit;

-- held_tallies --
-- Of whom it is, and since when, no tally is kept.
SELECT app, rule, hold, sends FROM held_tally
WHERE sends > 0 AND (:app IS NULL OR app = :app) AND (:rule IS NULL OR rule = :rule) AND (:reason IS NULL OR hold = :reason)
ORDER BY sends DESC;

-- held_counts --
SELECT app, rule, hold, count(*) AS n FROM send
WHERE state = 'held' AND (:app IS NULL OR app = :app) AND (:rule IS NULL OR rule = :rule) AND (:reason IS NULL OR hold = :reason)
  AND (:ids IS NULL OR key IN (SELECT value FROM json_each(:ids)))
  AND (:since_ms IS NULL OR created_ms >= :since_ms) AND (:until_ms IS NULL OR created_ms <= :until_ms)
GROUP BY app, rule, hold ORDER BY n DESC;

-- held_counts_of_user --
SELECT app, rule, hold, count(*) AS n FROM send
WHERE state = 'held' AND (:app IS NULL OR app = :app) AND (:rule IS NULL OR rule = :rule) AND (:reason IS NULL OR hold = :reason)
  AND (:ids IS NULL OR key IN (SELECT value FROM json_each(:ids)))
  AND (:since_ms IS NULL OR created_ms >= :since_ms) AND (:until_ms IS NULL OR created_ms <= :until_ms)
  AND coalesce((SELECT person_hash FROM identity WHERE id_hash = send.user_hash), send.user_hash) IN
    (SELECT hash_of(send.app, :user) UNION ALL SELECT person_hash FROM identity WHERE id = :user AND app = send.app)
GROUP BY app, rule, hold ORDER BY n DESC;

-- held_some --
SELECT key, seq, coalesce((SELECT person_hash FROM identity WHERE id_hash = send.user_hash), send.user_hash) AS user_hash, rule, operation, hold,
       app, counted, group_id, call_key FROM send
WHERE state = 'held' AND app = :app AND (:rule IS NULL OR rule = :rule) AND (:reason IS NULL OR hold = :reason)
  AND (:ids IS NULL OR key IN (SELECT value FROM json_each(:ids)))
  AND (:user IS NULL OR coalesce((SELECT person_hash FROM identity WHERE id_hash = send.user_hash), send.user_hash) IN
    (SELECT hash_of(send.app, :user) UNION ALL SELECT person_hash FROM identity WHERE id = :user AND app = send.app))
  AND (:since_ms IS NULL OR created_ms >= :since_ms) AND (:until_ms IS NULL OR created_ms <= :until_ms)
ORDER BY created_ms LIMIT :limit;

-- held_of_rule --
SELECT key, seq, coalesce((SELECT person_hash FROM identity WHERE id_hash = send.user_hash), send.user_hash) AS user_hash, rule, operation, hold,
       app, counted, group_id, call_key FROM send
WHERE state = 'held' AND app = :app AND rule = :rule AND hold = :reason
  AND created_ms >= coalesce(:since_ms, 0) AND created_ms <= coalesce(:until_ms, 9e18)
  AND (:user IS NULL OR coalesce((SELECT person_hash FROM identity WHERE id_hash = send.user_hash), send.user_hash) IN
    (SELECT hash_of(send.app, :user) UNION ALL SELECT person_hash FROM identity WHERE id = :user AND app = send.app))
ORDER BY created_ms LIMIT :limit;

-- held_events_of_rule --
-- Custom events go on while pushes are paused: there may be a million of these, which are passed over unseen.
SELECT key, seq, coalesce((SELECT person_hash FROM identity WHERE id_hash = send.user_hash), send.user_hash) AS user_hash, rule, operation, hold,
       app, counted, group_id, call_key FROM send
WHERE state = 'held' AND operation = 'track_custom_event' AND app = :app AND rule = :rule AND hold = :reason
ORDER BY created_ms LIMIT :limit;

-- release_send --
-- Nobody asks again how old it is, and OneSignal has not seen its key.
UPDATE send SET state = 'pending', hold = NULL, expires_ms = NULL, key_ms = coalesce(:now_ms, key_ms) WHERE key = :key;

-- release_call --
-- What is held was certainly never sent, whichever process wrote it, and is tried for as long as what is new.
UPDATE call SET created_ms = coalesce(:now_ms, created_ms),
  run = coalesce((SELECT r.value FROM meta r JOIN meta w ON w.key = 'works' AND w.value = r.value WHERE r.key = 'run'), 0)
WHERE key = :call_key;

-- discard_send --
UPDATE send SET state = 'discarded', hold = NULL, counted = 0, ended_ms = :at_ms WHERE key = :key;
