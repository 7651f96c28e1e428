-- ARGV: prefix, name, owner, milliseconds, the id of a job that waits otherwise or "". Returns {fencing number or 0, for how many
-- milliseconds the lock lasts, its owner}.
local name, owner, milliseconds, waiter = ARGV[2], ARGV[3], tonumber(ARGV[4]), ARGV[5]
local lock, waits = key('lock:' .. name), key('lock-waits:' .. name)
local known = redis.call('GET', lock)
if known then
    local _, other = cut(known)
    if other ~= owner then
        local left = redis.call('PTTL', lock)
        if waiter ~= '' then
            if not redis.call('LPOS', waits, waiter) then redis.call('RPUSH', waits, waiter) end
            redis.call('EXPIRE', waits, 86400)
        end
        return {'0', left, other}
    end
end
-- By the clock, so that a server that has lost the last ones gives no number twice.
local t = redis.call('TIME')
local fence = digits(math.max(tonumber(redis.call('GET', key('fences')) or 0) + 1, t[1] * 1000000 + t[2]))
redis.call('SET', key('fences'), fence)
redis.call('SET', lock, fence .. '\n' .. owner, 'PX', milliseconds)
if waiter ~= '' then redis.call('LREM', waits, 1, waiter) end
return {fence, milliseconds, owner}
