-- ARGV: prefix, names. Returns for each breaker for how many milliseconds nobody passes: 0 for one that is closed, -1 for one that waits for
-- a probe.
local answer, at = {}, tonumber(now())
for place = 2, #ARGV do
    local open, probe, until_ = unpack(redis.call('HMGET', key('breaker:' .. ARGV[place]), 'open', 'probe', 'until'))
    local wait = open and tonumber(open) - at or 0
    if open and wait <= 0 then wait = probe and tonumber(until_) - at or -1 end
    answer[#answer + 1] = wait > 0 and math.ceil(wait * 1000) or (open and -1 or 0)
end
return answer
