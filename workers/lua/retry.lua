-- ARGV: id, token, call, delay_s, error. Returns 1 when done.
local job, answer = guarded(ARGV[2], ARGV[3], ARGV[4])
if not job then return answer end
log(job, 'retried', job.lw, ARGV[6])
count('retried')
release(job)
spend_token(job)
redis.call('HSET', job.key, 'er', ARGV[6])
wait_for(job, job.sg, job.ws or 'received')
due_at(job, now + tonumber(ARGV[5]))
remember(job, ARGV[4])
return 1
