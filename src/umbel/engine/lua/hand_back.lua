-- Give up to LIMIT suspects and condemned messages of a queue to Kombu's lists, at their heads.
-- ARGV: prefix, queue, limit. Returns [how many went back, how many were cancelled and dropped].
local queue, limit = ARGV[2], tonumber(ARGV[3])
local back, dropped = 0, 0

-- The newest first, so that the oldest comes to stand at the very head.
local function give(side, condemned)
    while back + dropped < limit do
        local found = redis.call('LPOP', side)
        if not found then return end
        if condemned then found = select(2, cut(found)) end
        local list, element = cut(found)
        local body, _, _, _, _, id = read(element)
        if id ~= '' then redis.call('DEL', key('job:' .. id)) end
        if id ~= '' and redis.call('HEXISTS', key('cancelled'), id) == 1 then
            dropped = dropped + 1
        else
            redis.call('RPUSH', plain_list(list), body)
            back = back + 1
        end
    end
end

give(key('suspect:' .. queue), false)
give(key('front:' .. queue), true)
return {back, dropped}
