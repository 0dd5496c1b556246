-- ARGV: id, keep_s. Returns the state the job has then, nil for an unknown one.
permit()
local job = load(ARGV[2])
if not job then return false end
if FINAL[job.st] then return job.st end
finish(job, 'cancelled', 'cancelled', ARGV[3])
return 'cancelled'
