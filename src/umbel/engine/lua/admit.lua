-- Queue what is in a crate, unless it was admitted before.
-- ARGV: prefix, token, MessagePack [[kind, due or verdict, list, body, queued, priority, deliveries, crashes, id, info,
-- cancellation or ""], …], MessagePack [[letter, died], …], MessagePack [[batch, created, [field, value, …]], …], MessagePack [[effect, owner,
-- since], …]. Returns whether it was new.
local at = now()
if redis.call('ZADD', key('admitted'), 'NX', at, ARGV[2]) == 0 then return 0 end
redis.call('ZREMRANGEBYSCORE', key('admitted'), '-inf', at - 31622400)
for _, message in ipairs(cmsgpack.unpack(ARGV[3])) do
    local kind, more, list, body, queued, priority, deliveries, crashes, id, info, cancelled = unpack(message)
    local element = write(body, queued, priority, deliveries, crashes, id)
    local queue = parts_of(list)
    redis.call('SADD', key('queues'), queue)
    if kind == 'd' then
        remember(id, info, 'd' .. postpone(list, element, id, more), queued)
    else
        if kind == 'f' then redis.call('LPUSH', key('front:' .. queue), more .. '\n' .. list .. '\n' .. element)
        elseif kind == 's' then redis.call('LPUSH', key('suspect:' .. queue), list .. '\n' .. element)
        else enlist('LPUSH', list, element) end
        remember(id, info, kind .. list, queued)
    end
    if cancelled ~= '' then
        redis.call('HSETNX', key('cancelled'), id, cancelled)
        redis.call('INCR', key('cancels'))
    end
end
for _, one in ipairs(cmsgpack.unpack(ARGV[4])) do bury(one[1], one[2]) end
for _, one in ipairs(cmsgpack.unpack(ARGV[5])) do
    local id, created, fields = unpack(one)
    redis.call('HDEL', key('batch:' .. id), 'then', 'catch', 'finally', 'finished')
    redis.call('HSET', key('batch:' .. id), unpack(fields))
    redis.call('EXPIRE', key('batch:' .. id), 2592000)
    redis.call('ZREM', key('batches'), id)
    redis.call('ZREM', key('batches:open'), id)
    redis.call('ZADD', key('batches:held'), created, id)
end
for _, one in ipairs(cmsgpack.unpack(ARGV[6])) do
    local name, owner, since = unpack(one)
    if redis.call('EXISTS', key('effect:' .. name)) == 0 then
        redis.call('HSET', key('effect:' .. name), 'state', 'uncertain', 'owner', owner, 'run', '', 'token', '', 'ends', since)
        redis.call('ZADD', key('effects'), since, name)
    end
end
return 1
