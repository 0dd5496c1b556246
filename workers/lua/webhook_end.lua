-- ARGV: id, what (sent, retry or dead; revive or drop one that was given up), delay_s, error. Returns 1 when it applied.
local what, problem = ARGV[3], ARGV[5]
local job = load(ARGV[2])
if not job then return 0 end
if redis.call('ZREM', P .. ((what == 'revive' or what == 'drop') and 'hx' or 'h'), job.id) == 0 then return 0 end
if what == 'sent' then
  log(job, 'notified')
elseif what == 'retry' then
  redis.call('HSET', job.key, 'he', problem)
  redis.call('ZADD', P .. 'h', stamp(now + tonumber(ARGV[4])), job.id)
elseif what == 'dead' then
  redis.call('HSET', job.key, 'he', problem)
  redis.call('ZADD', P .. 'hx', NOW, job.id)
  count('webhooks_failed')
  log(job, 'unnotified', '', problem)
elseif what == 'drop' then
  log(job, 'dropped', '', 'webhook')
else
  redis.call('HDEL', job.key, 'ha', 'he')
  redis.call('ZADD', P .. 'h', NOW, job.id)
end
return 1
