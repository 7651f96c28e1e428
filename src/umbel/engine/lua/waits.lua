-- What scripts share that grant or free something for which jobs wait.

-- By the clock, so that a server that has lost the last numbers gives none twice.
local function next_fence()
    local t = redis.call('TIME')
    local fence = digits(math.max(tonumber(redis.call('GET', key('fences')) or 0) + 1, t[1] * 1000000 + t[2]))
    redis.call('SET', key('fences'), fence)
    return fence
end

-- Let the first delayed one of the list be due, and return its id.
local function wake_first(waits)
    for _, id in ipairs(redis.call('LRANGE', waits, 0, 99)) do
        local job = redis.call('GET', key('job:' .. id))
        if not job then
            redis.call('LREM', waits, 1, id)
        elseif string.sub(job, 1, 1) == 'd' then
            undelay(string.sub((cut(job)), 2))
            return id
        end
    end
end
