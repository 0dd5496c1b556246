-- ARGV: limit, claim_s. Returns {notification, job, url, attempts, error, metadata, ...}.
local found = {}
for _, name in ipairs(redis.call('ZRANGEBYSCORE', P .. 'h', '-inf', NOW, 'LIMIT', 0, tonumber(ARGV[2]))) do
  if add_webhook(found, name, true) then
    redis.call('ZADD', P .. 'h', stamp(now + tonumber(ARGV[3])), name)
  else
    redis.call('ZREM', P .. 'h', name)
  end
end
return found
