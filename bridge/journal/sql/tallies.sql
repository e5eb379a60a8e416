-- append_rule_tally --
INSERT INTO rule_tally (slot_ms, rule, operation, outcome, reason, times) VALUES (:slot_ms, :rule, :operation, :outcome, :reason, :times)
ON CONFLICT DO UPDATE SET times = times + excluded.times;

-- append_traffic --
INSERT INTO traffic (slot_ms, what, label, times) VALUES (:slot_ms, :what, :label, :times)
ON CONFLICT DO UPDATE SET times = times + excluded.times;

-- append_rule_last --
INSERT OR REPLACE INTO rule_last (rule, seq, at_ms) VALUES (:rule, :seq, :at_ms);

-- append_rule_path --
INSERT INTO rule_path (rule, path, looked, found, at_ms) VALUES (:rule, :path, :looked, :found, :at_ms)
ON CONFLICT DO UPDATE SET at_ms = excluded.at_ms,
  looked = CASE WHEN looked >= :most THEN looked / 2 ELSE looked END + excluded.looked,
  found = CASE WHEN looked >= :most THEN found / 2 ELSE found END + excluded.found;

-- drop_rule_tally --
DELETE FROM rule_tally WHERE slot_ms < :before_ms;

-- drop_traffic --
DELETE FROM traffic WHERE slot_ms < :before_ms;

-- drop_rule_path --
-- A row for each path of each rule: few.
DELETE FROM rule_path WHERE at_ms < :before_ms;

-- tally_rules --
SELECT rule, operation, outcome, reason, sum(times) FROM rule_tally WHERE slot_ms >= :since_ms
GROUP BY rule, operation, outcome, reason;

-- tally_hours --
SELECT rule, slot_ms, times FROM rule_tally WHERE slot_ms >= :since_ms AND outcome = 'met';

-- tally_since --
SELECT min(slot_ms) FROM rule_tally;

-- tally_traffic --
SELECT slot_ms / :step_ms * :step_ms AS step, what, label, sum(times) FROM traffic
WHERE slot_ms >= :since_ms GROUP BY step, what, label ORDER BY step;

-- tally_last --
SELECT rule, seq, at_ms FROM rule_last;

-- tally_paths --
SELECT rule, path, looked, found FROM rule_path ORDER BY rule, path;
