-- ARGV: id, token, call, stage, state, detail, then data as name, value, ... Returns 1 when done.
local job, answer = guarded(ARGV[2], ARGV[3], ARGV[4])
if not job then return answer end
local stage, state, detail = ARGV[5], ARGV[6], ARGV[7]
log(job, 'advanced', job.lw, detail ~= '' and detail or 'to ' .. stage)
release(job)
keep_data(job, 8)
redis.call('HDEL', job.key, 'at', 'er', 'xp')
wait_for(job, stage, state)
redis.call('ZADD', P .. 'u', NOW, job.id)
remember(job, ARGV[4])
return 1
