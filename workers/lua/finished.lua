-- ARGV: since, limit. Returns {id, job, ...} by the time of ending; entries whose job has expired are passed over.
local limit, offset = tonumber(ARGV[3]), 0
local found = {}
repeat
  local ids = redis.call('ZRANGEBYSCORE', P .. 'f', ARGV[2], '+inf', 'LIMIT', offset, limit)
  for _, id in ipairs(ids) do
    local job = whole(id)
    if #job > 0 then
      found[#found + 1] = id
      found[#found + 1] = job
    end
  end
  offset = offset + limit
until #found > 0 or #ids < limit or limit < 1
return found
