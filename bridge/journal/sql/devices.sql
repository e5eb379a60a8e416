-- devices_of --
SELECT app, user_hash, platform, subscription_id, installation, token, subscribed, details, at_ms, seq, seen_ms
FROM device WHERE user_hash = :user_hash AND app = :app AND seen_ms >= :since_ms ORDER BY seen_ms DESC, id DESC;

-- device_holders --
SELECT app, user_hash, platform, subscription_id, installation, token, subscribed, details, at_ms, seq, seen_ms
FROM device WHERE id IN (
  SELECT id FROM device WHERE app = :app AND token = :token
  UNION SELECT id FROM device WHERE app = :app AND installation = :installation)
ORDER BY at_ms DESC, seq DESC;

-- devices_called --
SELECT app, user_hash, platform, subscription_id, installation, token, subscribed, details, at_ms, seq, seen_ms
FROM device WHERE app = :app AND subscription_id = :subscription_id;

-- device_erased --
-- Up to when its user was erased.
SELECT before_ms FROM erased WHERE user_hash = :user_hash;

-- same_devices --
-- Rows that are this very device, whosever they are.
SELECT id, user_hash, subscription_id, installation, token, details, first_ms FROM device
WHERE id IN (
  SELECT id FROM device WHERE app = :app AND subscription_id = :subscription_id
  UNION SELECT id FROM device WHERE app = :app AND installation = :installation
  UNION SELECT id FROM device WHERE app = :app AND token = :token);

-- drop_devices --
DELETE FROM device WHERE id IN (SELECT value FROM json_each(:ids));

-- append_device --
INSERT INTO device (app, user_hash, platform, subscription_id, installation, token, subscribed, details, at_ms, seq, first_ms, seen_ms)
VALUES (:app, :user_hash, :platform, :subscription_id, :installation, :token, :subscribed, :details, :at_ms, :seq, :first_ms, :seen_ms);

-- drop_most_devices --
DELETE FROM device WHERE id IN (
  SELECT id FROM device WHERE user_hash = :user_hash AND app = :app ORDER BY seen_ms DESC, id DESC LIMIT -1 OFFSET :most);

-- forget_device --
DELETE FROM device WHERE id IN (
  SELECT id FROM device WHERE app = :app AND subscription_id = :subscription_id
  UNION SELECT id FROM device WHERE app = :app AND installation = :installation)
AND (:user_hash IS NULL OR user_hash = :user_hash);

-- device_platforms --
SELECT subscription_id, platform FROM device
WHERE app = :app AND subscription_id IN (SELECT value FROM json_each(:ids));

-- devices_counted --
SELECT count(*) FROM device;
