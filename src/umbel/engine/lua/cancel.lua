-- ARGV: prefix, id, running (0 or 1), MessagePack of the record's fields or "" (as in settle.lua). Returns 0 if the job had ended.
local id, running, record = ARGV[2], ARGV[3], ARGV[4]
local at = now()
relieve()
local old = guard_of(id)
local job = redis.call('GET', key('job:' .. id))
local where, rest = '', ''
if job then where, rest = cut(job) end
if old and old[2] == 1 and not (job and tonumber((cut(rest))) > tonumber(old[3])) then return 0 end
redis.call('HSET', key('cancelled'), id, at .. ' ' .. running)
redis.call('INCR', key('cancels'))
if string.sub(where, 1, 1) == 'd' then undelay(string.sub(where, 2)) end
if record ~= '' then store(cmsgpack.unpack(record), at) end
return 1
