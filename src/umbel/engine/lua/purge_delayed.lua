-- Drop those of some delayed messages that are a queue's. ARGV: prefix, queue, members…. Returns how many.
local dropped = 0
for at = 3, #ARGV do
    local found = redis.call('HGET', key('later'), ARGV[at])
    if found then
        local list, element = cut(found)
        if (parts_of(list)) == ARGV[2] then
            local _, _, _, _, _, id = read(element)
            if id ~= '' then redis.call('DEL', key('job:' .. id)) end
            redis.call('HDEL', key('later'), ARGV[at])
            redis.call('ZREM', key('delayed'), ARGV[at])
            redis.call('HINCRBY', key('delays'), ARGV[2], -1)
            dropped = dropped + 1
        end
    end
end
return dropped
