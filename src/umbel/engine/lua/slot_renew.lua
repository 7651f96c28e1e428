-- ARGV: prefix, milliseconds, then pairs of name and fencing number. Returns 1 for each slot that lasts on, 0 for each that was lost.
local answer, at = {}, math.floor(tonumber(now()) * 1000)
for place = 3, #ARGV, 2 do
    local slots, fence = key('slots:' .. ARGV[place]), ARGV[place + 1]
    local ends = redis.call('ZSCORE', slots, fence)
    local held = ends and tonumber(ends) > at
    if held then
        redis.call('ZADD', slots, at + tonumber(ARGV[2]), fence)
        for _, one in ipairs({slots, key('slot-owners:' .. ARGV[place])}) do
            redis.call('EXPIRE', one, math.ceil(tonumber(ARGV[2]) / 1000) + 86400)
        end
    end
    answer[#answer + 1] = held and 1 or 0
end
return answer
