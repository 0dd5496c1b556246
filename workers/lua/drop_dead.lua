-- ARGV: id, keep_s. Returns 1 when the job was a dead letter.
local job = load(ARGV[2])
local listed = redis.call('ZREM', P .. 'x', ARGV[2])
redis.call('HDEL', P .. 'xh', ARGV[2])
if listed == 1 and job then
  log(job, 'dropped')
  keep_until(job, now + tonumber(ARGV[3]))
end
return listed
