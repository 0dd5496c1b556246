-- ARGV: limit, claim_s. Returns {id, url, attempts, error, ...}.
local found = {}
for _, id in ipairs(redis.call('ZRANGEBYSCORE', P .. 'h', '-inf', NOW, 'LIMIT', 0, tonumber(ARGV[2]))) do
  local job = load(id)
  if job and job.cb then
    redis.call('ZADD', P .. 'h', stamp(now + tonumber(ARGV[3])), id)
    local attempts = redis.call('HINCRBY', job.key, 'ha', 1)
    for _, value in ipairs({id, job.cb, attempts, redis.call('HGET', job.key, 'he') or ''}) do
      found[#found + 1] = value
    end
  else
    redis.call('ZREM', P .. 'h', id)
  end
end
return found
