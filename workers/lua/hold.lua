-- ARGV: name, owner, seconds. Returns 1 when the owner holds the lock; no seconds give it back.
local key, owner, ms = P .. 'o:' .. ARGV[2], ARGV[3], math.ceil(tonumber(ARGV[4]) * 1000)
local holder = redis.call('GET', key)
if holder and holder ~= owner then return 0 end
if ms > 0 then
  redis.call('SET', key, owner, 'PX', ms)
else
  redis.call('DEL', key)
end
return 1
