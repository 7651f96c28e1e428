-- What the scripts share that give jobs keys which one has at a time.

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
