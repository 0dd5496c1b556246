-- ARGV: id, nonce, stage, worker, lease_s, max_attempts, keep_dead_s, alone (1 or 0). Returns {outcome, job}.
local id, nonce, stage, worker = ARGV[2], ARGV[3], ARGV[4], ARGV[5]
local lease_s, max_attempts, keep_dead_s = tonumber(ARGV[6]), tonumber(ARGV[7]), ARGV[8]
local job = load(id)
if not job or FINAL[job.st] or job.sg ~= stage then return {'gone', whole(id)} end
if job.lu and job.lw == worker and seen(job, nonce) then return {'started', whole(id)} end
if job.lu and tonumber(job.lu) > now then return {'held', whole(id)} end
local due = redis.call('ZSCORE', P .. 'd', id)
-- Its message is still to be published, so the one that was read is an old one.
if due and tonumber(due) > now then return {'gone', whole(id)} end
if ARGV[9] == '0' and job.at < max_attempts and (job.xp or job.lu) then return {'risky', whole(id)} end
if job.lu then expire(job) end
redis.call('HSET', job.key, 'tk', next_token(job, nonce))
local outcome = 'started'
if job.at >= max_attempts then
  outcome = 'exhausted'
  if job.ws ~= 'escalated' or job.at >= 2 * max_attempts then
    die(job, keep_dead_s, job.er or (job.at .. ' attempts began and none ended'), '')
    return {outcome, whole(id)}
  end
end
job.at = job.at + 1
local until_ = stamp(now + lease_s)
redis.call('HSET', job.key, 'at', job.at, 'lw', worker, 'lu', until_)
redis.call('ZADD', P .. 'l', until_, id)
for _, index in ipairs({'w:' .. stage, 'u', 'd'}) do redis.call('ZREM', P .. index, id) end
to_state(job, stage == 'intake' and 'received' or 'extracting')
remember(job, nonce)
log(job, 'started', worker, outcome == 'exhausted' and 'attempts exhausted, to end with what there is' or '')
return {outcome, whole(id)}
