-- Free a lock, and let the first delayed job of those that wait be due. ARGV: prefix, name, fencing number. Returns 0 if it was lost.
local lock, waits = key('lock:' .. ARGV[2]), key('lock-waits:' .. ARGV[2])
local known = redis.call('GET', lock)
if not known or (cut(known)) ~= ARGV[3] then return 0 end
redis.call('DEL', lock)
for _, id in ipairs(redis.call('LRANGE', waits, 0, 99)) do
    local job = redis.call('GET', key('job:' .. id))
    if not job then
        redis.call('LREM', waits, 1, id)
    elseif string.sub(job, 1, 1) == 'd' then
        undelay(string.sub((cut(job)), 2))
        break
    end
end
return 1
