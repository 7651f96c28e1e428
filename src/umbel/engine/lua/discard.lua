-- Drop the packed crate if it has this token. ARGV: prefix, token. Returns whether it had.
if redis.call('HGET', key('crate'), 'token') ~= ARGV[2] then return 0 end
for _, packed in ipairs(redis.call('LRANGE', key('crate:messages'), 0, -1)) do
    local _, _, _, element = unpack(cmsgpack.unpack(packed))
    local _, _, _, _, _, id = read(element)
    local known = id ~= '' and redis.call('GET', key('job:' .. id))
    -- The id may have been queued again since.
    if known and (cut(known)) == 'c' then redis.call('DEL', key('job:' .. id)) end
end
redis.call('DEL', key('crate'), key('crate:messages'), key('crate:letters'), key('crate:dead'))
return 1
