-- Pack a crate, unless one is packed, and return it.
-- ARGV: prefix, limit, token, target, label, queues…. With limit 0 nothing is packed.
-- Returns [token, target, label, [letter of an earlier version, …], [number, head, payload, failures, …], [[batch, its fields as pairs…], …],
-- [effect, owner, since, …], fields of a message, …] or nothing when nothing is packed. The fields are: kind, due or verdict,
-- list, body, queued, priority, deliveries, crashes, id, the cancellation or "". A kind is q, f (condemned), s (suspect), d (delayed).
local crate, messages, letters = key('crate'), key('crate:messages'), key('crate:dead')
local limit = tonumber(ARGV[2])

-- They are held from now on: counted, and not called back.
local function pack_batches()
    local found = redis.call('ZRANGE', key('batches'), 0, math.min(limit, 50) - 1, 'WITHSCORES')
    for at = 1, #found, 2 do
        local id = found[at]
        redis.call('ZREM', key('batches'), id)
        redis.call('ZREM', key('batches:open'), id)
        if redis.call('EXISTS', key('batch:' .. id)) == 1 then
            redis.call('HSET', key('batch:' .. id), 'held', ARGV[4] .. ' ' .. ARGV[5])
            redis.call('ZADD', key('batches:held'), found[at + 1], id)
            redis.call('RPUSH', key('crate:batches'), id)
            limit = 0
        end
    end
end

-- Those of which nobody knows whether they are there. They stay until the crate is discarded: whoever asks here is to be told so.
local function pack_effects()
    local found = limit > 0 and redis.call('ZRANGEBYSCORE', key('effects'), '-inf', digits(now() * 1000), 'LIMIT', 0, limit) or {}
    for _, name in ipairs(found) do
        redis.call('RPUSH', key('crate:effects'), name)
        limit = 0
    end
end

local function put(kind, more, list, element)
    redis.call('RPUSH', messages, cmsgpack.pack({kind, more, list, element}))
    local _, _, _, _, _, id = read(element)
    place(id, 'c')
    limit = limit - 1
end

local function pack_side(list, kind)
    while limit > 0 do
        local found = redis.call('RPOP', list)
        if not found then return end
        local verdict = ''
        if kind == 'f' then verdict, found = cut(found) end
        local origin, element = cut(found)
        put(kind, verdict, origin, element)
    end
end

local function pack_queue(queue)
    pack_side(key('front:' .. queue), 'f')
    for _, band in ipairs({BAND .. '9', BAND .. '6', BAND .. '3', ''}) do
        local list = P .. queue .. band
        local found = limit > 0 and redis.call('RPOP', list, limit) or {}
        for _, element in ipairs(found) do put('q', '', list, element) end
    end
    for _, line in ipairs(limit > 0 and lines_of(queue) or {}) do
        local found = limit > 0 and redis.call('RPOP', line, limit) or {}
        for _, element in ipairs(found) do put('q', '', line, element) end
        leave(line)
    end
    pack_side(key('suspect:' .. queue), 's')
end

local function pack_delayed()
    local found = limit > 0 and redis.call('ZRANGE', key('delayed'), 0, limit - 1, 'WITHSCORES') or {}
    for at = 1, #found, 2 do
        local member = found[at]
        local value = redis.call('HGET', key('later'), member)
        redis.call('ZREM', key('delayed'), member)
        if value then
            redis.call('HDEL', key('later'), member)
            local list, element = cut(value)
            redis.call('HINCRBY', key('delays'), (parts_of(list)), -1)
            put('d', found[at + 1], list, element)
        end
    end
end

if redis.call('EXISTS', crate) == 0 and limit > 0 then
    pack_batches()
    pack_effects()
    for at = 6, #ARGV do pack_queue(ARGV[at]) end
    pack_delayed()
    if limit > 0 and redis.call('EXISTS', messages) == 0 then
        -- The oldest first.
        for _, number in ipairs(redis.call('ZRANGE', key('dead:order'), 0, limit - 1)) do
            local payload, failures = redis.call('HGET', key('dead:payloads'), number), redis.call('HGET', key('dead:failures'), number)
            local head = unbury(number)
            if head then redis.call('RPUSH', letters, number, cmsgpack.pack(head), payload, failures) end
        end
    end
    if redis.call('EXISTS', messages, letters, key('crate:batches'), key('crate:effects')) > 0 then
        redis.call('HSET', crate, 'token', ARGV[3], 'target', ARGV[4], 'label', ARGV[5])
    end
end
if redis.call('EXISTS', crate) == 0 then return nil end

local answer = redis.call('HMGET', crate, 'token', 'target', 'label')
answer[4] = redis.call('LRANGE', key('crate:letters'), 0, -1)
answer[5] = redis.call('LRANGE', letters, 0, -1)
answer[6], answer[7] = {}, {}
for _, id in ipairs(redis.call('LRANGE', key('crate:batches'), 0, -1)) do
    local fields = redis.call('HGETALL', key('batch:' .. id))
    table.insert(fields, 1, id)
    if #fields > 1 then answer[6][#answer[6] + 1] = fields end
end
for _, name in ipairs(redis.call('LRANGE', key('crate:effects'), 0, -1)) do
    local owner, since = redis.call('HGET', key('effect:' .. name), 'owner'), redis.call('ZSCORE', key('effects'), name)
    if owner and since and tonumber(since) <= now() * 1000 then
        for _, word in ipairs({name, owner, digits(tonumber(since))}) do answer[7][#answer[7] + 1] = word end
    end
end
for _, packed in ipairs(redis.call('LRANGE', messages, 0, -1)) do
    local kind, more, list, element = unpack(cmsgpack.unpack(packed))
    local body, queued, priority, deliveries, crashes, id = read(element)
    local _, band = parts_of(list)
    local cancelled = id ~= '' and redis.call('HGET', key('cancelled'), id) or ''
    for _, value in ipairs({
        kind, more, list, body, queued, priority or band, tostring(deliveries), tostring(crashes), id, cancelled,
    }) do
        answer[#answer + 1] = value
    end
end
return answer
