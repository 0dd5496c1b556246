-- ARGV: limit. Returns {notification, job, url, attempts, error, metadata, ...}, newest first.
local found = {}
for _, name in ipairs(redis.call('ZREVRANGE', P .. 'hx', 0, tonumber(ARGV[2]) - 1)) do add_webhook(found, name) end
return found
