-- ARGV: id, token, call, error, traceback, dead (1 or 0), keep_s. Returns 1 when done.
local job, answer = guarded(ARGV[2], ARGV[3], ARGV[4])
if not job then return answer end
local problem, traceback, dead, keep_s = ARGV[5], ARGV[6], ARGV[7], ARGV[8]
remember(job, ARGV[4])
if dead == '1' then
  die(job, keep_s, problem, traceback)
else
  redis.call('HSET', job.key, 'er', problem)
  finish(job, 'failed', 'failed', keep_s, problem)
end
return 1
