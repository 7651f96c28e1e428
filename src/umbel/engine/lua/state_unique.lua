-- ARGV: prefix, MessagePack [[key, list, priority, id, info, due, once, name of its key or "", milliseconds, until its start
-- (0 or 1)], …]: jobs whose messages are about to be published. Returns for each the id of the job that has its key.
local at = now()

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

local holders = {}
for number, message in ipairs(cmsgpack.unpack(ARGV[2])) do
    local named, list, priority, id, info, due, once, name, milliseconds, until_start = unpack(message)
    local holder = name == '' and id or take(name, id, milliseconds, until_start)
    holders[number] = holder
    if holder == id then know(named, list, id, info, due, once, at) end
end
return holders
