-- Head of every script: the job, its log and its indexes. Knows no Python, queue or document.
--
-- Keys (after the prefix P): j:ID hash, e:ID log; sorted sets a all and s:STATE by creation, g:STAGE in a stage by
-- creation, w:STAGE waiting since, c and c:STATE by lowest confidence, l leases by end, u waiting without a noted
-- message since, d due at, f finished at, r kept until, x dead letters, hx webhooks given up, h receivers of webhooks by
-- the next look at them, h:RECEIVER its webhooks due at, i:RECEIVER those that are claimed until; b:RECEIVER its breaker
-- (f failures in a row, n pauses in a row, o open until), hp hash of the receivers of webhooks, xh hash of dead letters,
-- n hash of counters, k list of recent risks, o:NAME locks. Only final jobs expire, so only they
-- may leave entries behind (`forget`).
--
-- Fields of a job: sp spec, st state, sg stage, ws the state it waits in, ca/ua/fa created, updated, finished, at
-- attempts, tk token, lw/lu lease's worker and end, rb result blob, lc lowest confidence, er error, rq digests of the
-- request (of a document, of a URI, of the sender), nc names of the last calls, xp whether a lease of this stage ran out,
-- xt the last tokens under which no step ended, d:NAME data. Of its callbacks: cb receiver and URL, ha/he/hs webhook's
-- attempts, error and first try, cm/cs metadata and digest of a sender who came later, cn how many there are if not one;
-- those of the second callback are cb.2 and so on.
local P = ARGV[1]
local clock = redis.call('TIME')
local now = tonumber(clock[1]) + tonumber(clock[2]) / 1000000
local FINAL = {done = true, done_with_gaps = true, needs_review = true, failed = true, cancelled = true}
local FIELDS = {'st', 'sg', 'ws', 'ca', 'at', 'tk', 'lw', 'lu', 'cb', 'cn', 'rq', 'nc', 'er', 'xp', 'xt'}
local CALLS_KEPT_CHARS = 32
local TOKENS_KEPT_CHARS = 340
local NOISE_LINES = 200
local NOTICE_LINES = 300
local MOST_CALLBACKS = 8
local FOR_EVER = 1e12

local function stamp(seconds) return string.format('%.6f', seconds) end
local NOW = stamp(now)

local function load(id)
  local key = P .. 'j:' .. id
  local values = redis.call('HMGET', key, unpack(FIELDS))
  if not values[1] then return nil end
  local job = {id = id, key = key, log = P .. 'e:' .. id}
  for i, name in ipairs(FIELDS) do job[name] = values[i] end
  job.at, job.tk = tonumber(job.at or 0), tonumber(job.tk or 0)
  return job
end

-- As one text: a client takes far longer to read a list of many small ones. Empty where there is no such job.
local function whole(id)
  local fields = redis.call('HGETALL', P .. 'j:' .. id)
  return #fields > 0 and cjson.encode(fields) or ''
end

local function count(name) redis.call('HINCRBYFLOAT', P .. 'n', name, 1) end

local function log(job, kind, worker, detail)
  local rest = cjson.encode({kind, job.sg, worker or '', job.at, detail or ''})
  redis.call('RPUSH', job.log, '[' .. NOW .. ',' .. string.sub(rest, 2))
end

-- What outsiders can repeat without end must not grow the log without end.
local function log_noise(job, kind, worker, detail, most)
  if redis.call('LLEN', job.log) < (most or NOISE_LINES) then log(job, kind, worker, detail) end
end

-- A call that comes again because its answer was lost must not be applied again; each has a name of 8 characters.
local function seen(job, call) return job.nc and string.find(job.nc, call, 1, true) end

local function remember(job, call)
  redis.call('HSET', job.key, 'nc', string.sub(call .. (job.nc or ''), 1, CALLS_KEPT_CHARS))
end

-- A server without memory refuses a script at its first write that needs some, but not after a removal: work that has
-- begun may end, which is what frees memory.
local function permit() redis.call('ZREM', P .. 'l', '') end

-- The next token: a count, and below it nine digits of chance. A server that takes over may have missed the last leases
-- and counts from before them; the digits keep it from giving a token that the holder of a missed lease has too.
local function next_token(job, nonce)
  local chance = tonumber(nonce, 16) % 1e9
  return string.format('%.0f', (math.floor(job.tk / 1e9) + 1) * 1e9 + chance)
end

local function is_held(job, token) return job and job.lu and job.tk == tonumber(token) end

-- The job when the token's lease is its own; else nil and the answer to give.
local function guarded(id, token, call)
  permit()
  local job = load(id)
  if job and seen(job, call) then return nil, 1 end
  if is_held(job, token) then return job end
  count('late')
  if job then log_noise(job, 'late', '', 'token ' .. token) end
  return nil, 0
end

local function to_state(job, state)
  if job.st ~= state then
    redis.call('ZREM', P .. 's:' .. job.st, job.id)
    redis.call('ZADD', P .. 's:' .. state, job.ca, job.id)
    job.st = state
  end
  redis.call('HSET', job.key, 'st', state, 'ua', NOW)
end

-- Data as name, value, ... from an argument on; one command, since each is also written to the append-only file.
local function keep_data(job, first)
  local data = {}
  for i = first, #ARGV, 2 do
    data[#data + 1] = 'd:' .. ARGV[i]
    data[#data + 1] = ARGV[i + 1]
  end
  if #data > 0 then redis.call('HSET', job.key, unpack(data)) end
end

-- The holder of a token under which no step ends may have left files, which whoever ends the job removes.
local function spend_token(job)
  local tokens = string.sub(string.format('%.0f ', job.tk) .. (job.xt or ''), 1, TOKENS_KEPT_CHARS)
  redis.call('HSET', job.key, 'xt', string.match(tokens, '^.* '))
end

local function release(job)
  redis.call('ZREM', P .. 'l', job.id)
  redis.call('HDEL', job.key, 'lw', 'lu')
end

local function wait_for(job, stage, state)
  if job.sg ~= stage then redis.call('ZREM', P .. 'g:' .. job.sg, job.id) end
  to_state(job, state)
  redis.call('HSET', job.key, 'sg', stage, 'ws', state)
  redis.call('ZADD', P .. 'g:' .. stage, job.ca, job.id)
  redis.call('ZADD', P .. 'w:' .. stage, NOW, job.id)
  job.sg, job.ws = stage, state
end

local function due_at(job, seconds)
  redis.call('ZREM', P .. 'u', job.id)
  redis.call('ZADD', P .. 'd', stamp(seconds), job.id)
end

local function keep_until(job, seconds)
  redis.call('ZADD', P .. 'r', stamp(seconds), job.id)
  if seconds > FOR_EVER then return end
  local at_ms = string.format('%.0f', seconds * 1000)
  redis.call('PEXPIREAT', job.key, at_ms)
  redis.call('PEXPIREAT', job.log, at_ms)
end

-- The name of a callback's field, or of its notification in `h` and `hx`.
local function named(name, slot) return slot == 1 and name or name .. '.' .. slot end

-- The job and the slot of a notification; a job's id has no dot.
local function slot_named(name)
  local id, slot = string.match(name, '^(.*)%.([2-8])$')
  return id or name, tonumber(slot or 1)
end

local function callbacks(job) return tonumber(job.cn or (job.cb and 1 or 0)) end

local function notifications(id)
  local names = {}
  for slot = 1, MOST_CALLBACKS do names[slot] = named(id, slot) end
  return names
end

-- A notification as the store gives it, appended to a list; nothing where its job or callback has gone.
local function add_webhook(found, name, begun)
  local id, slot = slot_named(name)
  local key = P .. 'j:' .. id
  local url = redis.call('HGET', key, named('cb', slot))
  if not url then return false end
  if begun and redis.call('HINCRBY', key, named('ha', slot), 1) == 1 then
    redis.call('HSET', key, named('hs', slot), NOW)
  end
  local more = redis.call('HMGET', key, named('ha', slot), named('he', slot), named('cm', slot), named('hs', slot))
  local values = {name, id, string.match(url, ' (.*)'), more[1] or 0, more[2] or '', more[3] or '', more[4] or 0}
  for _, value in ipairs(values) do found[#found + 1] = value end
  return true
end

local function wake(place) redis.call('ZADD', P .. 'h', 'LT', NOW, place) end

-- Make a notification due, unless it is already.
local function notify(job, slot)
  local name = named(job.id, slot)
  local place = string.match(redis.call('HGET', job.key, named('cb', slot)), '^%S*')
  if redis.call('HSETNX', P .. 'hp', name, place) == 0 then return end
  redis.call('HDEL', job.key, named('ha', slot), named('he', slot))
  redis.call('ZADD', P .. 'h:' .. place, NOW, name)
  wake(place)
end

-- Take notifications off what is due; returns how many were.
local function withdraw(names)
  local gone = 0
  for i, place in ipairs(redis.call('HMGET', P .. 'hp', unpack(names))) do
    if place then
      redis.call('HDEL', P .. 'hp', names[i])
      redis.call('ZREM', P .. 'h:' .. place, names[i])
      redis.call('ZREM', P .. 'i:' .. place, names[i])
      gone = gone + 1
    end
  end
  return gone
end

-- Nobody is told of an end that is taken back; the next one is told.
local function silence(job)
  local names = notifications(job.id)
  withdraw(names)
  redis.call('ZREM', P .. 'hx', unpack(names))
  for slot = 1, callbacks(job) do redis.call('HDEL', job.key, named('ha', slot), named('he', slot)) end
end

local function finish(job, state, kind, keep_s, detail)
  for _, index in ipairs({'l', 'u', 'd', 'w:' .. job.sg, 'g:' .. job.sg}) do redis.call('ZREM', P .. index, job.id) end
  redis.call('HDEL', job.key, 'lw', 'lu')
  to_state(job, state)
  redis.call('HSET', job.key, 'fa', NOW)
  redis.call('ZADD', P .. 'f', NOW, job.id)
  for slot = 1, callbacks(job) do notify(job, slot) end
  log(job, kind, job.lw, detail)
  keep_until(job, now + tonumber(keep_s))
end

local function die(job, keep_s, problem, traceback)
  local letter = cjson.encode({stage = job.sg, error = problem, attempts = job.at, traceback = traceback})
  redis.call('HSET', P .. 'xh', job.id, letter)
  redis.call('ZADD', P .. 'x', NOW, job.id)
  redis.call('HSET', job.key, 'er', problem)
  count('dead')
  finish(job, 'failed', 'dead', keep_s, problem)
end

local function expire(job)
  count('expired')
  log(job, 'expired', job.lw, 'the worker stopped renewing its lease')
  release(job)
  spend_token(job)
  redis.call('HSET', job.key, 'xp', 1)
  job.lw, job.lu = false, false
end

local function forget(id)
  for _, index in ipairs({'a', 'f', 'r', 'x', 'c', 'c:done', 'c:done_with_gaps', 'c:needs_review'}) do
    redis.call('ZREM', P .. index, id)
  end
  local names = notifications(id)
  for _ = 1, withdraw(names) do count('webhooks_failed') end
  redis.call('ZREM', P .. 'hx', unpack(names))
  for state in pairs(FINAL) do redis.call('ZREM', P .. 's:' .. state, id) end
  redis.call('HDEL', P .. 'xh', id)
  redis.call('DEL', P .. 'j:' .. id, P .. 'e:' .. id)
end

-- What was refused before it became a job; it keeps its id only until that is submitted anew.
local function is_refused(job) return job.rq and string.sub(job.rq, 1, 1) == '!' end

local function make(id, nonce, spec, callback, request)
  if redis.call('ZSCORE', P .. 'a', id) then forget(id) end
  local job = {id = id, key = P .. 'j:' .. id, log = P .. 'e:' .. id, st = 'received', sg = 'intake', ca = NOW, at = 0}
  redis.call('HSET', job.key, 'sp', spec, 'st', job.st, 'sg', job.sg, 'ca', NOW, 'nc', nonce, 'rq', request)
  if callback ~= '' then redis.call('HSET', job.key, 'cb', callback) end
  job.cb = callback ~= '' and callback
  for _, index in ipairs({'a', 's:received', 'g:intake', 'w:intake', 'u'}) do redis.call('ZADD', P .. index, NOW, id) end
  log(job, 'created')
  return job
end

local function slot_of(job, sender)
  for slot = 1, callbacks(job) do
    local known = redis.call('HGET', job.key, named('cs', slot)) or string.match(job.rq or '', '%S+$')
    if known == sender then return slot end
  end
end

local function add_callback(job, callback, sender, metadata)
  local slot = callbacks(job) + 1
  if slot > MOST_CALLBACKS then return nil end
  local own = {named('cb', slot), callback, named('cs', slot), sender, named('cm', slot), metadata, 'cn', slot}
  redis.call('HSET', job.key, unpack(own))
  return slot
end

-- A known job submitted again: its sender is one more to tell. Returns the outcome.
local function resubmit(job, callback, sender, metadata)
  log_noise(job, 'resubmitted')
  if callback == '' then return 'known' end
  local slot = slot_of(job, sender) or add_callback(job, callback, sender, metadata)
  if not slot then return 'full' end
  if FINAL[job.st] then
    redis.call('ZREM', P .. 'hx', named(job.id, slot))
    notify(job, slot)
  end
  return 'known'
end
