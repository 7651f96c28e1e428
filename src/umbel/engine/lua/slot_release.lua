-- Free a slot, and let the first delayed job of those that wait be due. ARGV: prefix, name, fencing number.
-- Returns 0 if it was lost.
local slots, waits = key('slots:' .. ARGV[2]), key('slot-waits:' .. ARGV[2])
local ends = redis.call('ZSCORE', slots, ARGV[3])
redis.call('ZREM', slots, ARGV[3])
redis.call('HDEL', key('slot-owners:' .. ARGV[2]), ARGV[3])
if not ends or tonumber(ends) <= tonumber(now()) * 1000 then return 0 end
wake_first(waits)
return 1
