-- Store what is known by an id, where it is not known here or is newer than what is.
-- ARGV: prefix, MessagePack [states, groups, chords, cancelled, ticks]:
--   states [[id, state, final, text, meta, attempt, task, queue, owner, milliseconds left or 0, updated], …], groups [[id, meta, milliseconds left or 0], …],
--   chords [[id, size or 0, extra, fired, milliseconds left, [[task id, "PLACE\nRESULT"], …]], …], cancelled [[id, "AT RUNNING"], …], ticks [[entry, last run, runs], …]
local states, groups, chords, cancelled, ticks = unpack(cmsgpack.unpack(ARGV[2]))

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
    local chord = key('chord:' .. id)
    if fired == 1 then redis.call('HSETNX', chord, 'fired', 1) end
    if size > 0 then redis.call('HSETNX', chord, 'size', size) end
    if extra > tonumber(redis.call('HGET', chord, 'extra') or '0') then redis.call('HSET', chord, 'extra', extra) end
    if redis.call('HEXISTS', chord, 'fired') == 1 then
        redis.call('DEL', chord .. ':parts')
    else
        for _, part in ipairs(parts) do redis.call('HSETNX', chord .. ':parts', part[1], part[2]) end
        redis.call('HSET', chord, 'parts', redis.call('HLEN', chord .. ':parts'))
        if redis.call('PTTL', chord .. ':parts') < left then redis.call('PEXPIRE', chord .. ':parts', left) end
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
return 1
