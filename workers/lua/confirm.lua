-- ARGV: id, result blob or ''. Returns 1 when there is such a job, with that result where one is named. It writes, so that
-- a wait for replicas after it is one for all before it.
permit()
local found = redis.call('HMGET', P .. 'j:' .. ARGV[2], 'st', 'rb')
if not found[1] or (ARGV[3] ~= '' and found[2] ~= ARGV[3]) then return 0 end
redis.call('SET', P .. 'o:confirm', NOW, 'EX', 60)
return 1
