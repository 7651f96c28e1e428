-- Give delayed messages to Kombu's lists, each with its time in its headers.
-- ARGV: prefix, MessagePack [[member, what stands there, the envelope to give], …]. Returns how many went: one that has changed stays.
local back = 0
for _, one in ipairs(cmsgpack.unpack(ARGV[2])) do
    local member, value, body = unpack(one)
    if redis.call('HGET', key('later'), member) == value then
        local list, element = cut(value)
        local _, _, _, _, _, id = read(element)
        redis.call('ZREM', key('delayed'), member)
        redis.call('HDEL', key('later'), member)
        redis.call('HINCRBY', key('delays'), (parts_of(list)), -1)
        if id ~= '' then redis.call('DEL', key('job:' .. id)) end
        redis.call('LPUSH', plain_list(list), body)
        back = back + 1
    end
end
return back
