-- ARGV: prefix, name, owner, failures, milliseconds within which, milliseconds for which it is open then. Returns 1 if it is open now.
local breaker, failures = key('breaker:' .. ARGV[2]), key('breaker-failures:' .. ARGV[2])
local most, within, open_for = tonumber(ARGV[4]), ARGV[5] / 1000, ARGV[6] / 1000
local at = tonumber(now())
local open, probe = unpack(redis.call('HMGET', breaker, 'open', 'probe'))
if open and probe ~= ARGV[3] then return tonumber(open) > at and 1 or 0 end
if not open then
    redis.call('RPUSH', failures, string.format('%.6f', at))
    while redis.call('LLEN', failures) > most do redis.call('LPOP', failures) end
    redis.call('PEXPIRE', failures, ARGV[5])
    if redis.call('LLEN', failures) < most or at - redis.call('LRANGE', failures, 0, 0)[1] > within then return 0 end
end
redis.call('DEL', failures)
redis.call('HDEL', breaker, 'probe', 'until')
redis.call('HSET', breaker, 'open', string.format('%.6f', at + open_for))
-- Nobody who probes for a week is nobody who asks any more.
redis.call('PEXPIRE', breaker, ARGV[6] + 604800000)
return 1
