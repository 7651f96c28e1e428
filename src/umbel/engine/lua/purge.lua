-- Drop up to a thousand waiting messages of a queue. ARGV: prefix, queue. Returns how many.
local queue = ARGV[2]
local dropped = 0
local function drop(element)
    local _, _, _, _, _, id = read(element)
    if id ~= '' then redis.call('DEL', key('job:' .. id)) end
    dropped = dropped + 1
end
for _, list in ipairs({P .. queue, P .. queue .. BAND .. '3', P .. queue .. BAND .. '6', P .. queue .. BAND .. '9',
    key('suspect:' .. queue), key('front:' .. queue)}) do
    for _, element in ipairs(redis.call('RPOP', list, 1000 - dropped) or {}) do drop(element) end
    if dropped >= 1000 then return dropped end
end
for _, line in ipairs(lines_of(queue)) do
    for _, element in ipairs(redis.call('RPOP', line, 1000 - dropped) or {}) do drop(element) end
    leave(line)
    if dropped >= 1000 then return dropped end
end
return dropped
