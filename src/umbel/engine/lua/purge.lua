-- Drop up to a thousand waiting messages of a queue, the oldest of each list first. ARGV: prefix, queue, and the microsecond
-- up to which, or nothing. Returns how many.
--
-- What is queued goes to the left, and what is taken comes from the right: with a bound each list is dropped until the first
-- message that is younger. One that was delayed and came due behind that one stays. A plain client's bears no time, and goes.
local queue, bound = ARGV[2], tonumber(ARGV[3]) or math.huge
local dropped = 0
local function drop(list)
    local found, old = redis.call('LRANGE', list, dropped - 1000, -1), 0
    for at = #found, 1, -1 do
        local _, queued, _, _, _, id = read(found[at])
        if tonumber(queued) * 1000000 > bound + 0.5 then break end
        if id ~= '' then redis.call('DEL', key('job:' .. id)) end
        old = old + 1
    end
    if old > 0 then redis.call('RPOP', list, old) end
    dropped = dropped + old
    return dropped >= 1000
end
for _, list in ipairs({P .. queue, P .. queue .. BAND .. '3', P .. queue .. BAND .. '6', P .. queue .. BAND .. '9',
    key('suspect:' .. queue), key('front:' .. queue)}) do
    if drop(list) then return dropped end
end
for _, line in ipairs(lines_of(queue)) do
    local full = drop(line)
    leave(line)
    if full then return dropped end
end
return dropped
