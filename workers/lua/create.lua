-- ARGV: id, nonce, spec ('' not to make one), callback, request, source, sender, metadata, document. Returns {outcome,
-- job}: new, known, conflict, full (no room for the callback), or nothing where only a job's document can tell.
local id, nonce, spec, callback = ARGV[2], ARGV[3], ARGV[4], ARGV[5]
local request, source, sender, metadata = ARGV[6], ARGV[7], ARGV[8], ARGV[9]
local document = ARGV[10]
local job = load(id)
if job and seen(job, nonce) then return {'new', whole(id)} end
if job and is_refused(job) then
  if spec ~= '' then forget(id) end
  job = nil
end
if not job then
  if spec == '' then return {'', ''} end
  make(id, nonce, spec, callback, table.concat({request, source, sender}, ' '))
  return {'new', whole(id)}
end
local known, known_source = string.match(job.rq or '', '^(%S*) (%S*)')
local same = known == request or (source ~= '' and known_source == source)
if not known and request ~= '' then  -- made anew from its result, which says no more
  same = document == cjson.decode(redis.call('HGET', job.key, 'sp')).document_id
end
if not same and request == '' then return {'', ''} end
if not same then
  log_noise(job, 'conflict', '', 'another document, schema or tier was submitted with this id')
  return {'conflict', whole(id)}
end
local outcome = resubmit(job, callback, sender, metadata)
return {outcome, whole(id)}
