-- ARGV: limit, grace_s. Returns {id, job, id, job, ...}; `u` holds the claims, which end after the same grace.
local limit, grace_s = tonumber(ARGV[2]), tonumber(ARGV[3])
local ids = redis.call('ZRANGEBYSCORE', P .. 'd', '-inf', NOW, 'LIMIT', 0, limit)
if #ids < limit then
  local since = stamp(now - grace_s)
  for _, id in ipairs(redis.call('ZRANGEBYSCORE', P .. 'u', '-inf', since, 'LIMIT', 0, limit - #ids)) do
    ids[#ids + 1] = id
  end
end
local found = {}
for _, id in ipairs(ids) do
  redis.call('ZREM', P .. 'd', id)
  local job = load(id)
  if job and not FINAL[job.st] and not job.lu then
    redis.call('ZADD', P .. 'u', NOW, id)
    redis.call('HSET', job.key, 'ua', NOW)
    found[#found + 1] = id
    found[#found + 1] = whole(id)
  else
    redis.call('ZREM', P .. 'u', id)
  end
end
return found
