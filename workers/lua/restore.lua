-- ARGV: id, spec, callback, created, state, blob or '', lowest confidence or '', error or '', keep_s, detail, asked,
-- then data. Returns 1 when the job was not known and has ended now as it did before.
local id, spec, callback, created, state = ARGV[2], ARGV[3], ARGV[4], tonumber(ARGV[5]), ARGV[6]
local blob, confidence, problem = ARGV[7], ARGV[8], ARGV[9]
if load(id) then return 0 end
if redis.call('ZSCORE', P .. 'a', id) then forget(id) end
local since = created > 0 and stamp(created) or NOW
local job = {id = id, key = P .. 'j:' .. id, log = P .. 'e:' .. id, st = 'received', sg = 'intake', ca = since, at = 0}
job.cb = callback ~= '' and callback
redis.call('HSET', job.key, 'sp', spec, 'st', job.st, 'sg', job.sg, 'ca', since)
if job.cb then redis.call('HSET', job.key, 'cb', callback) end
if blob ~= '' then redis.call('HSET', job.key, 'rb', blob) end
if problem ~= '' then redis.call('HSET', job.key, 'er', problem) end
if ARGV[12] ~= '' then redis.call('HSET', job.key, 'rq', ARGV[12]) end
keep_data(job, 13)
redis.call('ZADD', P .. 'a', since, id)
if confidence ~= '' then
  redis.call('HSET', job.key, 'lc', confidence)
  redis.call('ZADD', P .. 'c', confidence, id)
  redis.call('ZADD', P .. 'c:' .. state, confidence, id)
end
finish(job, state, 'recovered', ARGV[10], ARGV[11])
return 1
