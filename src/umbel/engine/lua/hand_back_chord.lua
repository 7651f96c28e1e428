-- Give an unfinished chord to Celery's own counting.
-- ARGV: prefix, id, seconds that it lasts, MessagePack [[member, envelope of the result, score], …]. Returns whether there was one.
local chord = key('chord:' .. ARGV[2])
local size, extra, finished = unpack(redis.call('HMGET', chord, 'size', 'total', 'finished'))
if finished or not size then return 0 end
local group = P .. 'celery-taskset-meta-' .. ARGV[2]
redis.call('SET', group .. '.s', size)
if extra and tonumber(extra) ~= 0 then redis.call('SET', group .. '.t', extra) end
for _, part in ipairs(cmsgpack.unpack(ARGV[4])) do
    redis.call('SADD', group .. '.d', part[1])
    redis.call('ZADD', group .. '.j', part[3], part[2])
end
for _, ending in ipairs({'.s', '.t', '.d', '.j'}) do redis.call('EXPIRE', group .. ending, ARGV[3]) end
redis.call('DEL', chord, chord .. ':members')
redis.call('ZREM', key('chords:complete'), ARGV[2])
return 1
