-- ARGV: id, stage.
local job = load(ARGV[2])
if job and not job.lu and job.sg == ARGV[3] then redis.call('ZREM', P .. 'u', job.id) end
return 1
