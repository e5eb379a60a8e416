-- seqs_newest --
-- The newest events of a user, and those of others that something was sent to the user for.
SELECT seq FROM (
  SELECT seq FROM (SELECT seq FROM history WHERE user_hash = :user_hash ORDER BY seq DESC LIMIT :limit)
  UNION
  SELECT seq FROM (SELECT seq FROM pending WHERE user_hash = :user_hash AND indexed = 1 ORDER BY seq DESC LIMIT :limit)
  UNION SELECT seq FROM tail CROSS JOIN pending USING (seq) WHERE user_hash = :user_hash
  UNION SELECT seq FROM send WHERE person_hash = :user_hash AND counted = 1
  UNION
  SELECT seq FROM (SELECT seq FROM call_member WHERE other_hash = :user_hash ORDER BY seq DESC LIMIT :limit)
) ORDER BY seq DESC LIMIT :limit;

-- seqs_of_key --
-- Of the tail all is read, which is never long.
SELECT seq FROM dedupe WHERE key = :key UNION SELECT seq FROM tail WHERE key = :key;

-- seqs_of_message --
-- A messageId without its source, among the newest events: test events have no key.
SELECT seq FROM event WHERE seq > :after AND message_id = :message_id ORDER BY seq DESC LIMIT :limit;

-- trace_pending --
SELECT rank, not_before_ms, attempt, last_error, done, only FROM pending WHERE seq = :seq;

-- trace_ends --
SELECT rule, operation, status, reason, detail, http, call_key, at_ms FROM outcome WHERE seq = :seq;

-- trace_sends --
-- The newest of a rule last: one that was replayed has a successor.
SELECT s.key, s.rule, s.operation, s.label, s.recipient, s.person_hash, s.generation, s.revision, s.state, s.hold,
       s.expires_ms, s.once, s.group_id IS NOT NULL, s.call_key, s.created_ms, s.ended_ms,
       c.attempt, c.uncertain, c.not_before_ms, c.last_error, s.part
FROM send s LEFT JOIN call c ON c.key = s.call_key WHERE s.seq = :seq ORDER BY s.generation, s.created_ms;

-- trace_calls --
-- Those that the event is a member of, and their repeats.
WITH own (call) AS (SELECT call FROM call_member WHERE seq = :seq),
  every (call, first) AS (
    SELECT call, call FROM own
    UNION SELECT r.id, l.id FROM own CROSS JOIN call_log l ON l.id = own.call
     CROSS JOIN call_log r ON r.call_key = l.call_key WHERE r.body IS NULL)
SELECT l.id, l.class, l.operation, l.method, l.path, l.body, l.call_key, l.status, l.failure, l.answer, l.at_ms,
       l.took_ms, (SELECT count(*) FROM call_member WHERE call = every.first)
FROM every CROSS JOIN call_log l ON l.id = every.call ORDER BY l.id DESC LIMIT :limit;

-- trace_dead --
SELECT id, rule, operation, reason, http, attempt, answer, uncertain, died_ms FROM dead
WHERE seq = :seq AND state = 'dead';

-- trace_places --
SELECT p.rule, p.once, p.seq, p.taken_ms, p.until_ms IS NULL, e.message_id FROM place p LEFT JOIN event e USING (seq)
WHERE p.person_hash = :user_hash AND p.app = :app ORDER BY p.taken_ms DESC;

-- trace_fired --
SELECT f.audience, f.rule, f.seq, e.message_id, m.entered, m.since_ms
FROM fired f JOIN membership m USING (user_hash, app, audience) LEFT JOIN event e ON e.seq = f.seq
WHERE f.user_hash = :user_hash AND f.app = :app;

-- in_force --
-- Which mapping a source had at that time.
SELECT revision FROM mapping_log WHERE source = :source AND since_ms <= :at_ms ORDER BY since_ms DESC LIMIT 1;

-- keep_in_force --
INSERT OR REPLACE INTO mapping_log (source, since_ms, revision, rules)
SELECT :source, :at_ms, :revision, :rules WHERE :revision IS NOT
  (SELECT revision FROM mapping_log WHERE source = :source ORDER BY since_ms DESC LIMIT 1);
