-- Take a message over that the server has moved to this process: it has begun with it.
-- ARGV: prefix, token, epoch, the inbox's mark, the seq by which it is held from now on. Returns 1, or 0 if it is there no more.
relieve()
if redis.call('HGET', key('epochs'), ARGV[2]) ~= ARGV[3] then return 0 end
local held, seq = key('held:' .. ARGV[2]), ARGV[5]
-- Asked again because the answer was lost.
if redis.call('HEXISTS', held, seq) == 1 then return 1 end
local inbox, list = inbox_of(ARGV[4])
local element = redis.call('RPOP', inbox)
if not element then return 0 end
redis.call('HSET', held, seq, 'q\n' .. list .. '\n' .. element)
return 1
