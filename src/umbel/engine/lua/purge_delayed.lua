-- Drop those of some delayed messages that are a queue's. ARGV: prefix, queue, the microsecond up to which, or nothing,
-- members…. Returns how many.
local dropped, bound = 0, tonumber(ARGV[3]) or math.huge
for at = 4, #ARGV do
    local found = redis.call('HGET', key('later'), ARGV[at])
    if found then
        local list, element = cut(found)
        if (parts_of(list)) == ARGV[2] then
            local _, queued, _, _, _, id = read(element)
            if tonumber(queued) * 1000000 <= bound + 0.5 then
                if id ~= '' then redis.call('DEL', key('job:' .. id)) end
                redis.call('HDEL', key('later'), ARGV[at])
                redis.call('ZREM', key('delayed'), ARGV[at])
                redis.call('HINCRBY', key('delays'), ARGV[2], -1)
                dropped = dropped + 1
            end
        end
    end
end
return dropped
