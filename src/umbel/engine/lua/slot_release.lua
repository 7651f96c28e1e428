-- Free slots, and let the first delayed job of those that wait for each be due. ARGV: prefix, then pairs of name and fencing number.
-- Returns 1 for each that was freed, 0 for each that was lost.
local answer, at = {}, tonumber(now()) * 1000
for place = 2, #ARGV, 2 do
    local name, fence = ARGV[place], ARGV[place + 1]
    local slots, waits = key('slots:' .. name), key('slot-waits:' .. name)
    local ends = redis.call('ZSCORE', slots, fence)
    redis.call('ZREM', slots, fence)
    redis.call('HDEL', key('slot-owners:' .. name), fence)
    local held = ends and tonumber(ends) > at
    if held then wake_first(waits) end
    answer[#answer + 1] = held and 1 or 0
end
return answer
