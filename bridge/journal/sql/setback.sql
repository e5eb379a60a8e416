-- When the machine's clock was set back: see deliver/setback.py. Each reads what it is about as a whole,
-- because nobody looks for these times otherwise.

-- set_back_pending --
UPDATE pending SET not_before_ms = not_before_ms - :by_ms WHERE not_before_ms > :now_ms;

-- set_back_calls --
UPDATE call SET created_ms = min(created_ms - :by_ms, :now_ms),
  not_before_ms = not_before_ms - CASE WHEN not_before_ms > :now_ms THEN :by_ms ELSE 0 END;

-- set_back_merges --
UPDATE merge SET not_before_ms = not_before_ms - :by_ms WHERE not_before_ms > :now_ms;

-- set_back_gates --
UPDATE gate SET blocked_until_ms = blocked_until_ms - :by_ms WHERE blocked_until_ms > :now_ms;

-- set_back_sends --
-- Of those that a cap counts, when they ended. Nothing of this kind is to come: after a stop it may have been set
-- back by more than is known.
UPDATE send SET ended_ms = min(ended_ms - :by_ms, :now_ms) WHERE counted = 1 AND ended_ms > :now_ms;

-- set_back_keys --
-- No key is younger because of it: what may have been sent is not sent again once OneSignal has forgotten its key.
UPDATE send SET key_ms = min(key_ms - :by_ms, :now_ms) WHERE state IN ('pending', 'dead');

-- set_back_places --
UPDATE place SET taken_ms = min(taken_ms - :by_ms, :now_ms), until_ms = until_ms - max(:by_ms, taken_ms - :now_ms)
WHERE taken_ms > :now_ms;

-- set_back_paces --
-- What was written in a stretch that is to come counts where it is moved to, beside what counts there.
INSERT INTO pace (app, rule, slot_ms, sends)
SELECT app, rule, min(slot_ms - :by_ms, :now_ms), sends FROM pace WHERE slot_ms > :now_ms
ON CONFLICT DO UPDATE SET sends = sends + excluded.sends;

-- set_back_no_paces --
DELETE FROM pace WHERE slot_ms > :now_ms;
