-- ARGV: id, token, call, lease_s. Returns 1 when renewed. A refusal is not noted: it may only have crossed the step's end.
permit()
local job = load(ARGV[2])
if not is_held(job, ARGV[3]) then return 0 end
local until_ = stamp(now + tonumber(ARGV[5]))
redis.call('HSET', job.key, 'lu', until_)
redis.call('ZADD', P .. 'l', until_, job.id)
return 1
