-- ARGV: prefix, then for each lock its name, owner, milliseconds, and the id of a job that waits otherwise or "".
-- Returns for each {fencing number or 0, for how many milliseconds the lock lasts, its owner}.
local fences = key('fences')

local function acquire(name, owner, milliseconds, waiter)
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
    local fence = digits(math.max(tonumber(redis.call('GET', fences) or 0) + 1, t[1] * 1000000 + t[2]))
    redis.call('SET', fences, fence)
    redis.call('SET', lock, fence .. '\n' .. owner, 'PX', milliseconds)
    if waiter ~= '' then redis.call('LREM', waits, 1, waiter) end
    return {fence, milliseconds, owner}
end

local answer = {}
for at = 2, #ARGV, 4 do answer[#answer + 1] = acquire(ARGV[at], ARGV[at + 1], tonumber(ARGV[at + 2]), ARGV[at + 3]) end
return answer
