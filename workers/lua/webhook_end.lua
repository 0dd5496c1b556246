-- ARGV: notification, what (sent, retry or dead; revive or drop one that was given up), delay_s, error, what its receiver
-- did (answered, failed or nothing), failures in a row that open its breaker, first and longest pause in s. Returns 1
-- when it applied.
local name, what, problem, did = ARGV[2], ARGV[3], ARGV[5], ARGV[6]
local id, slot = slot_named(name)
local job = load(id)
if not job then return 0 end
if what == 'revive' or what == 'drop' then
  if redis.call('ZREM', P .. 'hx', name) == 0 then return 0 end
  if what == 'drop' then log(job, 'dropped', '', 'webhook') else notify(job, slot) end
  return 1
end
local place = redis.call('HGET', P .. 'hp', name)
if not place then return 0 end

-- Only the failures that come while it is closed, or that of the one try after a pause, open it: those of tries that
-- were under way when it opened say nothing new.
local breaker = P .. 'b:' .. place
if did == 'answered' then
  redis.call('DEL', breaker)
elseif did == 'failed' and tonumber(redis.call('HGET', breaker, 'o') or 0) <= now then
  if redis.call('HINCRBY', breaker, 'f', 1) >= tonumber(ARGV[7]) then
    local pauses = redis.call('HINCRBY', breaker, 'n', 1)
    local pause_s = math.min(tonumber(ARGV[8]) * 2 ^ math.min(pauses - 1, 30), tonumber(ARGV[9]))
    redis.call('HSET', breaker, 'o', stamp(now + pause_s))
  end
  redis.call('EXPIRE', breaker, 86400)
end
if what == 'retry' then
  redis.call('HSET', job.key, named('he', slot), problem)
  redis.call('ZADD', P .. 'h:' .. place, stamp(now + tonumber(ARGV[4])), name)
  redis.call('ZREM', P .. 'i:' .. place, name)
else
  withdraw({name})
end
wake(place)
if what == 'sent' then
  log_noise(job, 'notified', '', slot > 1 and 'callback ' .. slot or '', NOTICE_LINES)
elseif what == 'dead' then
  redis.call('HSET', job.key, named('he', slot), problem)
  redis.call('ZADD', P .. 'hx', NOW, name)
  count('webhooks_failed')
  log_noise(job, 'unnotified', '', problem, NOTICE_LINES)
end
return 1
