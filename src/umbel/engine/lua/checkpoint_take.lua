-- Take a job's checkpoints for one execution. ARGV: prefix, id, fence, seconds.
--   umbel:checkpoint:ID        hash    fence -> the number of the execution that has them; =NAME -> a cursor (JSON)
-- Returns its fields; nothing if a later execution has them.
local about = key('checkpoint:' .. ARGV[2])
local known = redis.call('HGET', about, 'fence')
if known and tonumber(known) > tonumber(ARGV[3]) then return false end
relieve()
redis.call('HSET', about, 'fence', ARGV[3])
redis.call('EXPIRE', about, ARGV[4])
return redis.call('HGETALL', about)
