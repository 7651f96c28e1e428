-- ARGV: prefix, MessagePack [[list, body, priority, id, info, due, once, name of its key or "", milliseconds,
-- until its start (0 or 1)], …], the sender's line, the number of this call on it, and 1 if that is called again because
-- its answer was lost. Returns for each message the id of the job that has its key.
local line, call = key('line:' .. ARGV[3]), ARGV[4]
if ARGV[5] == '1' then
    local last = redis.call('GET', line)
    if last then
        local number, holders = cut(last)
        if number == call then return cmsgpack.unpack(holders) end
    end
end
local at = now()

local function is_held(id)
    local tail = ' ' .. id .. '"}'
    for _, token in ipairs(redis.call('HKEYS', key('leases'))) do
        for _, value in ipairs(redis.call('HVALS', key('held:' .. token))) do
            if string.sub(value, -#tail) == tail then return true end
        end
    end
    return false
end

-- Whether a key still counts as the job's.
local function counts(id)
    if redis.call('EXISTS', key('job:' .. id)) == 0 then return false end
    return redis.call('HEXISTS', key('cancelled'), id) == 0 or is_held(id)
end

local function take(name, id, milliseconds, until_start)
    local unique = key('unique:' .. name)
    local holder = redis.call('GET', unique)
    if holder and holder ~= id then
        if counts(holder) then return holder end
        redis.call('DEL', key('waits:' .. holder))
    end
    redis.call('SET', unique, id, 'PX', milliseconds)
    if until_start == 1 then
        redis.call('SET', key('waits:' .. id), name .. '\n', 'PX', milliseconds)
        if redis.call('PTTL', key('waits')) < milliseconds then redis.call('SET', key('waits'), 1, 'PX', milliseconds) end
    end
    return id
end

local holders = {}
for number, message in ipairs(cmsgpack.unpack(ARGV[2])) do
    local list, body, priority, id, info, due, once, name, milliseconds, until_start = unpack(message)
    local holder = name == '' and id or take(name, id, milliseconds, until_start)
    holders[number] = holder
    if holder == id and not (once and redis.call('EXISTS', key('job:' .. id), key('about:' .. id)) > 0) then
        push(list, body, priority, id, info, due, at)
    end
end
redis.call('SET', line, call .. '\n' .. cmsgpack.pack(holders), 'EX', 600)
return holders
