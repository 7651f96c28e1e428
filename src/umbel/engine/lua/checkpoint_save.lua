-- Keep a cursor. ARGV: prefix, id, fence, seconds, name, cursor. Returns 0 if another execution has taken them.
local about = key('checkpoint:' .. ARGV[2])
if redis.call('HGET', about, 'fence') ~= ARGV[3] then return 0 end
relieve()
redis.call('HSET', about, '=' .. ARGV[5], ARGV[6])
redis.call('EXPIRE', about, ARGV[4])
return 1
