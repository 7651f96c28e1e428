-- Free slots, and let the first delayed job of those that wait for each be due, for whom it is kept.
-- ARGV: prefix, for how many milliseconds, then pairs of name and fencing number.
-- Returns 1 for each that was freed, 0 for each that was lost.
local answer, at = {}, tonumber(now()) * 1000
for place = 3, #ARGV, 2 do
    local name, fence = ARGV[place], ARGV[place + 1]
    local slots, waits = key('slots:' .. name), key('slot-waits:' .. name)
    local ends = redis.call('ZSCORE', slots, fence)
    redis.call('ZREM', slots, fence)
    redis.call('HDEL', key('slot-owners:' .. name), fence)
    local held = ends and tonumber(ends) > at
    local woken = held and wake_first(waits)
    if woken then
        local kept, owners = next_fence(), key('slot-owners:' .. name)
        redis.call('ZADD', slots, math.floor(at) + tonumber(ARGV[2]), kept)
        redis.call('HSET', owners, kept, woken)
        for _, one in ipairs({slots, owners}) do
            if redis.call('PTTL', one) < 86400000 then redis.call('EXPIRE', one, 86400) end
        end
    end
    answer[#answer + 1] = held and 1 or 0
end
return answer
