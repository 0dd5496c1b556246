-- ARGV: id, detail. Returns 1 when the job had ended and waits for intake.
local job = load(ARGV[2])
if not job or not FINAL[job.st] then return 0 end
redis.call('HDEL', P .. 'xh', job.id)
for _, index in ipairs({'f', 'r', 'x', 'c', 'c:' .. job.st}) do redis.call('ZREM', P .. index, job.id) end
silence(job)
redis.call('PERSIST', job.key)
redis.call('PERSIST', job.log)
redis.call('HDEL', job.key, 'fa', 'at', 'xp', 'rb', 'lc', 'er')
job.at = 0
wait_for(job, 'intake', 'received')
due_at(job, now)
log(job, 'revived', '', ARGV[3])
return 1
