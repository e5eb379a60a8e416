-- are_linked --
-- Whether there is any use in asking about anybody.
SELECT EXISTS (SELECT 1 FROM identity);

-- linked_among --
SELECT id_hash, person_hash, external_id FROM identity WHERE id_hash IN

-- person_of --
SELECT person_hash, external_id FROM identity WHERE id_hash = :id_hash;

-- person_named --
-- Of a person by whose other ids something was heard, the external id.
SELECT external_id FROM identity WHERE person_hash = :person_hash LIMIT 1;

-- ids_of_person --
SELECT id_hash, label, id FROM identity WHERE person_hash = :person_hash;

-- link --
INSERT INTO identity (id_hash, person_hash, app, label, id, external_id, at_ms)
VALUES (:id_hash, :person_hash, :app, :label, :id, :external_id, :at_ms);

-- relink --
-- Whoever was found to be the one is the other now.
UPDATE identity SET person_hash = :person_hash, external_id = :external_id WHERE person_hash = :id_hash;

-- ask_merge --
-- Which devices are to be moved is known when an app has said whose they are.
INSERT INTO merge (id_hash, person_hash, app, seq, run, subscriptions)
VALUES (:id_hash, :person_hash, :app, :seq, (SELECT value FROM meta WHERE key = 'run'),
  (SELECT CASE WHEN count(*) > 0 AND count(*) = count(subscription_id) THEN json_group_array(subscription_id) END
   FROM device WHERE user_hash = :id_hash AND app = :app AND (subscription_id IS NOT NULL OR token IS NOT NULL)));

-- hand_over_merges --
UPDATE merge SET person_hash = :person_hash WHERE person_hash = :id_hash;

-- hand_over_pending --
-- To another chain; those of the tail come as a list of seqs.
UPDATE pending SET user_hash = :person_hash, lane = :lane
WHERE seq IN (SELECT seq FROM pending WHERE user_hash = :id_hash AND indexed = 1
              UNION SELECT value FROM json_each(:tail)) AND +user_hash = :id_hash;

-- memberships_of --
SELECT app, audience, entered, since_ms, last_ms, last_seq, quiet FROM membership WHERE user_hash = :user_hash;

-- drop_membership --
DELETE FROM membership WHERE user_hash = :user_hash AND app = :app AND audience = :audience;

-- hand_over_fired --
UPDATE OR IGNORE fired SET user_hash = :person_hash WHERE user_hash = :id_hash AND app = :app AND audience = :audience;

-- join_places --
INSERT OR IGNORE INTO place (person_hash, app, rule, once, seq, taken_ms, until_ms)
SELECT :person_hash, app, rule, once, seq, taken_ms, until_ms FROM place WHERE person_hash = :id_hash;

-- join_reached --
INSERT INTO reached (person_hash, app, day) SELECT :person_hash, app, day FROM reached WHERE person_hash = :id_hash
ON CONFLICT DO UPDATE SET day = excluded.day WHERE day < excluded.day;

-- hand_over_devices --
-- Those that are the person's already are so once.
UPDATE OR IGNORE device SET user_hash = :person_hash WHERE user_hash = :id_hash;

-- forget_devices_of_id --
DELETE FROM device WHERE user_hash = :id_hash;

-- hand_over_counted --
-- What a person got, by whatever id, counts for the person.
UPDATE send SET person_hash = :person_hash WHERE person_hash = :id_hash AND counted = 1;

-- merges_of --
-- What has still to be done of a person's merges, in the order of what said so.
SELECT m.id_hash, m.person_hash, m.app, m.seq, m.state, m.http, i.label, i.id, i.external_id, m.owed, m.detail,
       CASE WHEN m.run = (SELECT value FROM meta WHERE key = 'run') THEN m.subscriptions END,
       m.moved, m.attempt, m.first_try_ms, m.not_before_ms
FROM merge m JOIN identity i USING (id_hash)
WHERE m.person_hash = :person_hash AND m.state <> 'refused' ORDER BY m.seq;

-- merge_of --
SELECT m.id_hash, m.person_hash, m.app, m.seq, m.state, m.http, i.label, i.id, i.external_id, m.owed, m.detail,
       CASE WHEN m.run = (SELECT value FROM meta WHERE key = 'run') THEN m.subscriptions END,
       m.moved, m.attempt, m.first_try_ms, m.not_before_ms
FROM merge m JOIN identity i USING (id_hash) WHERE m.id_hash = :id_hash;

-- merges_moving --
SELECT m.id_hash, m.person_hash, m.app, m.seq, m.state, m.http, i.label, i.id, i.external_id, m.owed, m.detail,
       CASE WHEN m.run = (SELECT value FROM meta WHERE key = 'run') THEN m.subscriptions END,
       m.moved, m.attempt, m.first_try_ms, m.not_before_ms
FROM merge m JOIN identity i USING (id_hash)
WHERE m.app = :app AND m.state = 'moving' ORDER BY m.not_before_ms, m.seq LIMIT :limit;

-- chain_rows --
-- Pending events of a user by their seqs.
SELECT p.seq, p.lane, p.rank, p.user_hash, p.event_ms, p.not_before_ms, p.attempt, p.first_try_ms,
       p.done, p.only, p.revived, e.source, p.app, e.message_id, e.received_ms, e.payload, e.type
FROM pending p JOIN event e USING (seq)
WHERE p.seq IN (SELECT value FROM json_each(:seqs)) AND +p.user_hash = :user_hash;

-- is_of --
SELECT 1 FROM pending WHERE seq = :seq AND user_hash = :user_hash;

-- merge_answered --
UPDATE merge SET state = 'owing', http = :http, owed = :owed WHERE id_hash = :id_hash AND state = 'asked';

-- merge_goes_on --
UPDATE merge SET state = :state, detail = :detail, attempt = 0, first_try_ms = NULL, not_before_ms = 0
WHERE id_hash = :id_hash;

-- merge_found --
UPDATE merge SET subscriptions = :subscriptions, moved = :moved, attempt = 0, not_before_ms = 0,
                 run = (SELECT value FROM meta WHERE key = 'run')
WHERE id_hash = :id_hash AND state = 'moving';

-- put_off_merge --
UPDATE merge SET not_before_ms = :not_before_ms, attempt = :attempt, last_error = :error,
                 first_try_ms = coalesce(first_try_ms, :now_ms),
                 subscriptions = CASE WHEN :doubted THEN NULL ELSE subscriptions END
WHERE id_hash = :id_hash AND state = 'moving';

-- end_merge --
DELETE FROM merge WHERE id_hash = :id_hash;

-- end_merges_of_event --
-- Of several the end that a person has to know of before the others.
INSERT INTO outcome (seq, rule, operation, status, reason, detail, http, call_key, at_ms)
VALUES (:seq, :rule, :operation, :status, :reason, :detail, :http, :call_key, :at_ms)
ON CONFLICT DO UPDATE SET status = excluded.status, reason = excluded.reason, detail = excluded.detail,
  http = excluded.http, call_key = excluded.call_key, at_ms = excluded.at_ms
WHERE instr('skipped discarded delivered dead', excluded.status) >= instr('skipped discarded delivered dead', status);

-- is_dead --
-- Whether there is a letter of one of them already.
SELECT 1 FROM dead WHERE seq = :seq AND rule = '' AND operation = 'merge_users' AND state = 'dead';

-- refuse_merges --
-- An event that is dead as a whole takes its merges along.
UPDATE merge SET state = 'refused' WHERE seq = :seq AND state IN ('asked', 'owing');

-- ask_again --
-- What was there already is there still: then only the devices are to be moved.
UPDATE merge SET state = CASE WHEN http = 409 THEN 'moving' ELSE 'asked' END, subscriptions = NULL,
                 attempt = 0, first_try_ms = NULL, not_before_ms = 0
WHERE seq = :seq AND state = 'refused';

-- mark_merged --
-- Whatever else is done of the event meanwhile.
UPDATE pending SET done = (SELECT json_group_array(value) FROM
  (SELECT value FROM json_each(pending.done) UNION SELECT :name)) WHERE seq = :seq;

-- forget_merges --
DELETE FROM merge WHERE person_hash = :person_hash;

-- hashes_of_person --
SELECT id_hash FROM identity WHERE person_hash = :person_hash;

-- merges_of_event --
-- Whatever their state.
SELECT m.id_hash, m.person_hash, m.app, m.seq, m.state, m.http, i.label, i.id, i.external_id, m.owed, m.detail,
       CASE WHEN m.run = (SELECT value FROM meta WHERE key = 'run') THEN m.subscriptions END,
       m.moved, m.attempt, m.first_try_ms, m.not_before_ms
FROM merge m JOIN identity i USING (id_hash) WHERE m.seq = :seq;
