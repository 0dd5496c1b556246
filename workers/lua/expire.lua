-- ARGV: limit. Returns {id, job, ...} of jobs whose lease ran out.
local found = {}
for _, id in ipairs(redis.call('ZRANGEBYSCORE', P .. 'l', '-inf', NOW, 'LIMIT', 0, tonumber(ARGV[2]))) do
  redis.call('ZREM', P .. 'l', id)
  local job = load(id)
  if job and job.lu then
    expire(job)
    wait_for(job, job.sg, job.ws or 'received')
    due_at(job, now)
    found[#found + 1] = id
    found[#found + 1] = whole(id)
  end
end
return found
