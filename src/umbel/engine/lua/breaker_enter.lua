-- ARGV: prefix, name, owner, milliseconds of a probe. Returns {milliseconds to wait, whether as the probe}.
local breaker, at = key('breaker:' .. ARGV[2]), tonumber(now())
local open, probe, until_ = unpack(redis.call('HMGET', breaker, 'open', 'probe', 'until'))
if not open then return {0, 0} end
local wait = tonumber(open) - at
if wait <= 0 and probe and probe ~= ARGV[3] then wait = tonumber(until_) - at end
if wait > 0 then return {math.ceil(wait * 1000), 0} end
redis.call('HSET', breaker, 'probe', ARGV[3], 'until', string.format('%.6f', at + ARGV[4] / 1000))
return {0, 1}
