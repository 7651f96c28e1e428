-- Store what is known by an id, where it is not known here or is newer than what is.
-- ARGV: prefix, MessagePack [states, groups, chords, cancelled, ticks, members, batches, checkpoints, effects]:
--   states [[id, state, final, text, meta, attempt, task, queue, owner, milliseconds left or 0, updated], …], groups [[id, meta, milliseconds left or 0], …],
--   chords [[id, size or 0, extra, fired, milliseconds left, [[task id, "PLACE\nRESULT"], …]], …], cancelled [[id, "AT RUNNING"], …], ticks [[entry, last run, runs], …],
--   members [[batch, task id, state], …], batches that are held no longer [[id, closed, cancelled], …], checkpoints [[id, fence, ["=NAME", cursor, …],
--   milliseconds left], …], effects that are there [[name, owner, result, milliseconds left], …]
local states, groups, chords, cancelled, ticks, members, batches, checkpoints, effects = unpack(cmsgpack.unpack(ARGV[2]))

local function is_newer(id, final, updated)
    local old = guard_of(id)
    -- A document without a guard is a plain worker's, and an end.
    if not old then return redis.call('EXISTS', document_key(id)) == 0 end
    return tonumber(updated) > tonumber(old[3]) and final >= old[2]
end

for _, record in ipairs(states) do
    local id, state, final, text, meta, attempt, task, queue, owner, left, updated = unpack(record)
    if is_newer(id, final, updated) then
        write_state(id, text, meta, {state, final, updated, attempt, task, queue, owner}, left)
    end
end
for _, group in ipairs(groups) do
    local name = P .. 'celery-taskset-meta-' .. group[1]
    if redis.call('EXISTS', name) == 0 then put(name, group[2], group[3]) end
end
for _, one in ipairs(chords) do
    local id, size, extra, fired, left, parts = unpack(one)
    local chord, members = key('chord:' .. id), key('chord:' .. id .. ':members')
    if fired == 1 and redis.call('HSETNX', chord, 'finished', now()) == 1 then redis.call('HSET', chord, 'fired', 'finally') end
    if size > 0 and redis.call('HSETNX', chord, 'size', size) == 1 then redis.call('HSET', chord, 'closed', 1) end
    if extra > tonumber(redis.call('HGET', chord, 'total') or '0') then redis.call('HSET', chord, 'total', extra) end
    if redis.call('HEXISTS', chord, 'finished') == 1 then
        redis.call('DEL', members)
    else
        for _, part in ipairs(parts) do redis.call('HSETNX', members, part[1], 'd' .. part[2]) end
        redis.call('HSET', chord, 'done', redis.call('HLEN', members))
        if redis.call('PTTL', members) < left then redis.call('PEXPIRE', members, left) end
    end
    if redis.call('PTTL', chord) < left then redis.call('PEXPIRE', chord, left) end
end
for _, one in ipairs(cancelled) do
    if redis.call('HSETNX', key('cancelled'), one[1], one[2]) == 1 then redis.call('INCR', key('cancels')) end
end
for _, tick in ipairs(ticks) do
    local known = redis.call('HGET', key('ticks'), tick[1])
    if not known or tonumber(string.match(known, '^%S+')) < tonumber(tick[2]) then
        redis.call('HSET', key('ticks'), tick[1], tick[2] .. ' ' .. tick[3])
    end
end
local at = now()
local function send(message) push(message[1], message[2], message[3], message[4], message[5], message[6], at) end

for _, one in ipairs(members) do
    local batch, id, state = unpack(one)
    local about = key('batch:' .. batch)
    if redis.call('EXISTS', about) == 1 then
        redis.call('HINCRBY', about, 'total', redis.call('HSETNX', about .. ':members', id, 'p'))
        if state ~= 'p' then count_member('batch:' .. batch, id, state, at) end
        redis.call('EXPIRE', about .. ':members', OPEN_BATCH)
    end
end
fire_touched(at, send)
for _, one in ipairs(batches) do
    local id, closed, cancelled = unpack(one)
    local about = key('batch:' .. id)
    local held, created, fired = unpack(redis.call('HMGET', about, 'held', 'created', 'fired'))
    if held then
        redis.call('HDEL', about, 'held')
        if closed == 1 then redis.call('HSET', about, 'closed', 1) end
        if cancelled == 1 then redis.call('HSET', about, 'cancelled', 1) end
        redis.call('ZREM', key('batches:held'), id)
        redis.call('ZADD', key('batches'), created, id)
        if not string.find(fired, 'finally', 1, true) then redis.call('ZADD', key('batches:open'), created, id) end
        turn_batch(id, 'recount', at, send)
    end
end
for _, one in ipairs(checkpoints) do
    local id, fence, cursors, left = unpack(one)
    local about = key('checkpoint:' .. id)
    local known = redis.call('HGET', about, 'fence')
    if not known or tonumber(known) < tonumber(fence) then
        redis.call('DEL', about)
        redis.call('HSET', about, 'fence', fence, unpack(cursors))
        redis.call('PEXPIRE', about, left)
    end
end
for _, one in ipairs(effects) do
    local name, owner, result, left = unpack(one)
    local about = key('effect:' .. name)
    local state = redis.call('HGET', about, 'state')
    if not state or state == 'uncertain' then
        redis.call('DEL', about)
        redis.call('HSET', about, 'state', 'done', 'owner', owner, 'run', '', 'token', '', 'ends', '0', 'result', result)
        redis.call('PEXPIRE', about, left)
        redis.call('ZREM', key('effects'), name)
    end
end
return 1
