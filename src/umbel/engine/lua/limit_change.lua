-- Let another rule hold for a limit, or what is declared, and let those that wait be due, to be told new times.
-- ARGV: prefix, base, "COUNT SECONDS BURST" or "".
if ARGV[3] == '' then
    redis.call('HDEL', key('limits'), ARGV[2])
else
    redis.call('HSET', key('limits'), ARGV[2], ARGV[3])
end
for _, id in ipairs(redis.call('ZRANGE', key('limit-waits:' .. ARGV[2]), 0, -1)) do
    local job = redis.call('GET', key('job:' .. id))
    if job and string.sub(job, 1, 1) == 'd' then undelay(string.sub((cut(job)), 2)) end
end
