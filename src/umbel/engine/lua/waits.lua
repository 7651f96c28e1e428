-- What scripts share that free something for which jobs wait: let the first delayed one of the list be due.
local function wake_first(waits)
    for _, id in ipairs(redis.call('LRANGE', waits, 0, 99)) do
        local job = redis.call('GET', key('job:' .. id))
        if not job then
            redis.call('LREM', waits, 1, id)
        elseif string.sub(job, 1, 1) == 'd' then
            undelay(string.sub((cut(job)), 2))
            return
        end
    end
end
