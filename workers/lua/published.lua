-- ARGV: id, stage, id, stage, ...
for i = 2, #ARGV, 2 do
  local job = load(ARGV[i])
  if job and not job.lu and job.sg == ARGV[i + 1] then redis.call('ZREM', P .. 'u', job.id) end
end
return 1
