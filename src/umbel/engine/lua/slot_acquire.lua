-- ARGV: prefix, then for each slot its name, owner, milliseconds, how many there are, and the id of a job that waits otherwise or "".
-- Returns for each {fencing number or 0, for how many milliseconds the slot lasts or the first of the others does, its owner}.
local at = math.floor(tonumber(now()) * 1000)

local function acquire(name, owner, milliseconds, most, waiter)
    local slots, waits, owners = key('slots:' .. name), key('slot-waits:' .. name), key('slot-owners:' .. name)
    for _, fence in ipairs(redis.call('ZRANGEBYSCORE', slots, '-inf', at)) do
        redis.call('ZREM', slots, fence)
        redis.call('HDEL', owners, fence)
    end
    local held = redis.call('HGETALL', owners)
    for place = 1, #held, 2 do
        if held[place + 1] == owner then
            redis.call('ZREM', slots, held[place])
            redis.call('HDEL', owners, held[place])
        end
    end
    if redis.call('HLEN', owners) >= most then
        if waiter ~= '' then
            if not redis.call('LPOS', waits, waiter) then redis.call('RPUSH', waits, waiter) end
            redis.call('EXPIRE', waits, 86400)
        end
        local first = redis.call('ZRANGE', slots, 0, 0, 'WITHSCORES')
        return {'0', math.max(tonumber(first[2]) - at, 1), redis.call('HGET', owners, first[1])}
    end
    local fence = next_fence()
    redis.call('ZADD', slots, at + milliseconds, fence)
    redis.call('HSET', owners, fence, owner)
    for _, one in ipairs({slots, owners}) do redis.call('EXPIRE', one, math.ceil(milliseconds / 1000) + 86400) end
    if waiter ~= '' then redis.call('LREM', waits, 1, waiter) end
    return {fence, milliseconds, owner}
end

local answer = {}
for place = 2, #ARGV, 5 do
    answer[#answer + 1] =
        acquire(ARGV[place], ARGV[place + 1], tonumber(ARGV[place + 2]), tonumber(ARGV[place + 3]), ARGV[place + 4])
end
return answer
