-- What makes a journal again of rows that were saved one by one: see salvage.py.

-- salvaged_orphans --
-- Without its event nothing can be done for a pending row.
DELETE FROM pending WHERE seq NOT IN (SELECT seq FROM event);

-- salvaged_work --
-- Of what has not ended, or has a push that has not, the work is made up again. What is done for it a second
-- time is an update, which may be repeated, or a push, which has the key that it had.
INSERT OR IGNORE INTO pending (seq, app, lane, rank, user_hash, event_ms, done)
SELECT seq, app, lane_of(user_hash), 1, user_hash, event_ms, (
  SELECT json_group_array(name) FROM (
    SELECT rule || '/' || operation AS name FROM outcome WHERE outcome.seq = event.seq AND rule <> ''
    UNION SELECT rule || '/' || operation FROM send WHERE send.seq = event.seq
  )
)
FROM event
WHERE (payload IS NOT NULL AND seq NOT IN (SELECT seq FROM outcome))
   OR seq IN (SELECT seq FROM send WHERE state = 'pending' AND group_id IS NULL);

-- salvaged_dedupe --
INSERT OR IGNORE INTO dedupe (key, seq)
SELECT dedupe_key(source, message_id), seq FROM event WHERE message_id NOT LIKE 'segment-test-message-%';

-- salvaged_places --
-- What was taken for a send that could not be saved counts from when it was written, for as long as any rule may say.
UPDATE place SET until_ms = taken_ms + 34560000000
WHERE until_ms IS NULL AND NOT EXISTS (SELECT 1 FROM send WHERE seq = place.seq AND rule = place.rule AND ended_ms IS NULL);

-- salvaged_indexed --
UPDATE pending SET indexed = 1 WHERE indexed = 0;

-- forget_tallies --
DELETE FROM held_tally;

-- recount_held --
INSERT INTO held_tally (app, rule, hold, sends)
SELECT app, rule, hold, count(*) FROM send WHERE state = 'held' GROUP BY app, rule, hold;
