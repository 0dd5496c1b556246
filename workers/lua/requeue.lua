-- ARGV: id, stage, detail. Returns 1 when the job waits there and is due now, 0 too where a retry is still to come.
local job = load(ARGV[2])
if not job or FINAL[job.st] or job.lu or job.sg ~= ARGV[3] then return 0 end
local due = redis.call('ZSCORE', P .. 'd', job.id)
if due and tonumber(due) > now then return 0 end
due_at(job, now)
log_noise(job, 'requeued', '', ARGV[4])
return 1
