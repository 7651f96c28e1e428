-- Give up to LIMIT messages of a queue's lines to Kombu's lists, at their ends, one of each line in turn.
-- ARGV: prefix, queue, limit. Returns [how many went back, how many were cancelled and dropped].
local queue, limit = ARGV[2], tonumber(ARGV[3])
local back, dropped, taken = 0, 0, true
while taken and back + dropped < limit do
    taken = false
    for _, line in ipairs(lines_of(queue)) do
        local element = redis.call('RPOP', line)
        leave(line)
        if element then
            taken = true
            local body, _, _, _, _, id = read(element)
            if id ~= '' then redis.call('DEL', key('job:' .. id)) end
            if id ~= '' and redis.call('HEXISTS', key('cancelled'), id) == 1 then
                dropped = dropped + 1
            else
                redis.call('LPUSH', plain_list(line), body)
                back = back + 1
            end
        end
    end
end
return {back, dropped}
