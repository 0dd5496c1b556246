-- ARGV: limit, claim_s, most for one receiver at a time, receivers looked at. Returns {notification, job, url, attempts,
-- error, metadata, first try, ...}, receivers in turn. A receiver whose breaker was open gets one, to see.
local limit, claim_s, most, receivers = tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4]), tonumber(ARGV[5])
local claimed_until = stamp(now + claim_s)
local found, taken, lines = {}, 0, {}

local function line_of(place)
  local flying = P .. 'i:' .. place
  redis.call('ZREMRANGEBYSCORE', flying, '-inf', NOW)
  local open_until = tonumber(redis.call('HGET', P .. 'b:' .. place, 'o') or 0)
  local at_once = open_until == 0 and most or (open_until > now and 0 or 1)
  local room = math.max(0, at_once - redis.call('ZCARD', flying))
  local names = {}
  if room > 0 then names = redis.call('ZRANGEBYSCORE', P .. 'h:' .. place, '-inf', NOW, 'LIMIT', 0, room) end
  return {place = place, open_until = open_until, at_once = at_once, names = names}
end

local function claim(place, name)
  if not add_webhook(found, name, true) then
    for _ = 1, withdraw({name}) do count('webhooks_failed') end
    return
  end
  taken = taken + 1
  redis.call('ZADD', P .. 'h:' .. place, claimed_until, name)
  redis.call('ZADD', P .. 'i:' .. place, claimed_until, name)
  redis.call('PEXPIREAT', P .. 'i:' .. place, string.format('%.0f', (now + claim_s) * 1000 + 1000))
end

-- When a receiver is to be looked at next: those that were served now come after those that were not.
local function plan(line)
  local next_one = redis.call('ZRANGE', P .. 'h:' .. line.place, 0, 0, 'WITHSCORES')
  if #next_one == 0 then
    redis.call('ZREM', P .. 'h', line.place)
    return
  end
  local at = math.max(now, tonumber(next_one[2]), line.open_until)
  if line.open_until <= now and redis.call('ZCARD', P .. 'i:' .. line.place) >= line.at_once then
    at = math.max(at, tonumber(redis.call('ZRANGE', P .. 'i:' .. line.place, 0, 0, 'WITHSCORES')[2]))
  end
  redis.call('ZADD', P .. 'h', stamp(at), line.place)
end

for _, place in ipairs(redis.call('ZRANGEBYSCORE', P .. 'h', '-inf', NOW, 'LIMIT', 0, receivers)) do
  lines[#lines + 1] = line_of(place)
end
for turn = 1, most do
  for _, line in ipairs(lines) do
    if line.names[turn] and taken < limit then
      claim(line.place, line.names[turn])
      line.served = true
    end
  end
end
for _, line in ipairs(lines) do
  if line.served or #line.names == 0 then plan(line) end
end
return found
