-- look_newest --
-- The newest events of which something is wanted. What became of one is the first of what its operations
-- came to; it is asked of those alone that are what is wanted in all else.
SELECT e.seq, e.source, e.app, e.message_id, e.type, e.name, e.received_ms, e.payload,
  CASE
    WHEN EXISTS (SELECT 1 FROM pending WHERE seq = e.seq)
      OR EXISTS (SELECT 1 FROM send WHERE seq = e.seq AND state = 'pending') THEN 'pending'
    WHEN EXISTS (SELECT 1 FROM send WHERE seq = e.seq AND state = 'held') THEN 'held'
    ELSE coalesce((SELECT status FROM outcome WHERE seq = e.seq ORDER BY CASE status
      WHEN 'dead' THEN 0 WHEN 'delivered' THEN 1 WHEN 'no_recipients' THEN 2 WHEN 'discarded' THEN 3 ELSE 4 END LIMIT 1),
      'skipped')
  END AS became
FROM event e
WHERE e.seq > :floor AND e.seq < :before
  AND (:erasures OR e.type <> 'delete')
  AND (:name IS NULL OR e.name = :name) AND (:type IS NULL OR e.type = :type) AND (:source IS NULL OR e.source = :source)
  AND (:since_ms IS NULL OR e.received_ms >= :since_ms) AND (:until_ms IS NULL OR e.received_ms <= :until_ms)
  AND (:rule IS NULL OR EXISTS (SELECT 1 FROM outcome WHERE seq = e.seq AND rule = :rule)
       OR EXISTS (SELECT 1 FROM send WHERE seq = e.seq AND rule = :rule))
  AND (:reason IS NULL OR EXISTS (SELECT 1 FROM outcome WHERE seq = e.seq AND reason = :reason))
  AND (:state IS NULL OR became = :state)
ORDER BY e.seq DESC LIMIT :limit;

-- look_message --
-- A messageId that is in no index, as those of test events are: among the newest.
SELECT seq FROM event WHERE seq > :floor AND message_id = :message_id ORDER BY seq DESC LIMIT :limit;

-- look_user --
-- Of the events of one user, and of those of others that were about the user.
SELECT seq FROM history WHERE user_hash = :user_hash AND seq < :before
UNION SELECT seq FROM pending WHERE user_hash = :user_hash AND indexed = 1 AND seq < :before
UNION SELECT seq FROM tail CROSS JOIN pending USING (seq) WHERE user_hash = :user_hash AND seq < :before
UNION SELECT seq FROM send WHERE person_hash = :user_hash AND person_hash <> user_hash AND seq < :before
ORDER BY seq DESC LIMIT :limit;

-- look_ends --
SELECT rule, operation, status, reason FROM outcome WHERE seq = :seq
UNION ALL SELECT rule, operation, state, hold FROM send WHERE seq = :seq AND state IN ('pending', 'held')
ORDER BY 1, 2;

-- look_names --
-- Of the newest events: for a form, so that nobody has to spell them.
SELECT DISTINCT name FROM (SELECT name FROM event WHERE seq > :floor ORDER BY seq DESC LIMIT :limit)
WHERE name IS NOT NULL ORDER BY name LIMIT 200;

-- look_apps --
SELECT DISTINCT app FROM event WHERE seq > :floor;

-- look_trail --
SELECT id, at_ms, who, what, detail FROM audit_trail WHERE id < :before ORDER BY id DESC LIMIT :limit;

-- look_revisions --
-- A row for each edit: few.
SELECT source, since_ms, revision FROM mapping_log ORDER BY since_ms DESC LIMIT :limit;

-- look_rules --
-- Of the mapping that each source had last.
SELECT DISTINCT rule.value FROM mapping_log JOIN json_each(mapping_log.rules) rule
WHERE (source, since_ms) IN (SELECT source, max(since_ms) FROM mapping_log GROUP BY source);
