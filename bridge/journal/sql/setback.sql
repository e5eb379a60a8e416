-- When the machine's clock was set back: see deliver/setback.py. Each reads what it is about as a whole,
-- because nobody looks for these times otherwise.

-- set_back_pending --
UPDATE pending SET not_before_ms = not_before_ms - :by_ms WHERE not_before_ms > :now_ms;

-- set_back_calls --
UPDATE call SET not_before_ms = not_before_ms - :by_ms WHERE not_before_ms > :now_ms;

-- set_back_merges --
UPDATE merge SET not_before_ms = not_before_ms - :by_ms WHERE not_before_ms > :now_ms;

-- set_back_gates --
UPDATE gate SET blocked_until_ms = blocked_until_ms - :by_ms WHERE blocked_until_ms > :now_ms;
