-- ARGV: notification, what (sent, retry or dead; revive or drop one that was given up), delay_s, error. Returns 1 when it
-- applied.
local name, what, problem = ARGV[2], ARGV[3], ARGV[5]
local id, slot = slot_named(name)
local job = load(id)
if not job then return 0 end
if redis.call('ZREM', P .. ((what == 'revive' or what == 'drop') and 'hx' or 'h'), name) == 0 then return 0 end
local which = slot > 1 and 'callback ' .. slot or ''
if what == 'sent' then
  log(job, 'notified', '', which)
elseif what == 'retry' then
  redis.call('HSET', job.key, named('he', slot), problem)
  redis.call('ZADD', P .. 'h', stamp(now + tonumber(ARGV[4])), name)
elseif what == 'dead' then
  redis.call('HSET', job.key, named('he', slot), problem)
  redis.call('ZADD', P .. 'hx', NOW, name)
  count('webhooks_failed')
  log(job, 'unnotified', '', problem)
elseif what == 'drop' then
  log(job, 'dropped', '', 'webhook')
else
  redis.call('HDEL', job.key, named('ha', slot), named('he', slot))
  redis.call('ZADD', P .. 'h', NOW, name)
end
return 1
