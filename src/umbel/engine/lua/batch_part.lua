-- Drop batches that were handed over to another store. ARGV: prefix, MessagePack [[id, when it was updated last], …]. Returns nothing of use.
relieve()
for _, one in ipairs(cmsgpack.unpack(ARGV[2])) do
    local id, mark = unpack(one)
    local held, updated = unpack(redis.call('HMGET', key('batch:' .. id), 'held', 'updated'))
    if held and updated == mark then
        redis.call('DEL', key('batch:' .. id), key('batch:' .. id .. ':members'))
        redis.call('ZREM', key('batches:held'), id)
    end
end
return 1
