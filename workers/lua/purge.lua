-- ARGV: limit. Returns how many jobs were removed.
local ids = redis.call('ZRANGEBYSCORE', P .. 'r', '-inf', NOW, 'LIMIT', 0, tonumber(ARGV[2]))
for _, id in ipairs(ids) do forget(id) end
return #ids
