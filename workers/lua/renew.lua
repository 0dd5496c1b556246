-- ARGV: id, token, call, lease_s. Returns 1 when renewed.
local job, answer = guarded(ARGV[2], ARGV[3], ARGV[4])
if not job then return answer end
local until_ = stamp(now + tonumber(ARGV[5]))
redis.call('HSET', job.key, 'lu', until_)
redis.call('ZADD', P .. 'l', until_, job.id)
return 1
