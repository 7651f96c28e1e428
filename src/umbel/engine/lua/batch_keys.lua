-- What the scripts that count the members of batches begin with, after keys.lua and, beside another broker, state_keys.lua.
--
--   umbel:batch:ID             hash    name, owner, opener, allowed, share, closed, cancelled, total, done, failed, gone, fired, created,
--                                      updated, finished; held: "TARGET LABEL" while it is on its way to or from another store; then, catch, finally: their messages (MessagePack), until they are queued
--   umbel:batch:ID:members     hash    task id -> p pending, d done, f failed, c cancelled
--   umbel:batches              zset    ID -> when it was opened
--   umbel:batches:held         zset    ID -> the same, of those that are held, which are in no other of these
--   umbel:batches:open         zset    ID -> the same, until its last member has ended
local KINDS = {'then', 'catch', 'finally'}
local OUTCOMES = {d = 'done', f = 'failed', c = 'gone'}
local OPEN_BATCH, KEPT_BATCH = 2592000, 604800

local function keep_batch(batch, seconds)
    redis.call('EXPIRE', key('batch:' .. batch), seconds)
    redis.call('EXPIRE', key('batch:' .. batch .. ':members'), seconds)
end

-- The batches of which members were counted in this step.
local touched = {}

-- Count a member's end, once; a failure that is mended counts as done.
local function count_member(batch, id, outcome, at)
    local members, about = key('batch:' .. batch .. ':members'), key('batch:' .. batch)
    local before = redis.call('HGET', members, id)
    if not before or before == outcome or (before ~= 'p' and outcome ~= 'd') then return end
    redis.call('HSET', members, id, outcome)
    if before ~= 'p' then redis.call('HINCRBY', about, OUTCOMES[before], -1) end
    redis.call('HINCRBY', about, OUTCOMES[outcome], 1)
    redis.call('HSET', about, 'updated', at)
    touched[batch] = true
end

-- Queue the callbacks of a batch that are due; ``send`` queues one message. Python says the same in ``engine/batches.py``.
local function fire_batch(batch, at, send)
    local about = key('batch:' .. batch)
    local found = redis.call('HMGET', about, 'closed', 'cancelled', 'share', 'fired', 'allowed', 'total', 'done', 'failed', 'gone', 'held')
    if not found[1] or found[10] then return end
    local closed, cancelled, share, fired = found[1] == '1', found[2] == '1', found[3] == '1', found[4]
    local allowed, total, done = tonumber(found[5]), tonumber(found[6]), tonumber(found[7])
    local bad = tonumber(found[8]) + tonumber(found[9])
    local ended = closed and done + bad >= total
    local beyond = bad > allowed
    if share then beyond = bad * 1000000 > allowed * total end
    if allowed < 0 then beyond = false end
    local due = {
        ['then'] = ended and not cancelled and not beyond,
        ['catch'] = beyond and not cancelled and (closed or not share),
        ['finally'] = ended,
    }
    local any = false
    for _, kind in ipairs(KINDS) do
        if due[kind] and not string.find(fired, kind, 1, true) then
            any = true
            local packed = redis.call('HGET', about, kind)
            if packed then
                for _, message in ipairs(cmsgpack.unpack(packed)) do send(message) end
                redis.call('HDEL', about, kind)
            end
            fired = fired == '' and kind or fired .. ' ' .. kind
            if kind == 'finally' then
                redis.call('HSET', about, 'finished', at)
                redis.call('ZREM', key('batches:open'), batch)
            end
        end
    end
    if any then redis.call('HSET', about, 'fired', fired) end
    keep_batch(batch, string.find(fired, 'finally', 1, true) and KEPT_BATCH or OPEN_BATCH)
end

-- Begin to add: whether the batch is there, and whether it takes more.
local function find_batch(batch)
    local cancelled, fired = unpack(redis.call('HMGET', key('batch:' .. batch), 'cancelled', 'fired'))
    if not fired then return false, false end
    return true, cancelled == '0' and not string.find(fired, 'finally', 1, true)
end

-- Make members of those messages that are none, and queue them by ``send``; 0 when the batch takes no more, and nothing was done.
local function add_members(batch, messages, at, send)
    local there, open = find_batch(batch)
    if not there then return {-1, 0} end
    local members, about = key('batch:' .. batch .. ':members'), key('batch:' .. batch)
    local new = {}
    for _, message in ipairs(messages) do
        if redis.call('HEXISTS', members, message[4]) == 0 then new[#new + 1] = message end
    end
    if #new > 0 and not open then return {0, 0} end
    local count = 0
    for _, message in ipairs(new) do
        if redis.call('HSETNX', members, message[4], 'p') == 1 then
            send(message)
            count = count + 1
        end
    end
    if count > 0 then redis.call('HINCRBY', about, 'total', count) end
    redis.call('HSET', about, 'updated', at)
    keep_batch(batch, open and OPEN_BATCH or KEPT_BATCH)
    return {1, count}
end

-- Change a batch: close or cancel it, or count its members anew. Returns 0 if there is nothing to change.
local function turn_batch(batch, what, at, send)
    local there, open = find_batch(batch)
    local about = key('batch:' .. batch)
    if not there or (what == 'cancel' and not open) then return 0 end
    if what == 'recount' then
        local counts, total = {p = 0, d = 0, f = 0, c = 0}, 0
        for _, state in ipairs(redis.call('HVALS', about .. ':members')) do
            counts[state] = counts[state] + 1
            total = total + 1
        end
        redis.call('HSET', about, 'total', total, 'done', counts.d, 'failed', counts.f, 'gone', counts.c)
    else
        redis.call('HSET', about, 'closed', 1)
        if what == 'cancel' then redis.call('HSET', about, 'cancelled', 1) end
    end
    redis.call('HSET', about, 'updated', at)
    fire_batch(batch, at, send)
    return 1
end
