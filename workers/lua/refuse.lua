-- ARGV: id, nonce, spec, callback, request, sender, metadata, error, keep_s. Returns 1, or 0 where
-- the id is a job's.
local id, nonce, spec, callback = ARGV[2], ARGV[3], ARGV[4], ARGV[5]
local request, sender, metadata, problem, keep_s = '!' .. ARGV[6], ARGV[7], ARGV[8], ARGV[9], ARGV[10]
local job = load(id)
if job and seen(job, nonce) then return 1 end
if job and not is_refused(job) then
  log_noise(job, 'refused', '', 'a wrong submission of this id: ' .. problem)
  return 0
end
if job and string.match(job.rq, '^%S+') == request then
  resubmit(job, callback, sender, metadata)
  return 1
end
if job then forget(id) end
job = make(id, nonce, spec, callback, request .. '  ' .. sender)
redis.call('HSET', job.key, 'er', problem)
finish(job, 'failed', 'failed', keep_s, problem)
return 1
