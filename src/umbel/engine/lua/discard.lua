-- Drop the packed crate if it has this token. ARGV: prefix, token. Returns whether it had.
if redis.call('HGET', key('crate'), 'token') ~= ARGV[2] then return 0 end
for _, packed in ipairs(redis.call('LRANGE', key('crate:messages'), 0, -1)) do
    local _, _, _, element = unpack(cmsgpack.unpack(packed))
    local _, _, _, _, _, id = read(element)
    local known = id ~= '' and redis.call('GET', key('job:' .. id))
    -- The id may have been queued again since.
    if known and (cut(known)) == 'c' then redis.call('DEL', key('job:' .. id)) end
end
for _, name in ipairs(redis.call('LRANGE', key('crate:effects'), 0, -1)) do
    -- Somebody may have said of it meanwhile whether it is there.
    local since = redis.call('ZSCORE', key('effects'), name)
    if since and tonumber(since) <= now() * 1000 then
        redis.call('DEL', key('effect:' .. name))
        redis.call('ZREM', key('effects'), name)
    end
end
redis.call('DEL', key('crate'), key('crate:messages'), key('crate:letters'), key('crate:dead'), key('crate:batches'), key('crate:effects'))
return 1
