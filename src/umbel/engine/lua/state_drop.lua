-- ARGV: prefix, queue. The delayed messages of a queue are ended, in steps of 1000; returns how many.
local at = tonumber(now())
local later = key('later:' .. ARGV[2])
redis.call('ZREMRANGEBYSCORE', later, '-inf', at)
local found = redis.call('ZRANGE', later, 0, 999, 'WITHSCORES')
for number = 1, #found, 2 do
    local name, id = string.match(found[number], '^(%S+) (.*)$')
    set_claim(name, 'e', 0, 0, '', math.ceil(tonumber(found[number + 1]) - at) + ENDED)
    if id ~= '' then redis.call('DEL', key('job:' .. id)) end
    redis.call('ZREM', later, found[number])
end
return #found / 2
