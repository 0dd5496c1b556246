-- ARGV: limit. Returns {id, url, attempts, error, ...}, newest first.
local found = {}
for _, id in ipairs(redis.call('ZREVRANGE', P .. 'hx', 0, tonumber(ARGV[2]) - 1)) do
  local job = load(id)
  if job and job.cb then
    local hook = redis.call('HMGET', job.key, 'ha', 'he')
    for _, value in ipairs({id, job.cb, hook[1] or 0, hook[2] or ''}) do found[#found + 1] = value end
  end
end
return found
