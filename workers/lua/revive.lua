-- ARGV: id. Returns 1 when the job was a dead letter and waits again.
local job = load(ARGV[2])
local listed = redis.call('ZREM', P .. 'x', ARGV[2])
redis.call('HDEL', P .. 'xh', ARGV[2])
if listed == 0 or not job then return 0 end
for _, index in ipairs({'f', 'r'}) do redis.call('ZREM', P .. index, job.id) end
silence(job)
redis.call('PERSIST', job.key)
redis.call('PERSIST', job.log)
redis.call('HDEL', job.key, 'fa', 'at', 'xp')
job.at = 0
wait_for(job, job.sg, job.ws or 'received')
due_at(job, now)
log(job, 'revived')
return 1
