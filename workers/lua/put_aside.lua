-- Keep a message that no worker can act on, and the newest of them only.
-- ARGV: id, the entry as JSON, most to keep, the tag under which a worker holds the message (or empty).
-- Returns 1; 0 where it is kept already, or where no worker holds it any more, so that it is in its queue again.
permit()
local id, tag = ARGV[2], ARGV[5]
if redis.call('HEXISTS', P .. 'mh', id) == 1 then return 0 end
if tag ~= '' then
  redis.call('ZREM', P .. 'unacked_index', tag)
  if redis.call('HDEL', P .. 'unacked', tag) == 0 then return 0 end
end
redis.call('HSET', P .. 'mh', id, ARGV[3])
redis.call('ZADD', P .. 'm', NOW, id)
for _, old in ipairs(redis.call('ZRANGE', P .. 'm', 0, -1 - tonumber(ARGV[4]))) do
  redis.call('ZREM', P .. 'm', old)
  redis.call('HDEL', P .. 'mh', old)
end
count('put_aside')
return 1
