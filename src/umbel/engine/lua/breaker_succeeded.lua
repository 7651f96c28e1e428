-- ARGV: prefix, name, owner.
local breaker = key('breaker:' .. ARGV[2])
if redis.call('HGET', breaker, 'probe') == ARGV[3] then redis.call('DEL', breaker) end
return 1
