-- ARGV: id, token, call, state, blob, lowest confidence or '', keep_s, detail, then data. Returns 1 when done.
local job, answer = guarded(ARGV[2], ARGV[3], ARGV[4])
if not job then return answer end
local state, blob, confidence, keep_s, detail = ARGV[5], ARGV[6], ARGV[7], ARGV[8], ARGV[9]
keep_data(job, 10)
redis.call('HSET', job.key, 'rb', blob)
if confidence ~= '' then
  redis.call('HSET', job.key, 'lc', confidence)
  redis.call('ZADD', P .. 'c', confidence, job.id)
  redis.call('ZADD', P .. 'c:' .. state, confidence, job.id)
end
remember(job, ARGV[4])
finish(job, state, 'finished', keep_s, detail ~= '' and detail or state)
return 1
