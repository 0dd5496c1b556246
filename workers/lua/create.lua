-- ARGV: id, nonce, spec, callback. Returns {1 when new, job}.
local id, nonce, spec, callback = ARGV[2], ARGV[3], ARGV[4], ARGV[5]
local job = load(id)
if job then
  local new = seen(job, nonce) and 1 or 0
  if new == 0 then log_noise(job, 'resubmitted') end
  return {new, whole(id)}
end
if redis.call('ZSCORE', P .. 'a', id) then forget(id) end
job = {id = id, key = P .. 'j:' .. id, log = P .. 'e:' .. id, st = 'received', sg = 'intake', ca = NOW, at = 0}
redis.call('HSET', job.key, 'sp', spec, 'st', job.st, 'sg', job.sg, 'ca', NOW, 'nc', nonce)
if callback ~= '' then redis.call('HSET', job.key, 'cb', callback) end
redis.call('ZADD', P .. 'a', NOW, id)
redis.call('ZADD', P .. 's:received', NOW, id)
redis.call('ZADD', P .. 'g:intake', NOW, id)
redis.call('ZADD', P .. 'w:intake', NOW, id)
redis.call('ZADD', P .. 'u', NOW, id)
log(job, 'created')
return {1, whole(id)}
