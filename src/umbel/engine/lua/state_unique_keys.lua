-- What the scripts of the state store share that give jobs keys which one has at a time.

-- Whether a key still counts as the job's, which is at the broker or held.
local function counts(id, until_start)
    local job = redis.call('GET', key('job:' .. id))
    if not job then return false end
    if string.sub(job, 1, 1) == 'h' then return until_start ~= '1' end
    return redis.call('HEXISTS', key('cancelled'), id) == 0
end

local function take(name, id, milliseconds, until_start)
    local unique = key('unique:' .. name)
    local known = redis.call('GET', unique)
    if known then
        local mode, holder = string.sub(known, 1, 1), string.sub(known, 2)
        if holder ~= id and counts(holder, mode) then return holder end
    end
    redis.call('SET', unique, until_start .. id, 'PX', milliseconds)
    return id
end
