-- Cancel many jobs that have not ended, as cancel.lua does one. ARGV: prefix, MessagePack [fields of a record (as in settle.lua), …].
local at = now()
relieve()
for _, record in ipairs(cmsgpack.unpack(ARGV[2])) do
    local id = record[1]
    local old = guard_of(id)
    local job = redis.call('GET', key('job:' .. id))
    local where, rest = '', ''
    if job then where, rest = cut(job) end
    if not old or old[2] ~= 1 or (job and tonumber((cut(rest))) > tonumber(old[3])) then
        redis.call('HSET', key('cancelled'), id, at .. ' 1')
        if string.sub(where, 1, 1) == 'd' then undelay(string.sub(where, 2)) end
        store(record, at)
    end
end
redis.call('INCR', key('cancels'))
return 1
