-- ARGV: index, 1 for descending, offset, limit. Returns {id, job, ...}; entries whose job has expired are left out.
local command = ARGV[3] == '1' and 'ZREVRANGE' or 'ZRANGE'
local first = tonumber(ARGV[4])
local found = {}
for _, id in ipairs(redis.call(command, P .. ARGV[2], first, first + tonumber(ARGV[5]) - 1)) do
  local job = whole(id)
  if #job > 0 then
    found[#found + 1] = id
    found[#found + 1] = job
  end
end
return found
