-- Put another body in the place of one whose job has its key until it starts, and waits.
-- ARGV: prefix, id, body, due or 0, how many seconds it waits at the longest or 0. Returns 0 if there is none.
local id, body, due, longest = ARGV[2], ARGV[3], tonumber(ARGV[4]), tonumber(ARGV[5])
local found, job = unpack(redis.call('MGET', key('waits:' .. id), key('job:' .. id)))
if not found or not job or redis.call('HEXISTS', key('cancelled'), id) == 1 then return 0 end
local where = cut(job)
local kind, member = string.sub(where, 1, 1), string.sub(where, 2)
if kind == 'd' then
    local list, element = cut(redis.call('HGET', key('later'), member))
    local _, queued, priority, deliveries, crashes = read(element)
    redis.call('HSET', key('later'), member, list .. '\n' .. write(body, queued, priority, deliveries, crashes, id))
    if due > 0 then
        if longest > 0 then due = math.min(due, tonumber(queued) + longest) end
        redis.call('ZADD', key('delayed'), 'XX', string.format('%.6f', due), member)
    end
    return 1
end
if kind ~= 'q' then return 0 end
-- It stays where it is in its list, which cannot be searched: whoever takes it from there takes this body.
-- For as long as the job may wait, which may be longer than its key keeps others out.
local left = math.max(redis.call('PTTL', key('waits:' .. id)), 2592000000)
redis.call('SET', key('waits:' .. id), (cut(found)) .. '\n' .. body, 'PX', left)
if redis.call('PTTL', key('waits')) < left then redis.call('SET', key('waits'), 1, 'PX', left) end
return 1
